//! What the mesh needs of this runtime, and the transport of one that has none.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::Engine;
use crate::actor::{DeadLetterReason, ExitReason, Mark, MonitorRef, Signal, System, Watcher};
use crate::mailbox::Payload;
use crate::node::LocalNode;
use crate::pid::Pid;
use crate::registry::Registry;
use crate::scheduler::Job;
use crate::transport::{Connection, Listener, NodeAddr, Transport, TransportError};

pub(super) struct Local {
    pub(super) system: Arc<System>,
    pub(super) registry: Arc<Registry>,
    pub(super) scheduler: Engine,
    /// When a lane that gives no sign of life counts as stuck.
    pub(super) stuck_after: Duration,
}

impl LocalNode for Local {
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>) {
        let mut messages = batch.drain(..).peekable();
        while let Some((pid, first)) = messages.next() {
            let first = Payload::Bytes(first);
            let refused = if self.system.is_remote(pid) {
                Some(DeadLetterReason::NoProcess)
            } else {
                (!self.system.admits_peers(pid)).then_some(DeadLetterReason::Unreadable)
            };
            if let Some(reason) = refused {
                self.system.dead_letter(pid, reason, Some(first));
                continue;
            }
            if messages.peek().is_none_or(|(to, _)| *to != pid) {
                self.deliver_one(pid, first);
                continue;
            }
            let rest = std::iter::from_fn(|| messages.next_if(|(to, _)| *to == pid));
            let run = std::iter::once(first).chain(rest.map(|(_, message)| Payload::Bytes(message)));
            if let Err(unsent) = self.system.send_many(pid, run) {
                unsent.into_messages().into_iter().for_each(|message| self.deliver_one(pid, message));
            }
        }
    }

    fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        self.system.mailbox_size(pid)
    }

    fn is_overfull(&self, pid: Pid) -> bool {
        self.system.is_overfull(pid)
    }

    fn mark(&self, pid: Pid, reached: Box<dyn FnOnce() + Send>) {
        self.system.signal(pid, Signal::Mark(Mark::new(reached)));
    }

    fn whereis(&self, name: &str) -> Option<Pid> {
        self.registry.whereis(name)
    }

    fn watch(&self, pid: Pid, on_exit: Box<dyn FnOnce(&ExitReason) + Send>) -> MonitorRef {
        let monitor = MonitorRef::next();
        self.system.watch(pid, monitor, Watcher::Once(on_exit));
        monitor
    }

    fn unwatch(&self, pid: Pid, monitor: MonitorRef) {
        self.system.signal(pid, Signal::Unwatch(monitor));
    }

    fn on_worker(&self, job: Job) {
        self.scheduler.submit(job);
    }

    fn stuck_for(&self) -> Option<Duration> {
        Some(self.scheduler.pulse_of_lanes()).filter(|age| *age > self.stuck_after)
    }
}

impl Local {
    fn deliver_one(&self, pid: Pid, message: Payload) {
        if let Err(unsent) = self.system.deliver(pid, message) {
            self.system.letters().add_unsent(unsent);
        }
    }
}

/// Stands where a runtime was built without a transport, and says so.
pub(super) struct NoTransport;

impl NoTransport {
    fn refuse<T>() -> Result<T, TransportError> {
        let text = "this runtime has no transport: build it with RuntimeBuilder::transport(…), \
                    for example a TcpTransport or a QuicTransport";
        Err(TransportError::Refused(text.to_owned()))
    }
}

#[async_trait]
impl Transport for NoTransport {
    fn scheme(&self) -> &'static str {
        "none"
    }

    async fn bind(&self, _: &NodeAddr) -> Result<Box<dyn Listener>, TransportError> {
        Self::refuse()
    }

    async fn connect(&self, _: &NodeAddr) -> Result<Box<dyn Connection>, TransportError> {
        Self::refuse()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use crate::Runtime;

    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    #[cfg_attr(myrmidon_loom, ignore = "runs outside of a model")]
    fn what_a_job_makes_ready_runs_though_the_worker_has_nothing_else_to_do() {
        let rt = Runtime::builder().workers(1).start().unwrap();
        for _ in 0..20 {
            let (tell, told) = sync_channel(1);
            let other = rt.spawn_fn(move |_, _| tell.send(()).unwrap());
            let ((go, gate), (begin, begun)) = (sync_channel::<()>(1), sync_channel(1));
            let holder = rt.spawn_fn(move |_, _| {
                begin.send(()).unwrap();
                gate.recv().unwrap();
            });
            rt.send(holder, "x").unwrap();
            begun.recv_timeout(DEADLINE).unwrap();
            // The worker finds it after this turn, with all its own queues empty.
            let handle = rt.clone();
            rt.inner.scheduler.submit(Box::new(move || handle.send(other, "x").unwrap()));
            go.send(()).unwrap();
            told.recv_timeout(DEADLINE).unwrap();
        }
    }
}
