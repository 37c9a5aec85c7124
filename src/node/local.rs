//! What the node needs of the runtime that it belongs to.

use std::time::Duration;

use bytes::Bytes;

use crate::actor::{ExitReason, MonitorRef};
use crate::pid::Pid;

/// The local side of a node. The mesh knows actors only through this.
pub trait LocalNode: Send + Sync + 'static {
    /// Delivers messages in order and leaves `batch` empty.
    ///
    /// Messages for dead PIDs are counted as dead letters by the receiver. What finds a mailbox full is taken all the
    /// same, unless it is dropped by the policy of the mailbox: its sender was told that it is on its way. Called from
    /// I/O tasks, so it must not block.
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>);

    /// Messages that wait in an actor's mailbox; `None` for the dead.
    fn mailbox_size(&self, pid: Pid) -> Option<usize>;

    /// Whether more waits there than the mailbox has room for, so that peers are to spare the actor.
    fn is_overfull(&self, pid: Pid) -> bool {
        let _ = pid;
        false
    }

    /// Calls `reached` once, when `pid` has handled what was delivered to it before, or has ended: on any
    /// thread, at once if it is dead. The call is short, and does not wait.
    fn mark(&self, pid: Pid, reached: Box<dyn FnOnce() + Send>);

    /// The living actor behind `name`.
    fn whereis(&self, name: &str) -> Option<Pid>;

    /// Calls `on_exit` once with the reason when the actor ends, on any thread; at once and with
    /// [`ExitReason::NoProcess`] if there is none. It does not wait.
    fn watch(&self, pid: Pid, on_exit: Box<dyn FnOnce(&ExitReason) + Send>) -> MonitorRef;

    /// Takes a [`watch`](Self::watch) back: its call is dropped.
    fn unwatch(&self, pid: Pid, monitor: MonitorRef);

    /// Runs `job` on a scheduler worker, so that a frozen scheduler is noticed by who waits for it
    /// (D12). A runtime that has ended drops the job.
    fn on_worker(&self, job: Box<dyn FnOnce() + Send>);

    /// For how long the handlers of a language binding have not run though they were asked for a sign of
    /// life, where that is too long; each call may ask anew. Peers are told, and call this node stalled.
    fn stuck_for(&self) -> Option<Duration> {
        None
    }
}
