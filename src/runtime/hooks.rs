//! Who is told of an actor's end, in which order: names first, supervision last.

use std::sync::Weak;
use std::time::Duration;

use super::{Event, EventSink, Supervisor};
use crate::actor::{ExitHook, ExitNotice, SystemHooks};
use crate::pid::Pid;
use crate::registry::Registry;

/// Holds the parts weakly: the system, which they use, owns this.
pub(super) struct Hooks {
    pub(super) registry: Weak<Registry>,
    pub(super) supervisor: Weak<Supervisor>,
    pub(super) events: EventSink,
}

impl ExitHook for Hooks {
    fn release(&self, notice: &ExitNotice<'_>) {
        if notice.named
            && let Some(registry) = self.registry.upgrade()
        {
            registry.release(notice.pid);
        }
    }

    fn ended(&self, notice: &ExitNotice<'_>) {
        // A PID that was supervised once need not be so any more.
        let supervised = (notice.supervised || notice.owner)
            && self
                .supervisor
                .upgrade()
                .is_some_and(|supervisor| supervisor.exited(notice.pid, notice.reason));
        if notice.unnoticed && !supervised && notice.reason.is_crash() {
            (self.events)(&Event::Crash {
                pid: notice.pid,
                reason: notice.reason.clone(),
                asker_told: notice.asker_told,
            });
        }
    }
}

impl SystemHooks for Hooks {
    fn swap_failed(&self, pid: Pid, version: u64, error: &str) {
        (self.events)(&Event::SwapFailed { pid, version, error: error.to_owned() });
    }

    fn unsupervise(&self, pid: Pid) -> Pid {
        self.supervisor.upgrade().and_then(|supervisor| supervisor.forget(pid)).unwrap_or(pid)
    }

    fn stalled(&self, pid: Pid, running_for: Duration) {
        (self.events)(&Event::Stalled { pid, running_for });
    }

    fn recovered(&self, pid: Pid, took: Duration) {
        (self.events)(&Event::Recovered { pid, took });
    }
}
