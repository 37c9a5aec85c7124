//! Who wants to know when a peer is gone.

use std::collections::HashMap;

use super::error::{DownReason, RemoteDown};
use crate::pid::Pid;
use crate::transport::NodeAddr;

/// Monitors at one peer (L20).
pub(super) const MAX_MONITORS: usize = 100_000;

/// Called once when a monitored actor can no longer be reached. It runs on an I/O thread and must be
/// short.
pub(super) type OnDown = Box<dyn FnOnce(RemoteDown) + Send>;

/// A callback with the event it is to be told.
pub(super) struct Firing {
    pub(super) on_down: OnDown,
    pub(super) event: RemoteDown,
}

/// The monitors at one peer. Each leaves the table exactly once: fired, or removed.
pub(super) struct Monitors {
    addr: NodeAddr,
    entries: HashMap<u64, Entry>,
}

struct Entry {
    pid: Pid,
    /// The actor that monitors, if one does.
    from: Option<Pid>,
    on_down: OnDown,
}

impl Monitors {
    pub(super) fn new(addr: NodeAddr) -> Self {
        Self { addr, entries: HashMap::new() }
    }

    /// Adds a monitor; at the bound it is handed back, to be told so at once.
    pub(super) fn add(
        &mut self,
        id: u64,
        pid: Pid,
        from: Option<Pid>,
        on_down: OnDown,
    ) -> Result<(), Box<Firing>> {
        if self.entries.len() >= MAX_MONITORS {
            let reason = DownReason::TooManyMonitors(MAX_MONITORS);
            return Err(Box::new(self.firing(pid, on_down, reason)));
        }
        self.entries.insert(id, Entry { pid, from, on_down });
        Ok(())
    }

    /// Takes a monitor out, unless it has fired.
    pub(super) fn remove(&mut self, id: u64) -> Option<(Pid, OnDown)> {
        self.entries.remove(&id).map(|entry| (entry.pid, entry.on_down))
    }

    /// Every monitor with its target and who made it, oldest first.
    pub(super) fn all(&self) -> Vec<(u64, Pid, Option<Pid>)> {
        let mut all: Vec<_> = self.entries.iter().map(|(id, entry)| (*id, entry.pid, entry.from)).collect();
        all.sort_unstable_by_key(|(id, ..)| *id);
        all
    }

    /// Takes all monitors out, oldest first, each with its event.
    pub(super) fn fire(&mut self, reason: &DownReason) -> Vec<Firing> {
        let mut entries: Vec<_> = std::mem::take(&mut self.entries).into_iter().collect();
        entries.sort_unstable_by_key(|(id, _)| *id);
        entries
            .into_iter()
            .map(|(_, Entry { pid, on_down, .. })| self.firing(pid, on_down, reason.clone()))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn firing(&self, pid: Pid, on_down: OnDown, reason: DownReason) -> Firing {
        Firing { on_down, event: RemoteDown { addr: self.addr.clone(), pid, reason } }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn g6_every_monitor_fires_exactly_once_in_order_or_was_removed() {
        let mut monitors = Monitors::new(NodeAddr::new("peer", 1));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for id in 0..10 {
            let seen = seen.clone();
            let pid = Pid::new(1, id).unwrap();
            let on_down = Box::new(move |down: RemoteDown| seen.lock().unwrap().push(down.pid.index()));
            assert!(monitors.add(id.into(), pid, None, on_down).is_ok());
        }
        assert!(monitors.remove(3).is_some() && monitors.remove(3).is_none());
        let reason = DownReason::Crashed("reset".into());
        for firing in monitors.fire(&reason) {
            (firing.on_down)(firing.event);
        }
        assert!(monitors.fire(&reason).is_empty() && monitors.remove(4).is_none());
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 4, 5, 6, 7, 8, 9]);
    }
}
