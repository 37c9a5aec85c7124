//! What can be asked about actors, and about messages that nobody handled.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::Runtime;
use crate::actor::{ActorBonds, ActorInfo, DeadLetter, DeadLetterReason, DeadLetterWatch, LateReplies};
use crate::error::StepLimit;
use crate::mailbox::Payload;
use crate::pid::Pid;

/// Why an actor did not tell its bonds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// It has ended.
    #[error("no actor {0} here: it has ended, or the PID belongs to another node or runtime")]
    NoProcess(Pid),
    /// It is busy with one message.
    #[error("actor {0} has not answered in time: its handler has not returned")]
    Timeout(Pid),
}

impl Runtime {
    /// The PIDs that live now.
    pub fn actors(&self) -> Vec<Pid> {
        self.inner.system.living().collect()
    }

    /// Messages that nobody handled and whose senders could not be told; see [`DeadLetterReason`].
    pub fn dead_letters(&self) -> u64 {
        self.inner.system.letters().total()
    }

    /// Those of the [dead letters](Self::dead_letters) that have this reason.
    pub fn dead_letters_by(&self, reason: DeadLetterReason) -> u64 {
        self.inner.system.letters().count(reason)
    }

    /// Shows every later dead letter to `sink`, until what this returns is dropped. There may be several
    /// sinks. One is called where the letter is lost, on a thread of the runtime or of a sender, under no
    /// lock: it must not wait. A panic in it is logged and goes no further; what it loses itself is
    /// counted and not shown. A call that runs when the watch is dropped is not waited for.
    pub fn on_dead_letter(&self, sink: impl Fn(&DeadLetter) + Send + Sync + 'static) -> DeadLetterWatch {
        self.inner.system.letters().watch(Arc::new(sink))
    }

    /// Accounts for a `message` that `target` was sent and that nobody will handle, for `reason`, and shows it to the sinks: to be
    /// called under no lock. For a language binding, the behaviours of which take messages before they are begun.
    pub fn add_dead_letter(&self, target: Pid, reason: DeadLetterReason, message: Payload) {
        self.inner.system.dead_letter(target, reason, Some(message));
    }

    /// Answers to asks that came when nobody waited for them any more.
    pub fn late_replies(&self) -> u64 {
        self.inner.system.late_replies()
    }

    /// What counts one of those; for a language binding.
    pub fn late_reply_counter(&self) -> LateReplies {
        LateReplies::of(&self.inner.system)
    }

    /// What senders can see of an actor, without asking it; `None` for the dead, and for one of another node, of which
    /// nothing can be seen here.
    pub fn info(&self, pid: Pid) -> Option<ActorInfo> {
        if self.is_remote(pid) {
            return None;
        }
        let info = self.inner.system.info(pid)?;
        Some(ActorInfo { names: self.inner.registry.names_of(pid), ..info })
    }

    /// The number of the lane that runs an actor, 0 for the workers; `None` for the dead.
    pub fn lane_of(&self, pid: Pid) -> Option<u32> {
        self.inner.system.lane_of(pid)
    }

    /// Waits until no actor is ready or running, at most for `within`; whether that came about. For tests:
    /// what has happened by then is reported.
    pub fn wait_quiet(&self, within: Duration) -> bool {
        self.inner.scheduler.wait_quiet(self.clock().now() + within)
    }

    /// In a [simulation](crate::sim), on its thread: runs the actors until `done`, or until `within` is over by the
    /// runtime's clock or nothing can happen any more; whether it is done. `None` elsewhere, where actors run by
    /// themselves. For calls that wait in a way of their own.
    ///
    /// # Errors
    /// Where the simulation may take no more steps.
    pub fn drive_until(
        &self,
        within: Option<Duration>,
        mut done: impl FnMut() -> bool,
    ) -> Result<Option<bool>, StepLimit> {
        let deadline = within.and_then(|within| self.clock().now().checked_add(within));
        self.inner.system.try_drive(deadline, &mut done).transpose()
    }

    /// Whether [`drive_until`](Self::drive_until) runs the actors here.
    pub fn is_driven_here(&self) -> bool {
        self.inner.scheduler.is_driven_here()
    }

    /// Asks an actor for its links, monitors and versions. It answers before its next message, also
    /// while it waits for a future (S41).
    ///
    /// # Errors
    /// If it has ended, or its handler does not return in time.
    pub fn bonds(&self, pid: Pid, within: Duration) -> Result<ActorBonds, InspectError> {
        let system = &self.inner.system;
        let (tell, told) = sync_channel(1);
        if !system.inspect(pid, Box::new(move |bonds| drop(tell.try_send(bonds)))) {
            return Err(InspectError::NoProcess(pid));
        }
        let mut early = None;
        let mut known = || {
            early = early.take().or_else(|| told.try_recv().ok());
            early.is_some() || !system.is_alive(pid)
        };
        system.drive(self.clock().now().checked_add(within), &mut known);
        let late = || system.block_in_place(|| told.recv_timeout(within));
        early.map_or_else(late, Ok).map_err(|error| match error {
            RecvTimeoutError::Timeout => InspectError::Timeout(pid),
            RecvTimeoutError::Disconnected => InspectError::NoProcess(pid),
        })
    }
}
