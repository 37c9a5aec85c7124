//! Supervisors as actors: each carries out what its `Tree` decides.
//!
//! Start functions run on the pool for blocking work, so a supervisor answers while a child starts (S17).
//! It is linked to its children, which end with it, and monitors them too: a child that unlinks itself is
//! still heard of (S22).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::{Engine, Event, Runtime, Supervisor};
use crate::actor::{
    Actor, ActorRef, AskError, Context, ExitCause, ExitReason, Flow, Reply, Signal, SpawnOptions,
    SyncAdapter, SystemMessage,
};
use crate::mailbox::Payload;
use crate::pid::Pid;
use crate::supervision::{ChildError, ChildInfo, ChildSpec, Key, Start, StartFn, Step, SupervisorSpec, Tree};

/// A handle to a running supervisor. Cheap to clone; holds nothing alive.
///
/// Its calls wait, at most as long as they are told to, as
/// [`ask_blocking`](crate::actor::ActorRef::ask_blocking) does. [`Runtime::stop`] with its PID stops the
/// children, last first, and then itself; [`Runtime::kill`] ends all at once.
#[derive(Clone, Debug)]
pub struct SupervisorRef(ActorRef<Request>);

impl Runtime {
    /// Starts a supervisor and its children, one after another, and waits until all run.
    ///
    /// # Errors
    /// If the spec makes no sense, or a child does not start; the others were stopped then (S02).
    pub fn supervise(&self, spec: SupervisorSpec) -> Result<SupervisorRef, ChildError> {
        spec.check()?;
        let (tell, told) = sync_channel(1);
        let inner = &self.inner;
        let parts = Parts { engine: inner.scheduler.clone(), restarts: inner.supervisor.clone() };
        let overseer =
            Overseer::new(parts, spec, None, Box::new(move |_, result| drop(tell.try_send(result))));
        let actor = self.spawn_with(overseer, SpawnOptions { trap_exit: true, ..SpawnOptions::default() });
        let mut result = None;
        let mut known = || {
            result = result.take().or_else(|| told.try_recv().ok());
            result.is_some() || !self.is_alive(actor.pid())
        };
        inner.system.drive(None, &mut known);
        let result = result.or_else(|| inner.system.block_in_place(|| told.recv().ok()));
        result.unwrap_or(Err(ChildError::Ending)).map(|()| SupervisorRef(actor))
    }
}

impl SupervisorRef {
    /// The supervisor's PID.
    pub fn pid(&self) -> Pid {
        self.0.pid()
    }

    /// The children, in the order of their starts.
    ///
    /// # Errors
    /// If the supervisor has ended, or does not answer in time.
    pub fn children(&self, within: Duration) -> Result<Vec<ChildInfo>, ChildError> {
        self.0.ask_blocking(Request::Children, within).map_err(unanswered)
    }

    /// Adds a child and starts it; an empty id becomes a number. Returns its PID.
    ///
    /// # Errors
    /// If the id is taken, there are as many children as may be, or the child does not start; then it is
    /// not added.
    pub fn start_child(&self, child: ChildSpec, within: Duration) -> Result<Pid, ChildError> {
        self.ask(|reply| Request::Add(Box::new(child), reply), within)
    }

    /// Stops a child, which stays in the list, and waits for its end. A temporary child and one of a dynamic
    /// supervisor are forgotten.
    ///
    /// # Errors
    /// If there is no such child.
    pub fn stop_child(&self, id: &str, within: Duration) -> Result<(), ChildError> {
        self.ask(|reply| Request::Stop(id.to_owned(), reply), within)
    }

    /// Starts a child that was stopped or has ended. Returns its PID.
    ///
    /// # Errors
    /// If there is no such child, it runs, or it does not start.
    pub fn restart_child(&self, id: &str, within: Duration) -> Result<Pid, ChildError> {
        self.ask(|reply| Request::Restart(id.to_owned(), reply), within)
    }

    /// Forgets a child that was stopped or has ended.
    ///
    /// # Errors
    /// If there is no such child, or it runs.
    pub fn delete_child(&self, id: &str, within: Duration) -> Result<(), ChildError> {
        self.ask(|reply| Request::Delete(id.to_owned(), reply), within)
    }

    fn ask<T: Send + 'static>(
        &self,
        request: impl FnOnce(Reply<Result<T, ChildError>>) -> Request,
        within: Duration,
    ) -> Result<T, ChildError> {
        self.0.ask_blocking(request, within).unwrap_or_else(|error| Err(unanswered(error)))
    }
}

fn unanswered(error: AskError) -> ChildError {
    match error {
        AskError::Timeout(_) => ChildError::Timeout,
        _ => ChildError::Ending,
    }
}

type Answer<T> = Reply<Result<T, ChildError>>;

enum Request {
    /// What a start function gave.
    Started(Key, Result<Pid, String>),
    /// A child may have had its time to stop.
    Tick,
    /// An actor was dead or about to end when it was linked, and has had its time to say why.
    Gone(Pid),
    Children(Reply<Vec<ChildInfo>>),
    Add(Box<ChildSpec>, Answer<Pid>),
    Restart(String, Answer<Pid>),
    Stop(String, Answer<()>),
    Delete(String, Answer<()>),
}

/// What a supervisor needs of its runtime, which it must not keep alive.
#[derive(Clone)]
struct Parts {
    engine: Engine,
    restarts: Arc<Supervisor>,
}

/// Told whether all children run, with the supervisor's own PID.
type OnStart = Box<dyn FnOnce(Pid, Result<(), ChildError>) + Send>;

/// The actor of one supervisor.
struct Overseer {
    parts: Parts,
    tree: Tree,
    /// The supervisor above, whose end is this one's.
    parent: Option<Pid>,
    on_start: Option<OnStart>,
    /// Who waits for a child to run.
    starting: HashMap<Key, Answer<Pid>>,
    /// Who waits for a child to be down.
    stopping: HashMap<Key, Vec<Answer<()>>>,
    /// Up to when a [`Request::Tick`] is under way.
    alarm: Option<Instant>,
}

/// How long the reason of an actor may take that was found dead when it was linked.
const LAST_WORD: Duration = Duration::from_millis(20);

impl Actor for Overseer {
    type Msg = Request;

    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        let steps = self.tree.begin(cx.now());
        self.carry_out(steps, cx)
    }

    fn handle(&mut self, request: Request, cx: &mut Context<'_>) -> Flow {
        if let Request::Started(_, Ok(pid)) = request {
            cx.link(pid);
            cx.monitor(pid);
        }
        let steps = self.request(request, cx.now());
        self.carry_out(steps, cx)
    }

    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        let SystemMessage::Exit { target, reason, cause } = message else { return Flow::Continue };
        if self.parts.restarts.is_stopped() {
            return Flow::Continue; // Everybody is about to be killed.
        }
        if reason == ExitReason::NoProcess && target != cx.pid() && Some(target) != self.parent {
            // It may just be ending. What it was started with is a link too, which tells the true reason.
            cx.send_after(LAST_WORD, Request::Gone(target));
            return Flow::Continue;
        }
        let ordered = cause == ExitCause::Signal && (target == cx.pid() || Some(target) == self.parent);
        let steps = match ordered {
            true => self.tree.stop(reason, cx.now()),
            false => self.tree.exited(target, &reason, cx.now()),
        };
        self.carry_out(steps, cx)
    }

    /// Its children stop first.
    fn stopping(&mut self, reason: ExitReason, cx: &mut Context<'_>) -> Flow {
        let steps = self.tree.stop(reason, cx.now());
        self.carry_out(steps, cx)
    }
}

impl Overseer {
    fn new(parts: Parts, spec: SupervisorSpec, parent: Option<Pid>, on_start: OnStart) -> Self {
        Self {
            parts,
            tree: Tree::new(spec),
            parent,
            on_start: Some(on_start),
            starting: HashMap::new(),
            stopping: HashMap::new(),
            alarm: None,
        }
    }

    fn request(&mut self, request: Request, now: Instant) -> Vec<Step> {
        match request {
            Request::Started(key, Ok(pid)) => self.tree.started(key, pid, now),
            Request::Started(key, Err(error)) => self.tree.failed(key, error, now),
            Request::Tick => {
                self.alarm = None;
                self.tree.tick(now)
            }
            Request::Gone(pid) => self.tree.exited(pid, &ExitReason::NoProcess, now),
            Request::Children(reply) => {
                reply.send(self.tree.children());
                Vec::new()
            }
            Request::Add(spec, reply) => {
                let added = self.tree.add(*spec, now);
                self.await_start(added, reply)
            }
            Request::Restart(id, reply) => {
                let restarted = self.tree.restart_child(&id, now);
                self.await_start(restarted, reply)
            }
            Request::Stop(id, reply) => match self.tree.stop_child(&id, now) {
                Ok((Some(key), steps)) => {
                    self.stopping.entry(key).or_default().push(reply);
                    steps
                }
                Ok((None, steps)) => {
                    reply.send(Ok(()));
                    steps
                }
                Err(error) => {
                    reply.send(Err(error));
                    Vec::new()
                }
            },
            Request::Delete(id, reply) => {
                reply.send(self.tree.delete_child(&id));
                Vec::new()
            }
        }
    }

    fn await_start(&mut self, begun: Result<(Key, Vec<Step>), ChildError>, reply: Answer<Pid>) -> Vec<Step> {
        match begun {
            Ok((key, steps)) => {
                self.starting.insert(key, reply);
                steps
            }
            Err(error) => {
                reply.send(Err(error));
                Vec::new()
            }
        }
    }

    fn carry_out(&mut self, steps: Vec<Step>, cx: &mut Context<'_>) -> Flow {
        let restarts = self.parts.restarts.clone();
        for step in steps {
            match step {
                Step::Start(key, Start::Worker(start)) => self.start_worker(key, start, cx.pid()),
                Step::Start(key, Start::Supervisor(spec)) => self.start_supervisor(key, *spec, cx),
                Step::Stop(pid) => restarts.signal(pid, Signal::Stop(ExitReason::Shutdown)),
                Step::Kill(pid) => restarts.signal(pid, Signal::Kill),
                Step::Up(key, pid) => self.answer_start(key, Ok(pid)),
                Step::NotUp(key, error) => self.answer_start(key, Err(error)),
                Step::Down(key) => self.answer_stop(key),
                Step::Restarting(pid, reason) => restarts.report(&Event::Restarting { pid, reason }),
                Step::Lost(pid, reason) => restarts.report(&Event::Crash { pid, reason, asker_told: false }),
                Step::GaveUp { child, reason } => {
                    restarts.report(&Event::GaveUp { supervisor: cx.pid(), child, reason });
                }
                Step::Ready => self.tell_start(cx.pid(), Ok(())),
                Step::End(end) => return self.end(end, cx.pid()),
            }
        }
        self.set_alarm(cx);
        Flow::Continue
    }

    fn end(&mut self, end: Result<ExitReason, ChildError>, own: Pid) -> Flow {
        let (reason, told) = match end {
            Ok(reason) => (reason, ChildError::Ending),
            Err(error) => (ExitReason::Shutdown, error),
        };
        self.tell_start(own, Err(told));
        Flow::Stop(reason)
    }

    /// Runs a start function elsewhere; its result comes back as a message.
    fn start_worker(&self, key: Key, start: StartFn, own: Pid) {
        let restarts = self.parts.restarts.clone();
        let tell = move |restarts: &Supervisor, made: Result<Pid, String>| {
            let started = made.as_ref().ok().copied();
            if !restarts.send(own, Payload::of(Request::Started(key, made)))
                && let Some(started) = started
            {
                // The supervisor was killed meanwhile.
                restarts.signal(started, Signal::Stop(ExitReason::Shutdown));
            }
        };
        let run = {
            let restarts = restarts.clone();
            move || tell(&restarts, restarts.run_start(&start, own))
        };
        if let Err(error) = self.parts.engine.spawn_blocking(run) {
            tell(&restarts, Err(format!("its start function found no thread: {error}")));
        }
    }

    fn start_supervisor(&self, key: Key, spec: SupervisorSpec, cx: &Context<'_>) {
        let (parent, restarts) = (cx.pid(), self.parts.restarts.clone());
        let on_start = Box::new(move |pid, result: Result<(), ChildError>| {
            let made = result.map(|()| pid).map_err(|error| error.to_string());
            restarts.send(parent, Payload::of(Request::Started(key, made)));
        });
        let child = Self::new(self.parts.clone(), spec, Some(parent), on_start);
        let options = SpawnOptions { trap_exit: true, linked: Some(parent), ..SpawnOptions::default() };
        cx.spawn(Box::new(SyncAdapter(child)), options);
    }

    /// Sees to it that the next limit of a stop is noticed.
    fn set_alarm(&mut self, cx: &Context<'_>) {
        let Some(due) = self.tree.next_due() else { return };
        if self.alarm.is_none_or(|alarm| due < alarm) {
            self.alarm = Some(due);
            cx.send_after(due.saturating_duration_since(cx.now()), Request::Tick);
        }
    }

    fn answer_start(&mut self, key: Key, result: Result<Pid, ChildError>) {
        if let Some(reply) = self.starting.remove(&key) {
            reply.send(result);
        }
    }

    fn answer_stop(&mut self, key: Key) {
        for reply in self.stopping.remove(&key).unwrap_or_default() {
            reply.send(Ok(()));
        }
    }

    fn tell_start(&mut self, own: Pid, result: Result<(), ChildError>) {
        if let Some(tell) = self.on_start.take() {
            tell(own, result);
        }
    }
}
