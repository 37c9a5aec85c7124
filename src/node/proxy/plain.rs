//! An actor of a node that speaks the documented framing only, as its proxy sees it: messages reach it, and
//! the loss of its node is noticed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::far::{is_lost, refused};
use crate::actor::{
    AskError, ExitReason, LaterSend, MonitorRef, Reference, Remote, Reply, Signal, System, SystemMessage,
    Watcher,
};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::node::{RemoteMonitor, WeakNode};
use crate::pid::Pid;
use crate::transport::NodeAddr;

pub(super) struct Plain {
    node: WeakNode,
    addr: NodeAddr,
    pid: Pid,
    /// By the numbers that they have here; those that have not fired.
    monitors: Arc<Mutex<Monitors>>,
}

type Monitors = HashMap<MonitorRef, Option<RemoteMonitor>>;

impl Plain {
    pub(super) fn new(node: WeakNode, addr: NodeAddr, pid: Pid) -> Self {
        Self { node, addr, pid, monitors: Arc::default() }
    }

    fn watch(&self, system: Arc<System>, proxy: Pid, monitor: MonitorRef, watcher: Watcher) {
        let Some(node) = self.node.upgrade() else { return };
        let (monitors, addr) = (self.monitors.clone(), self.addr.clone());
        lock(&monitors).insert(monitor, None);
        let fired = self.monitors.clone();
        let on_down = Box::new(move |down: crate::node::RemoteDown| {
            if lock(&fired).remove(&monitor).is_some() {
                system.tell_watcher(monitor, watcher, proxy, &down.reason.into_exit(&addr));
            }
        });
        let made = node.monitor(&self.addr, self.pid, on_down);
        // It may have fired meanwhile.
        if let Some(place) = lock(&monitors).get_mut(&monitor) {
            *place = Some(made);
        }
    }

    fn unwatch(&self, monitor: MonitorRef) {
        let removed = lock(&self.monitors).remove(&monitor).flatten();
        if let (Some(made), Some(node)) = (removed, self.node.upgrade()) {
            node.demonitor(made);
        }
    }

    fn ping(&self, system: Arc<System>, proxy: Pid, from: Pid) {
        let (Some(node), addr) = (self.node.upgrade(), self.addr.clone()) else { return };
        node.shared().clone().spawn(async move {
            if node.is_up(&addr).await {
                system.signal(from, Signal::System(SystemMessage::Pong { from: proxy }));
            }
        });
    }
}

impl Remote for Plain {
    fn send(&self, proxy: Pid, message: Bytes) -> Result<(), SendError<Bytes>> {
        let Some(node) = self.node.upgrade() else { return Err(is_lost(proxy, message)) };
        let sent = node.try_send(&self.addr, self.pid, message);
        sent.map_err(|error| refused(proxy, error))
    }

    fn send_later(&self, proxy: Pid, message: Bytes, limit: Option<Duration>) -> LaterSend<'_> {
        Box::pin(async move {
            let Some(node) = self.node.upgrade() else { return Err(is_lost(proxy, message)) };
            let sent = node.send_within(&self.addr, self.pid, message, limit).await;
            sent.map_err(|error| refused(proxy, error))
        })
    }

    fn ask(&self, _: Bytes, reply: Reply<Payload>, _: Option<Instant>) {
        let asked = reply.asked();
        reply.refuse(AskError::Unsupported(asked));
    }

    fn signal(&self, proxy: Pid, signal: Signal) -> Result<(), Signal> {
        let Some(system) = self.node.upgrade().and_then(|node| node.shared().system()) else {
            return Err(signal);
        };
        match signal {
            Signal::Watch(monitor, watcher) => self.watch(system, proxy, monitor, watcher),
            Signal::Unwatch(monitor) => self.unwatch(monitor),
            Signal::Ping(from) => self.ping(system, proxy, from),
            Signal::Linked(near) => {
                let reason = format!(
                    "{}: it speaks the documented framing only, and cannot be linked with: monitor it",
                    self.addr
                );
                system.exit_from(near, Some(proxy), ExitReason::NoConnection(reason), true);
            }
            Signal::Unlinked(_) => {}
            other => return Err(other),
        }
        Ok(())
    }

    fn takes_links(&self) -> bool {
        false
    }

    fn reference(&self) -> Reference {
        Reference::new(Some(self.addr.clone()), None, self.pid)
    }
}

fn lock(monitors: &Mutex<Monitors>) -> MutexGuard<'_, Monitors> {
    monitors.lock().unwrap_or_else(PoisonError::into_inner)
}
