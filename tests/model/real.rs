//! Programs in a simulation of the runtime.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use myrmidon::actor::{
    Behaviour, Context, ExitCause, ExitReason, Flow, MonitorRef, SpawnOptions, SystemMessage,
};
use myrmidon::error::RegisterError;
use myrmidon::mailbox::{self, Mailbox, Payload};
use myrmidon::runtime::{Event, EventSink};
use myrmidon::sim::{ActorId, Step, Trace};
use myrmidon::timer::TimerId;
use myrmidon::{Pid, Sim};

use crate::program::{self, Bound, Op, Outcome, Overflow, Reason, free_deadline, owners, perform_all};

/// What the test and the actors have in common. Never locked during a call of the runtime.
#[derive(Clone, Default)]
pub(crate) struct World(Arc<Mutex<Tables>>);

#[derive(Default)]
struct Tables {
    pids: Vec<Pid>,
    monitors: Vec<MonitorRef>,
    timers: Vec<TimerId>,
    deadlines: BTreeSet<u64>,
    scripts: Vec<Vec<Op>>,
    swaps: usize,
    log: Vec<String>,
    start: Option<std::time::Instant>,
}

impl World {
    pub(crate) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.tables().log)
    }

    /// Writes down the crashes of which nobody was told, and the swaps that failed.
    pub(crate) fn sink(&self) -> EventSink {
        let world = self.clone();
        Arc::new(move |event| {
            let mut tables = world.tables();
            let line = match event {
                Event::Crash { pid, reason, .. } => {
                    format!("event: {} crashed {:?}", tables.actor(*pid), short(reason))
                }
                Event::SwapFailed { pid, version, .. } => {
                    format!("event: {} keeps version {version}", tables.actor(*pid))
                }
                other => format!("event: {other:?}"),
            };
            tables.log.push(line);
        })
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pid(&self, actor: usize) -> Pid {
        self.tables().pids[actor]
    }
}

impl Tables {
    fn actor(&self, pid: Pid) -> usize {
        self.pids.iter().position(|known| *known == pid).unwrap()
    }
}

/// The runtime as the test sees it, or as an actor does.
pub(crate) struct Real<'a, 'b> {
    world: World,
    rt: myrmidon::Runtime,
    sim: Option<Sim>,
    cx: Option<&'a mut Context<'b>>,
}

impl<'b> Real<'_, 'b> {
    pub(crate) fn outside(world: World, sim: Sim) -> Self {
        world.tables().start = Some(sim.runtime().clock().now());
        Self { world, rt: sim.runtime().clone(), sim: Some(sim), cx: None }
    }

    pub(crate) fn sim(&mut self) -> &mut Sim {
        self.sim.as_mut().unwrap()
    }

    /// The trace with actors as numbers in the order of creation.
    pub(crate) fn named_trace(&mut self) -> Trace {
        let pids = self.world.tables().pids.clone();
        let sim = self.sim();
        let ids: Vec<ActorId> = pids.into_iter().map(|pid| sim.id(pid)).collect();
        let number = |id: ActorId| ids.iter().position(|known| *known == id).unwrap() as u32;
        let mut trace = sim.trace();
        for step in &mut trace.steps {
            if let Step::Actor { actor, .. } = step {
                *actor = ActorId { slot: number(*actor), life: 0 };
            }
        }
        trace
    }

    /// A reference for a monitor that is made with its target: a number that the runtime does not reach.
    fn new_monitor(&self) -> MonitorRef {
        let mut tables = self.world.tables();
        let monitor = MonitorRef::from_u64((1 << 48) + tables.monitors.len() as u64);
        tables.monitors.push(monitor);
        monitor
    }

    fn mailbox(&self, Bound { capacity, overflow }: Bound) -> Mailbox {
        Mailbox::bounded(capacity).overflow(match overflow {
            Overflow::Reject => mailbox::Overflow::Reject,
            Overflow::Block => mailbox::Overflow::Block,
            Overflow::DropNew => mailbox::Overflow::DropNew,
            Overflow::DropOld => mailbox::Overflow::DropOld,
            Overflow::Redirect(to) => mailbox::Overflow::Redirect(self.world.pid(to)),
        })
    }

    fn cx(&mut self) -> &mut Context<'b> {
        self.cx.as_mut().unwrap()
    }
}

impl program::Runtime for Real<'_, '_> {
    fn log(&mut self, line: String) {
        self.world.tables().log.push(line);
    }

    fn actors(&self) -> usize {
        self.world.tables().pids.len()
    }

    fn monitors(&self) -> usize {
        self.world.tables().monitors.len()
    }

    fn timers(&self) -> usize {
        self.world.tables().timers.len()
    }

    fn spawn(
        &mut self,
        starts: bool,
        traps: bool,
        linked: Option<usize>,
        monitored: Option<usize>,
        bound: Option<Bound>,
    ) {
        let (world, actor) = (self.world.clone(), self.actors());
        let monitor = monitored.map(|watcher| (self.world.pid(watcher), self.new_monitor()));
        let options = SpawnOptions {
            trap_exit: traps,
            linked: linked.map(|parent| self.world.pid(parent)),
            monitored: monitor,
            mailbox: bound.map_or(Mailbox::Unbounded, |bound| self.mailbox(bound)),
            ..SpawnOptions::default()
        };
        let code = Code { world, rt: self.rt.clone(), actor, tag: 0, starts, fails: false };
        let pid = self.rt.spawn_behaviour(Box::new(code), options);
        self.world.tables().pids.push(pid);
    }

    fn send(&mut self, to: usize, script: &[Op]) -> bool {
        let number = {
            let mut tables = self.world.tables();
            tables.scripts.push(script.to_vec());
            tables.scripts.len() - 1
        };
        self.rt.send(self.world.pid(to), number.to_string()).is_ok()
    }

    fn stop(&mut self, actor: usize) -> bool {
        self.rt.stop(self.world.pid(actor))
    }

    fn kill(&mut self, actor: usize) -> bool {
        self.rt.kill(self.world.pid(actor))
    }

    fn exit(&mut self, actor: usize, from: Option<usize>, reason: Reason) -> bool {
        let pid = self.world.pid(actor);
        match from {
            Some(_) => self.cx.as_ref().unwrap().exit(pid, long(reason)),
            None => self.rt.exit(pid, long(reason)),
        }
    }

    fn link(&mut self, a: usize, b: usize) -> bool {
        self.rt.link(self.world.pid(a), self.world.pid(b))
    }

    fn unlink(&mut self, a: usize, b: usize) -> bool {
        self.rt.unlink(self.world.pid(a), self.world.pid(b))
    }

    fn trap_exit(&mut self, actor: usize, trap: bool) -> bool {
        self.rt.trap_exit(self.world.pid(actor), trap)
    }

    fn monitor(&mut self, watcher: usize, target: usize) {
        let monitor = self.rt.monitor(self.world.pid(watcher), self.world.pid(target));
        self.world.tables().monitors.push(monitor);
    }

    fn demonitor(&mut self, watcher: usize, monitor: usize) -> bool {
        let (pid, monitor) = (self.world.pid(watcher), self.world.tables().monitors[monitor]);
        self.rt.demonitor(pid, monitor)
    }

    fn ping(&mut self, actor: usize, from: usize) -> bool {
        self.rt.ping(self.world.pid(actor), self.world.pid(from))
    }

    fn swap(&mut self, actor: usize, now: bool, fails: bool) -> Option<u64> {
        let tag = {
            let mut tables = self.world.tables();
            tables.swaps += 1;
            tables.swaps
        };
        let code = Code { world: self.world.clone(), rt: self.rt.clone(), actor, tag, starts: true, fails };
        let pid = self.world.pid(actor);
        let swapped = match now {
            true => self.rt.hot_swap_now(pid, Box::new(code)),
            false => self.rt.hot_swap(pid, Box::new(code)),
        };
        swapped.ok()
    }

    fn rollback(&mut self, actor: usize) -> Option<u64> {
        self.rt.rollback(self.world.pid(actor)).ok()
    }

    fn register(&mut self, name: usize, actor: usize) -> Result<(), Option<usize>> {
        self.rt.names().register(&name.to_string(), self.world.pid(actor)).map_err(|error| match error {
            RegisterError::Taken { owner, .. } => Some(self.world.tables().actor(owner)),
            _ => None,
        })
    }

    fn unregister(&mut self, name: usize) -> bool {
        self.rt.names().unregister(&name.to_string())
    }

    fn whereis(&self, name: usize) -> Option<usize> {
        let pid = self.rt.names().whereis(&name.to_string())?;
        Some(self.world.tables().actor(pid))
    }

    fn timer(&mut self, actor: usize, delay: u64) {
        let now = self.rt.clock().now();
        let mut tables = self.world.tables();
        let passed = now.duration_since(tables.start.unwrap());
        let at = free_deadline(&mut tables.deadlines, passed.as_millis() as u64 + delay);
        drop(tables);
        let wait = Duration::from_millis(at).saturating_sub(passed);
        let number = {
            let mut tables = self.world.tables();
            tables.scripts.push(Vec::new());
            tables.scripts.len() - 1
        };
        let timer = self.rt.timers().send_after(wait, self.world.pid(actor), number.to_string());
        self.world.tables().timers.push(timer);
    }

    fn cancel(&mut self, timer: usize) -> bool {
        let timer = self.world.tables().timers[timer];
        self.rt.timers().cancel(timer)
    }

    fn look(&mut self, actor: usize) -> Option<(usize, u64)> {
        let pid = self.world.pid(actor);
        self.rt.mailbox_size(pid).zip(self.rt.version(pid))
    }

    fn steps(&mut self, count: usize) {
        (0..count).for_each(|_| _ = self.sim().step());
    }

    fn pass(&mut self, tenths: u64) {
        let now = self.sim().elapsed();
        // To a full tenth of a second.
        let end = Duration::from_millis((now.as_millis() as u64 / 100 + tenths) * 100);
        self.sim().run_for(end - now);
    }

    fn own_link(&mut self, other: usize) {
        let pid = self.world.pid(other);
        self.cx().link(pid);
    }

    fn own_unlink(&mut self, other: usize) {
        let pid = self.world.pid(other);
        self.cx().unlink(pid);
    }

    fn own_monitor(&mut self, target: usize) {
        let pid = self.world.pid(target);
        let monitor = self.cx().monitor(pid);
        self.world.tables().monitors.push(monitor);
    }

    fn own_demonitor(&mut self, monitor: usize) {
        let monitor = self.world.tables().monitors[monitor];
        self.cx().demonitor(monitor);
    }

    fn consume(&mut self, reductions: u32) {
        self.cx().consume(reductions);
    }
}

/// The code of every actor: does what its messages say, and writes down what it sees.
struct Code {
    world: World,
    rt: myrmidon::Runtime,
    actor: usize,
    /// The number of the swap that brought it.
    tag: usize,
    starts: bool,
    /// Whether it fails to take over.
    fails: bool,
}

impl Code {
    fn log(&self, what: &str) {
        self.world.tables().log.push(format!("{} v{}: {what}", self.actor, self.tag));
    }
}

impl Behaviour for Code {
    fn starts(&self) -> bool {
        self.starts
    }

    fn started(&mut self, _: &mut Context<'_>) -> Flow {
        self.log("started");
        Flow::Continue
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        let number: usize = std::str::from_utf8(&message.into_bytes().unwrap()).unwrap().parse().unwrap();
        self.log(&format!("message {number}"));
        let script = self.world.tables().scripts[number].clone();
        let mut real = Real { world: self.world.clone(), rt: self.rt.clone(), sim: None, cx: Some(cx) };
        match perform_all(&mut real, self.actor, &script) {
            Outcome::Continue => Flow::Continue,
            Outcome::Finish(reason) => Flow::Stop(long(reason)),
            // Without the hook that would print it.
            Outcome::Panic => resume_unwind(Box::new("as ordered")),
        }
    }

    fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
        let tables = self.world.tables();
        let what = match message {
            SystemMessage::Exit { target, reason, cause: ExitCause::Monitor(monitor) } => {
                let number = tables.monitors.iter().position(|known| *known == monitor).unwrap();
                format!("down {number} of {} {:?}", tables.actor(target), short(&reason))
            }
            SystemMessage::Exit { target, reason, .. } => {
                format!("exit of {} {:?}", tables.actor(target), short(&reason))
            }
            SystemMessage::HotSwap { version, error, .. } => {
                format!("version {version}, failed: {}", error.is_some())
            }
            SystemMessage::Ping { from } => format!("ping of {}", tables.actor(from)),
            SystemMessage::Pong { from } => format!("pong of {}", tables.actor(from)),
            other => format!("{other:?}"),
        };
        drop(tables);
        let real = Real { world: self.world.clone(), rt: self.rt.clone(), sim: None, cx: None };
        self.log(&format!("{what}; names {:?}", owners(&real)));
        Flow::Continue
    }

    fn stopped(&mut self, reason: &ExitReason) {
        self.log(&format!("stopped {:?}", short(reason)));
    }

    fn state(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }

    fn upgrade(&mut self, old: Option<&mut dyn Any>, version: u64) -> Result<(), String> {
        let old = old.and_then(|old| old.downcast_ref::<Self>()).unwrap();
        self.log(&format!("takes over from v{} as {version}", old.tag));
        if self.fails { Err("as ordered".to_owned()) } else { Ok(()) }
    }
}

fn long(reason: Reason) -> ExitReason {
    match reason {
        Reason::Normal => ExitReason::Normal,
        Reason::Shutdown => ExitReason::Shutdown,
        Reason::Kill => ExitReason::Kill,
        Reason::Killed => ExitReason::Killed,
        Reason::NoProcess => ExitReason::NoProcess,
        Reason::Panic => ExitReason::Panic(String::new()),
        Reason::Other => ExitReason::Other(String::new()),
    }
}

fn short(reason: &ExitReason) -> Reason {
    match reason {
        ExitReason::Normal => Reason::Normal,
        ExitReason::Shutdown => Reason::Shutdown,
        ExitReason::Kill => Reason::Kill,
        ExitReason::Killed => Reason::Killed,
        ExitReason::NoProcess => Reason::NoProcess,
        ExitReason::Panic(_) => Reason::Panic,
        _ => Reason::Other,
    }
}
