//! Timers: messages sent later, once or again and again, and futures that wait.

mod sleep;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::actor::{System, discard};
use crate::mailbox::Payload;
use crate::pid::Pid;
pub use crate::wheel::TimerId;
pub use sleep::Sleep;

/// The timers of one runtime, cheap to clone.
///
/// They count in steps of about a millisecond, and go off when the step after their time begins:
/// never early, in the order of their times. A timer ends with its actor: its memory is free at once.
#[derive(Clone)]
pub struct Timers {
    system: Arc<System>,
}

impl Timers {
    pub(crate) fn new(system: Arc<System>) -> Self {
        Self { system }
    }

    /// Sends `message` to `pid` after `delay`. The message takes its place in the mailbox like any
    /// other (S41). If the actor has ended already, or the runtime goes down, it is a dead letter and
    /// the id names no timer.
    pub fn send_after(&self, delay: Duration, pid: Pid, message: impl Into<Payload>) -> TimerId {
        self.system.send_after(delay, pid, message.into())
    }

    /// Sends `message` to `pid` every `period`, the first time after one period, until cancelled or
    /// the actor ends. Periods that were missed are skipped, not made up. A shorter period counts as
    /// one millisecond.
    pub fn send_interval(&self, period: Duration, pid: Pid, message: impl Into<Bytes>) -> TimerId {
        self.system.send_every(period, pid, message.into())
    }

    /// Takes a timer back; `false` if it had gone off for the last time or was cancelled before.
    pub fn cancel(&self, timer: TimerId) -> bool {
        self.system.cancel_timer(timer)
    }

    /// A future that is ready after `delay`, counted from this call. It needs no tokio, and an async
    /// actor may wait for it. When the runtime is shut down it is ready at once.
    pub fn sleep(&self, delay: Duration) -> Sleep {
        Sleep::new(self.system.wheels(), delay)
    }

    /// Timers that wait to send.
    pub fn len(&self) -> usize {
        self.system.wheels().len()
    }

    /// Whether no timer waits to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When [`fire_due`](Self::fire_due) has something to do.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.system.wheels().next_due_at()
    }

    /// Sends what is due. For simulations, where no thread of the timers does.
    pub(crate) fn fire_due(&self, now: Instant) {
        self.system.wheels().fire_due_at(now);
    }

    /// Sends nothing any more, and drops the messages. Futures still wait and are woken.
    pub(crate) fn stop(&self) {
        self.system.wheels().drain().into_iter().for_each(discard);
    }

    /// Wakes whoever still waits: the runtime is down.
    pub(crate) fn close(&self) {
        self.system.wheels().close();
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("waiting", &self.len()).finish()
    }
}
