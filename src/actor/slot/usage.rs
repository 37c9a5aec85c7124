//! What an actor has done so far.
//!
//! The counters are statistics that nothing waits for, so no model of the slot has to know of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Hold, Slot};
use crate::pid::Pid;

/// Counted from the spawn of the actor.
#[derive(Default)]
pub(super) struct Usage {
    /// Written by the owner only.
    reductions: AtomicU64,
    nanos: AtomicU64,
}

impl Usage {
    pub(super) fn reset(&self) {
        self.reductions.store(0, Ordering::Relaxed);
        self.nanos.store(0, Ordering::Relaxed);
    }
}

impl Slot {
    /// Reductions of the slices that are over.
    pub(in crate::actor) fn reductions(&self) -> u64 {
        self.usage.reductions.load(Ordering::Relaxed)
    }

    /// For how long its code was seen to run.
    pub(in crate::actor) fn run_time(&self) -> Duration {
        Duration::from_nanos(self.usage.nanos.load(Ordering::Relaxed))
    }

    /// Adds to the time for which `pid` has run, if that lives here.
    pub(in crate::actor) fn add_run_time(&self, pid: Pid, time: Duration) {
        if self.is_alive(pid) {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.usage.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
    }
}

impl Hold<'_> {
    /// Adds the reductions of a slice.
    #[inline]
    pub(in crate::actor) fn count_reductions(&self, used: u32) {
        let counter = &self.slot.usage.reductions;
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(used.into()), Ordering::Relaxed);
    }
}
