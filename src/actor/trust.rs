//! Which actors take messages from peers that have not proved who they are.

use std::sync::atomic::Ordering;

use super::System;
use super::slot::flag;
use crate::pid::Pid;

impl System {
    /// Says that every peer has proved who it is before anything of it arrives.
    pub(crate) fn trust_peers(&self) {
        self.peers_are_proved.store(true, Ordering::Relaxed);
    }

    /// Whether what the actor says comes from this process, or from a node that has proved who it is.
    pub(crate) fn trusts(&self, pid: Pid) -> bool {
        self.peers_are_proved.load(Ordering::Relaxed) || self.remote(pid).is_none()
    }

    /// Whether what a peer sends may reach the actor.
    pub(crate) fn admits_peers(&self, pid: Pid) -> bool {
        self.peers_are_proved.load(Ordering::Relaxed)
            || !self.slot(pid).is_some_and(|slot| slot.has(flag::GUARDED))
    }
}
