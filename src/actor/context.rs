//! What a handler may see and do.

use std::cell::Cell;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::cell::Bonds;
use super::signal::{MonitorRef, Signal};
use super::{Behaviour, ExitReason, SpawnOptions, System};
use crate::error::{SendError, SendManyError};
use crate::mailbox::Payload;
use crate::pid::Pid;
use crate::sync::thread_local;
use crate::wheel::TimerId;

thread_local! {
    static CURRENT: Cell<Option<Pid>> = const { Cell::new(None) };
}

/// The actor whose handler runs on this thread, if any.
pub fn current() -> Option<Pid> {
    CURRENT.with(Cell::get)
}

/// Marks the actor that runs on this thread until dropped.
pub(crate) struct Running(Option<Pid>);

impl Running {
    pub(super) fn enter(pid: Pid) -> Self {
        Self(CURRENT.with(|current| current.replace(Some(pid))))
    }

    /// Marks that no actor runs, where what comes next is not part of a handler below on the stack.
    pub(crate) fn nobody() -> Self {
        Self(CURRENT.with(Cell::take))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.0));
    }
}

/// Passed to every handler: the actor's own PID, and what it may do.
pub struct Context<'a> {
    pub(super) system: &'a Arc<System>,
    pub(super) pid: Pid,
    pub(super) bonds: &'a mut Bonds,
    pub(super) trap_exit: &'a mut bool,
    /// Reductions spent in this slice.
    pub(super) spent: &'a mut u32,
}

impl Context<'_> {
    /// The PID of this actor.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Wakes this actor while it waits ([`Flow::Waiting`](super::Flow::Waiting)). It costs no
    /// allocation, and keeps neither the actor nor its runtime; after their end it does nothing.
    pub fn waker(&self) -> Waker {
        self.system.waker(self.pid)
    }

    /// The time by the runtime's clock, which in a [simulation](crate::sim) is not the machine's.
    pub fn now(&self) -> Instant {
        self.system.clock().now()
    }

    /// Whether a supervisor restarts this actor, and so stops it when what it depends on is lost.
    pub fn is_supervised(&self) -> bool {
        self.system.is_supervised(self.pid)
    }

    /// Sends a message to a local actor. Never waits.
    ///
    /// # Errors
    /// Hands the message back if the actor is dead or does not take bytes, or if its bounded mailbox is
    /// full and rejects it.
    pub fn send(&self, pid: Pid, message: impl Into<Payload>) -> Result<(), SendError<Payload>> {
        self.system.send(pid, message.into())
    }

    /// Sends `message` to this actor itself after `delay`, unless it has ended. It takes its place in the
    /// mailbox then (S41). `M` must be the actor's own type of message, or what arrives is a dead
    /// letter.
    pub fn send_after<M: Send + 'static>(&self, delay: Duration, message: M) -> TimerId {
        self.system.send_after(delay, self.pid, Payload::of(message))
    }

    /// Takes a timer back; `false` if it had gone off or was cancelled before.
    pub fn cancel_timer(&self, timer: TimerId) -> bool {
        self.system.cancel_timer(timer)
    }

    /// Sends many messages to a local actor in one step; see
    /// [`ActorRef::send_many`](super::ActorRef::send_many).
    ///
    /// # Errors
    /// Hands back what was not sent.
    pub fn send_many<P: Into<Payload>>(
        &self,
        pid: Pid,
        messages: impl IntoIterator<Item = P>,
    ) -> Result<usize, SendManyError<Payload>> {
        self.system.send_many(pid, messages.into_iter().map(Into::into))
    }

    /// Starts an actor. With [`SpawnOptions::linked`] it is linked to this one from the start.
    pub fn spawn(&self, behaviour: Box<dyn Behaviour>, options: SpawnOptions) -> Pid {
        self.system.spawn(behaviour, options)
    }

    /// Calls `f`, which may block the thread: meanwhile other actors run as if this one did not hold a worker,
    /// at most [`spare_workers`](crate::config::RuntimeConfig::spare_workers) such calls at once. This
    /// actor handles nothing else before `f` returns, and is not reported as stalled. In a
    /// [simulation](crate::sim) nothing runs meanwhile: `f` must not wait for another actor there, except by
    /// one of the calls below.
    ///
    /// `ask_blocking`, `send_blocking`, `Runtime::join` and `Task::wait` do this themselves. For long or frequent blocking work
    /// [`SpawnOptions::blocking`] is better.
    pub fn block_in_place<T>(&self, f: impl FnOnce() -> T) -> T {
        self.system.block_in_place(f)
    }

    /// Counts `reductions` of work towards this slice's budget, beyond the one of the message.
    pub fn consume(&mut self, reductions: u32) {
        *self.spent = self.spent.saturating_add(reductions);
    }

    /// Whether exits of linked actors arrive as messages instead of ending this actor.
    pub fn trap_exit(&mut self, trap: bool) {
        *self.trap_exit = trap;
    }

    /// Links this actor to `other`: if one crashes, so does the other. Linking twice is linking
    /// once (S32). If `other` is dead this actor gets its EXIT `noproc` (S33).
    pub fn link(&mut self, other: Pid) {
        if other != self.pid && self.bonds.tables().links.insert(other) {
            self.system.link_back(self.pid, other);
        }
    }

    /// Removes the link in both directions.
    pub fn unlink(&mut self, other: Pid) {
        if self.bonds.tables().links.remove(&other) {
            self.system.signal(other, Signal::Unlinked(self.pid));
        }
    }

    /// Asks for one DOWN when `target` ends; at once, with `noproc`, if it is dead (S24).
    pub fn monitor(&mut self, target: Pid) -> MonitorRef {
        let monitor = MonitorRef::next();
        self.bonds.tables().monitoring.insert(monitor, target);
        self.system.watch_for(self.pid, monitor, target);
        monitor
    }

    /// Takes a monitor back. No DOWN of it arrives afterwards, not even one already queued (S27).
    pub fn demonitor(&mut self, monitor: MonitorRef) {
        if let Some(target) = self.bonds.tables().monitoring.remove(&monitor) {
            self.system.signal(target, Signal::Unwatch(monitor));
        }
    }

    /// Says that who asked has been told of the failure with which this handler is about to end its actor: for a
    /// language binding whose messages carry ways back of its own. It shows in
    /// [`Event::Crash`](crate::runtime::Event::Crash).
    pub fn asker_is_told(&mut self) {
        self.bonds.tables().asker_told = true;
    }

    /// Sends an exit signal, as if this actor had ended with `reason`.
    pub fn exit(&self, pid: Pid, reason: ExitReason) -> bool {
        self.system.exit(pid, Some(self.pid), reason)
    }
}
