//! Actors that follow how things stand with other nodes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Runtime;
use crate::actor::{MonitorRef, Signal, System, SystemMessage, Watcher};
use crate::node::{Node, NodeWatch};
use crate::pid::Pid;

/// The actors of one runtime that follow the nodes.
#[derive(Default)]
pub(super) struct NodeMonitors(Arc<Mutex<HashMap<Pid, NodeWatch>>>);

impl NodeMonitors {
    /// False if the actor has ended, or is one of another node.
    fn add(&self, pid: Pid, node: &Node, system: &Arc<System>) -> bool {
        if system.is_remote(pid) {
            return false;
        }
        if !system.is_alive(pid) || self.watches().contains_key(&pid) {
            return system.is_alive(pid);
        }
        let told = system.clone();
        let watch = node.on_event(move |event| {
            told.signal(pid, Signal::System(SystemMessage::Node(Box::new(event.clone()))));
        });
        self.watches().insert(pid, watch);
        let watches = Arc::downgrade(&self.0);
        let forget = Watcher::Once(Box::new(move |_| {
            if let Some(watches) = watches.upgrade() {
                let _over = lock(&watches).remove(&pid);
            }
        }));
        system.watch(pid, MonitorRef::next(), forget);
        true
    }

    fn remove(&self, pid: Pid) -> bool {
        self.watches().remove(&pid).is_some()
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<Pid, NodeWatch>> {
        lock(&self.0)
    }
}

/// Following other nodes.
impl Runtime {
    /// From now on `pid` gets a [`SystemMessage::Node`] when another node comes up, goes down, stalls or
    /// recovers, in its place among its messages, until [`demonitor_nodes`](Self::demonitor_nodes) or its
    /// end. Asking twice changes nothing. Returns `false` if the actor has ended,
    /// or is one of another node.
    ///
    /// What is up already is not told: ask [`Node::nodes`](crate::node::Node::nodes) afterwards, and nothing
    /// is missed. Who is no actor uses [`Node::on_event`](crate::node::Node::on_event).
    pub fn monitor_nodes(&self, pid: Pid) -> bool {
        self.inner.node_monitors.add(pid, &self.inner.node, &self.inner.system)
    }

    /// Ends what [`monitor_nodes`](Self::monitor_nodes) began; what is queued already still comes. `false` if
    /// it was not begun.
    pub fn demonitor_nodes(&self, pid: Pid) -> bool {
        self.inner.node_monitors.remove(pid)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
