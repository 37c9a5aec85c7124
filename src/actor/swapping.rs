//! Replacing the code of an actor, as seen by who asks for it.

use super::signal::{Signal, Swap};
use super::slot::{Slot, flag};
use super::{Behaviour, System};
use crate::error::SwapError;
use crate::pid::Pid;
use crate::sync::Ordering;

impl System {
    /// The version that runs once all swaps asked for so far are done; `None` for the dead.
    pub(crate) fn version(&self, pid: Pid) -> Option<u64> {
        self.living_slot(pid).map(|slot| slot.version.load(Ordering::Acquire))
    }

    /// The swap to version `failed` was not done, and `running` goes on. If another was asked for since, that one decides.
    pub(super) fn forget_version(&self, pid: Pid, failed: u64, running: u64) {
        if let Some(slot) = self.living_slot(pid) {
            let _ = slot.version.compare_exchange(failed, running, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Sends new code; never waits. Returns its version.
    pub(crate) fn hot_swap(
        &self,
        pid: Pid,
        behaviour: Box<dyn Behaviour>,
        now: bool,
    ) -> Result<u64, SwapError> {
        let slot = self.swappable(pid)?;
        if behaviour.accepts_bytes() != slot.has(flag::BYTES) {
            return Err(SwapError::MessageType(pid));
        }
        let version = slot.version.fetch_add(1, Ordering::AcqRel) + 1;
        let swap = Swap { behaviour, version };
        let signal = if now { Signal::SwapNow(swap) } else { Signal::Swap(swap) };
        if self.signal(pid, signal) { Ok(version) } else { Err(SwapError::NoProcess(pid)) }
    }

    /// Goes back to the code before the last swap; returns the new version's number.
    pub(crate) fn rollback(&self, pid: Pid) -> Result<u64, SwapError> {
        let slot = self.swappable(pid)?;
        if slot.version.load(Ordering::Acquire) == 1 {
            return Err(SwapError::NoHistory(pid));
        }
        let version = slot.version.fetch_add(1, Ordering::AcqRel) + 1;
        if self.signal(pid, Signal::Rollback(version)) { Ok(version) } else { Err(SwapError::NoProcess(pid)) }
    }

    /// The slot of a living actor whose code is here.
    fn swappable(&self, pid: Pid) -> Result<&'static Slot, SwapError> {
        let slot = self.living_slot(pid).ok_or(SwapError::NoProcess(pid))?;
        if slot.has(flag::REMOTE) { Err(SwapError::Remote(pid)) } else { Ok(slot) }
    }
}
