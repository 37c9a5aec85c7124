//! An actor of this very node behind a name that is followed.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::far::is_lost;
use crate::actor::{
    AskError, ExitReason, LaterSend, MonitorRef, Reference, Remote, Reply, Request, Signal, System, Watcher,
};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::node::WeakNode;
use crate::pid::Pid;

pub(super) struct Own {
    node: WeakNode,
    system: Weak<System>,
    pid: Pid,
}

impl Own {
    pub(super) fn new(node: WeakNode, system: &Arc<System>, pid: Pid) -> Self {
        Self { node, system: Arc::downgrade(system), pid }
    }

    /// Tells of the actor's end in the name of its proxy.
    fn watch(&self, system: &Arc<System>, proxy: Pid, monitor: MonitorRef, watcher: Watcher) {
        let teller = self.system.clone();
        let told = Watcher::Once(Box::new(move |reason: &ExitReason| {
            if let Some(system) = teller.upgrade() {
                system.tell_watcher(monitor, watcher, proxy, reason);
            }
        }));
        system.watch(self.pid, monitor, told);
    }
}

impl Remote for Own {
    fn send(&self, proxy: Pid, message: Bytes) -> Result<(), SendError<Bytes>> {
        let Some(system) = self.system.upgrade() else { return Err(is_lost(proxy, message)) };
        let sent = system.send(self.pid, Payload::Bytes(message));
        sent.map_err(|error| in_the_name_of(proxy, error))
    }

    fn send_later(&self, proxy: Pid, message: Bytes, limit: Option<Duration>) -> LaterSend<'_> {
        Box::pin(async move {
            let Some(system) = self.system.upgrade() else { return Err(is_lost(proxy, message)) };
            let sent = system.send_async(self.pid, Payload::Bytes(message), limit).await;
            sent.map_err(|error| in_the_name_of(proxy, error))
        })
    }

    fn ask(&self, message: Bytes, reply: Reply<Payload>, deadline: Option<Instant>) {
        let pid = reply.asked();
        let Some(system) = self.system.upgrade() else { return };
        if let Err(error) = system.send(self.pid, Request::question(message, reply, deadline)) {
            let refusal = match &error {
                SendError::Full { .. } => AskError::Full(pid),
                SendError::NotBytes { .. } => AskError::NotBytes(pid),
                _ => AskError::NoProcess(pid),
            };
            if let (_, Some(reply)) = Request::open(error.into_message()) {
                reply.refuse(refusal);
            }
        }
    }

    fn signal(&self, proxy: Pid, signal: Signal) -> Result<(), Signal> {
        let Some(system) = self.system.upgrade() else { return Err(signal) };
        match signal {
            Signal::Watch(monitor, watcher) => self.watch(&system, proxy, monitor, watcher),
            // Nobody is linked with it by this PID.
            Signal::Linked(_) | Signal::Unlinked(_) => {}
            Signal::Stop(reason) => drop(system.stop_from_afar(self.pid, reason)),
            other => drop(system.signal(self.pid, other)),
        }
        Ok(())
    }

    fn takes_links(&self) -> bool {
        false
    }

    fn reference(&self) -> Reference {
        match self.node.upgrade() {
            Some(node) => node.reference(self.pid),
            None => Reference::new(None, None, self.pid),
        }
    }
}

fn in_the_name_of(proxy: Pid, error: SendError<Payload>) -> SendError<Bytes> {
    // It was made of bytes, and comes back as it was.
    let bytes = |message: Payload| message.into_bytes().unwrap_or_default();
    match error {
        SendError::Full { message, .. } => SendError::Full { pid: proxy, message: bytes(message) },
        SendError::NotBytes { message, .. } => SendError::NotBytes { pid: proxy, message: bytes(message) },
        other => SendError::NoProcess { pid: proxy, message: bytes(other.into_message()) },
    }
}
