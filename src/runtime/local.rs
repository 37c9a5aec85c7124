//! What the mesh needs of this runtime, and the transport of one that has none.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::Engine;
use crate::actor::{ExitReason, MonitorRef, Signal, System, Watcher};
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
}

impl LocalNode for Local {
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>) {
        for (pid, message) in batch.drain(..) {
            if let Err(unsent) = self.system.send(pid, Payload::Bytes(message)) {
                self.system.letters().add_unsent(unsent);
            }
        }
    }

    fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        self.system.mailbox_size(pid)
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
