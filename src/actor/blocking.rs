//! Handlers that block their thread: where they run, how they make way, and who hears of it.

use std::time::Duration;

use super::{Schedule, SpawnOptions, System, current};
use crate::pid::Pid;

impl SpawnOptions {
    /// The number of the lane whose actors may block their thread: it is one of a pool
    /// ([`RuntimeConfig::blocking_threads`](crate::config::RuntimeConfig::blocking_threads)). When all of
    /// them are busy, actors wait in line.
    pub const BLOCKING: u32 = u32::MAX;

    /// For an actor whose handlers block, on files, locks or foreign code. Everything else is as for
    /// other actors: one message after another, in order.
    pub fn blocking() -> Self {
        Self { lane: Self::BLOCKING, ..Self::default() }
    }
}

impl System {
    /// Calls `f`, which may block this thread. In a handler on a worker, others take over from it
    /// meanwhile.
    pub(crate) fn block_in_place<T>(&self, f: impl FnOnce() -> T) -> T {
        let scheduler = self.scheduler();
        scheduler.iter().for_each(|scheduler| scheduler.let_go());
        let in_handler = scheduler.filter(|_| current().is_some());
        let _way = in_handler.filter(|scheduler| scheduler.make_way()).map(MadeWay);
        f()
    }

    pub(crate) fn stalled(&self, pid: Pid, running_for: Duration) {
        self.hooks().stalled(pid, running_for);
    }

    pub(crate) fn recovered(&self, pid: Pid, took: Duration) {
        self.hooks().recovered(pid, took);
    }
}

/// Tells the scheduler when dropped, also by a panic, that the handler on this thread goes on.
struct MadeWay<'a>(&'a dyn Schedule);

impl Drop for MadeWay<'_> {
    fn drop(&mut self) {
        if let Some(pid) = current() {
            self.0.go_on(pid);
        }
    }
}
