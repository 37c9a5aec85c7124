//! The actors of one runtime: sending to them, and the one way to start them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::dead_letters::{DeadLetterReason, DeadLetters};
use super::exit::ExitHook;
use super::proxy::Proxies;
use super::signal::{Envelope, ExitSignal, MonitorRef, Signal, Watcher};
use super::signals::tell_watcher;
use super::slot::{Closed, Ready, Slot, flag};
use super::table::Table;
use super::{Behaviour, ExitReason, SpawnOptions, discard, waker};
use crate::clock::Clock;
use crate::error::StepLimit;
use crate::mailbox::{Mailbox, Payload};
use crate::pid::Pid;
use crate::wheel::Wheels;

/// What comes of [`Schedule::drive`].
pub(crate) type Driven = Option<Result<bool, StepLimit>>;

/// Puts actors that have something to do where they will be run.
pub(crate) trait Schedule: Send + Sync {
    fn schedule(&self, ready: Ready);

    /// Called by who is about to block this thread. Where actors run on this very thread it runs them
    /// until `done`, or until `deadline` or nothing can happen any more; whether it was done. `None`
    /// where they run elsewhere, so that the caller may block.
    fn drive(&self, deadline: Option<Instant>, done: &mut dyn FnMut() -> bool) -> Driven {
        let _ = (deadline, done);
        None
    }
    /// Calls `turn`, which runs an actor, on this thread and as a worker would; not where it is for the
    /// scheduler to choose who runs next.
    fn run_here(&self, turn: &mut dyn FnMut()) {
        let _ = turn;
    }

    /// The handler that runs on this thread is about to wait: others take over what the thread would run
    /// next. Whether anything was done, so that [`go_on`](Self::go_on) is due.
    fn make_way(&self) -> bool {
        false
    }

    /// The handler of `pid` goes on.
    fn go_on(&self, _pid: Pid) {}

    /// This thread is about to wait, in a handler or not: others take over whom it keeps to run outside of any.
    fn let_go(&self) {}
}

/// What the parts above the actors do at certain moments.
pub(crate) trait SystemHooks: ExitHook {
    /// A hot swap failed; `version` goes on running.
    fn swap_failed(&self, pid: Pid, version: u64, error: &str);

    /// The actor has been in one slice for at least so long, and holds up its thread.
    fn stalled(&self, pid: Pid, running_for: Duration);

    /// Another node stops the actor: its supervision ends. Whom to stop.
    fn unsupervise(&self, pid: Pid) -> Pid {
        pid
    }

    /// A slice that was reported as stalled is over.
    fn recovered(&self, pid: Pid, took: Duration);
}

pub(crate) struct System {
    table: Table,
    clock: Clock,
    scheduler: OnceLock<Box<dyn Schedule>>,
    hooks: OnceLock<Box<dyn SystemHooks>>,
    default_budget: u32,
    letters: Arc<DeadLetters>,
    late_replies: AtomicU64,
    pub(super) proxies: Proxies,
    wheels: OnceLock<Arc<Wheels>>,
    pub(super) peers_are_proved: AtomicBool,
}

impl System {
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new(default_budget: u32) -> Result<Self, getrandom::Error> {
        Ok(Self::of(Table::new()?, default_budget, Clock::real()))
    }

    /// A system with a clock of its own, whose PIDs do not depend on chance.
    pub(crate) fn simulated(default_budget: u32, first_generation: u32, clock: Clock) -> Self {
        Self::of(Table::starting_at(first_generation), default_budget, clock)
    }

    fn of(table: Table, default_budget: u32, clock: Clock) -> Self {
        Self {
            table,
            clock,
            scheduler: OnceLock::new(),
            hooks: OnceLock::new(),
            default_budget,
            letters: Arc::default(),
            late_replies: AtomicU64::new(0),
            proxies: Proxies::default(),
            wheels: OnceLock::new(),
            peers_are_proved: AtomicBool::new(false),
        }
    }

    /// Connects what is built after the system. Called once, before the first spawn.
    pub(crate) fn connect(self: &Arc<Self>, scheduler: Box<dyn Schedule>, hooks: Box<dyn SystemHooks>) {
        let connected = self.scheduler.set(scheduler).is_ok() && self.hooks.set(hooks).is_ok();
        assert!(connected, "a system is connected once");
        waker::register(self.table.runtime(), self);
    }

    /// Gives the system its timers. Called once, before the first spawn.
    pub(crate) fn connect_wheels(&self, wheels: Arc<Wheels>) {
        assert!(self.wheels.set(wheels).is_ok(), "a system is connected once");
    }

    /// The clock that decides when something is due.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// See [`Schedule::drive`].
    ///
    /// # Panics
    /// Where a simulation may take no more steps.
    pub(crate) fn drive(&self, deadline: Option<Instant>, done: &mut dyn FnMut() -> bool) -> Option<bool> {
        self.try_drive(deadline, done).transpose().unwrap_or_else(|limit| panic!("{limit}"))
    }

    /// See [`Schedule::drive`].
    pub(crate) fn try_drive(&self, deadline: Option<Instant>, done: &mut dyn FnMut() -> bool) -> Driven {
        self.scheduler.get()?.drive(deadline, done)
    }

    pub(crate) fn wheels(&self) -> &Arc<Wheels> {
        self.wheels.get().expect("a system is connected before its first timer")
    }

    /// The one way to start an actor.
    pub(crate) fn spawn(self: &Arc<Self>, behaviour: Box<dyn Behaviour>, options: SpawnOptions) -> Pid {
        let SpawnOptions {
            budget,
            lane,
            priority,
            mailbox,
            trap_exit,
            authenticated_only,
            linked,
            monitored,
        } = options;
        let starts = behaviour.starts();
        let mut flags = priority.flags() | if behaviour.accepts_bytes() { flag::BYTES } else { 0 };
        flags |= if authenticated_only { flag::GUARDED } else { 0 };
        let mut cell = Cell::new(behaviour, budget.unwrap_or(self.default_budget));
        cell.started = !starts;
        cell.trap_exit = trap_exit;
        if let Some(parent) = linked {
            cell.bonds.tables().links.insert(parent);
        }
        if let Some((watcher, monitor)) = monitored {
            cell.bonds.tables().watchers.push((monitor, Watcher::Actor(watcher)));
        }
        // After the calls into the behaviour: one that panics there must not cost a slot.
        let slot = self.take_slot();
        let pid = slot.pid();
        if let Mailbox::Bounded { capacity, overflow } = mailbox {
            flags |= flag::BOUNDED;
            cell.bounded = true;
            slot.bind(capacity, overflow);
        }
        let ready = slot.occupy(cell, flags, lane);
        if let Some((watcher, monitor)) = monitored {
            self.signal(watcher, Signal::Monitoring(monitor, pid));
        }
        if let Some(parent) = linked {
            self.link_back(pid, parent);
        }
        let ready = if starts { Some(ready) } else { ready.idle() };
        self.schedule(ready);
        pid
    }

    /// A free slot, the caller's alone.
    pub(super) fn take_slot(&self) -> &'static Slot {
        self.table.take_free().expect("four thousand million slots do not fit into memory")
    }

    /// The number of this runtime in this process.
    pub(super) fn runtime(&self) -> u32 {
        self.table.runtime()
    }

    /// The slot at which `pid` points, whether it lives there or not.
    pub(super) fn slot(&self, pid: Pid) -> Option<&'static Slot> {
        self.table.slot(pid)
    }

    /// Sends a system signal; whether the actor was alive to take it.
    #[inline(never)]
    pub(crate) fn signal(&self, pid: Pid, signal: Signal) -> bool {
        let Some(slot) = self.table.slot(pid) else { return false };
        if slot.has(flag::REMOTE) {
            return self.signal_remote(pid, signal);
        }
        match slot.push(pid, signal.seal()) {
            Ok(ready) => {
                self.schedule(ready);
                true
            }
            Err(_) => false,
        }
    }

    /// Sends an exit signal from `from` (S34); `Kill` cannot be trapped.
    pub(crate) fn exit(&self, pid: Pid, from: Option<Pid>, reason: ExitReason) -> bool {
        match reason {
            ExitReason::Kill => self.signal(pid, Signal::Kill),
            reason => self.signal(pid, Signal::Exit(ExitSignal { from, reason, linked: false, afar: false })),
        }
    }

    /// Completes a link that `pid` already has with `other`; a dead `other` answers with EXIT
    /// `noproc` (S33).
    pub(crate) fn link_back(&self, pid: Pid, other: Pid) {
        let exit = |from| {
            let reason = ExitReason::NoProcess;
            Signal::Exit(ExitSignal { from: Some(from), reason, linked: true, afar: false })
        };
        if !self.signal(other, Signal::Linked(pid)) {
            self.signal(pid, exit(other));
        } else if !self.is_alive(pid) {
            // It ended before `other` knew of the link and so took its EXIT for a stranger's.
            self.signal(other, exit(pid));
        }
    }

    /// Registers `watcher` with `target`; a dead target answers with DOWN `noproc` at once (S24).
    pub(crate) fn watch_for(&self, watcher: Pid, monitor: MonitorRef, target: Pid) {
        self.watch(target, monitor, Watcher::Actor(watcher));
    }

    pub(crate) fn watch(&self, target: Pid, monitor: MonitorRef, watcher: Watcher) {
        let back = match self.table.slot(target) {
            Some(slot) if slot.has(flag::REMOTE) => {
                return self.watch_remote(target, Signal::Watch(monitor, watcher));
            }
            Some(slot) => match slot.push(target, Signal::Watch(monitor, watcher).seal()) {
                Ok(ready) => return self.schedule(ready),
                Err(envelope) => envelope,
            },
            None => Signal::Watch(monitor, watcher).seal(),
        };
        self.undeliverable(target, back, &ExitReason::NoProcess);
    }

    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        self.table.slot(pid).is_some_and(|slot| slot.is_alive(pid))
    }

    /// Marks that the registry holds names of `pid`; `false` if it is dead.
    pub(crate) fn mark_named(&self, pid: Pid) -> bool {
        self.mark(pid, flag::NAMED)
    }

    /// Marks that a supervisor wants to hear of the end of `pid`; `false` if it is dead.
    pub(crate) fn mark_supervised(&self, pid: Pid) -> bool {
        self.mark(pid, flag::SUPERVISED)
    }

    /// Marks that `pid` owns remote monitors; `false` if it is dead.
    pub(crate) fn mark_owner(&self, pid: Pid) -> bool {
        self.mark(pid, flag::OWNER)
    }

    pub(crate) fn is_supervised(&self, pid: Pid) -> bool {
        self.living_slot(pid).is_some_and(|slot| slot.has(flag::SUPERVISED))
    }

    /// The messages that nobody will handle.
    pub(crate) fn letters(&self) -> &Arc<DeadLetters> {
        &self.letters
    }

    /// Accounts for a message that nobody will handle.
    pub(crate) fn dead_letter(&self, target: Pid, reason: DeadLetterReason, message: Option<Payload>) {
        self.letters.add(target, reason, message);
    }

    /// Answers that came when nobody waited any more.
    pub(crate) fn late_replies(&self) -> u64 {
        self.late_replies.load(Ordering::Relaxed)
    }

    pub(crate) fn count_late_reply(&self) {
        self.late_replies.fetch_add(1, Ordering::Relaxed);
    }

    /// The PIDs that live now, proxies apart.
    pub(crate) fn living(&self) -> impl Iterator<Item = Pid> + '_ {
        self.table.living()
    }

    /// Accounts for something sent to `target` that nobody will handle: messages become dead
    /// letters, who wanted to watch or link is told `reason`.
    pub(super) fn undeliverable(&self, target: Pid, envelope: Envelope, reason: &ExitReason) {
        match envelope {
            Envelope::User(message) => {
                let stale = *reason == ExitReason::NoProcess;
                let why = if stale { DeadLetterReason::NoProcess } else { DeadLetterReason::Ended };
                self.dead_letter(target, why, Some(message));
            }
            Envelope::Urgent(signal) => match *signal {
                Signal::Watch(monitor, watcher) => tell_watcher(self, monitor, watcher, target, reason),
                Signal::Linked(other) => {
                    let reason = reason.clone();
                    let exit = ExitSignal { from: Some(target), reason, linked: true, afar: false };
                    self.signal(other, Signal::Exit(exit));
                }
                other => discard(other),
            },
            Envelope::Ordered(placed) => discard(placed),
            Envelope::Exit(_) => {}
        }
    }

    /// Ends the bounded mailbox of an actor that was killed and whose handler does not return: who waits for
    /// room there is told now.
    pub(crate) fn abandon_mailbox(&self, pid: Pid) {
        let bounded = self.living_slot(pid).and_then(|slot| slot.bounded_for(pid));
        for message in bounded.into_iter().flat_map(|bounded| bounded.close_early(pid.generation())) {
            self.dead_letter(pid, DeadLetterReason::Ended, Some(message));
        }
    }

    pub(super) fn vacate(&self, closed: Closed) {
        self.table.give_back(closed.vacate());
    }

    pub(super) fn hooks(&self) -> &dyn SystemHooks {
        self.hooks.get().expect("a system is connected before its first spawn").as_ref()
    }

    pub(super) fn swap_failed(&self, pid: Pid, version: u64, error: &str) {
        self.hooks().swap_failed(pid, version, error);
    }

    pub(super) fn scheduler(&self) -> Option<&dyn Schedule> {
        self.scheduler.get().map(AsRef::as_ref)
    }

    #[inline(never)]
    pub(super) fn schedule(&self, ready: Option<Ready>) {
        if let Some(ready) = ready {
            self.scheduler.get().expect("a system is connected before its first spawn").schedule(ready);
        }
    }

    /// The waker of the futures of `pid`.
    pub(super) fn waker(&self, pid: Pid) -> Waker {
        self.table.slot(pid).map_or_else(|| Waker::noop().clone(), waker::of)
    }

    /// The lane that runs `pid`, 0 for the workers; `None` for the dead.
    pub(crate) fn lane_of(&self, pid: Pid) -> Option<u32> {
        self.living_slot(pid).map(Slot::lane)
    }

    pub(super) fn living_slot(&self, pid: Pid) -> Option<&'static Slot> {
        self.table.slot(pid).filter(|slot| slot.is_alive(pid))
    }

    fn mark(&self, pid: Pid, flag: u32) -> bool {
        let Some(slot) = self.living_slot(pid) else { return false };
        slot.flags.fetch_or(flag, Ordering::AcqRel);
        slot.is_alive(pid)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        waker::unregister(self.table.runtime());
    }
}
