//! What the node needs of the runtime that it belongs to.

use bytes::Bytes;

use crate::pid::Pid;

/// The local side of a node. The mesh knows actors only through this.
pub trait LocalNode: Send + Sync + 'static {
    /// Delivers messages in order and leaves `batch` empty.
    ///
    /// Messages for dead PIDs are counted as dead letters by the receiver. Called from I/O tasks, so
    /// it must not block.
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>);

    /// The living actor behind `name`.
    fn whereis(&self, name: &str) -> Option<Pid>;

    /// Runs `job` on a scheduler worker, so that a frozen scheduler is noticed by who waits for it
    /// (D12). A runtime that has ended drops the job.
    fn on_worker(&self, job: Box<dyn FnOnce() + Send>);
}
