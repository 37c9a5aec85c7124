//! Whether a worker is in service, or a spare on the bench.
//!
//! Three states in a circle: the watchdog calls a spare and dismisses it, and the spare says when it
//! has left. It is counted among the workers in service from the call until then.

use super::idle::Idle;
use crate::sync::{self, AtomicU32, Ordering, fence};

const BENCHED: u32 = 0;
const SERVING: u32 = 1;
const LEAVING: u32 = 2;

pub(super) struct Duty(AtomicU32);

impl Duty {
    /// Of a worker that is never dismissed.
    pub(super) fn serving() -> Self {
        Self(AtomicU32::new(SERVING))
    }

    /// Of a spare.
    pub(super) fn benched() -> Self {
        Self(AtomicU32::new(BENCHED))
    }

    pub(super) fn is_benched(&self) -> bool {
        self.0.load(Ordering::Acquire) == BENCHED
    }

    pub(super) fn is_serving(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SERVING
    }

    /// Calls a spare from the bench. Only the watchdog calls and dismisses.
    pub(super) fn call(&self, worker: usize, idle: &Idle) {
        debug_assert!(self.is_benched());
        idle.count_in();
        self.0.store(SERVING, Ordering::Release);
        // Against the one in `Idle::enter`: a thread that has just begun sees the call, or is seen here.
        fence(Ordering::SeqCst);
        idle.unpark(worker);
    }

    /// Has a spare leave after the slice that it is in.
    pub(super) fn dismiss(&self, worker: usize, idle: &Idle) {
        debug_assert!(self.is_serving());
        self.0.store(LEAVING, Ordering::SeqCst);
        // One that is about to lie down looks at its duty once more after it has been listed.
        idle.rouse(worker);
    }

    /// Says, on the spare's thread, that it has left; its work is handed over.
    pub(super) fn leave(&self, idle: &Idle) {
        idle.count_out();
        self.0.store(BENCHED, Ordering::Release);
    }

    /// Waits on the bench; `false` when the scheduler stops.
    pub(super) fn wait(&self, idle: &Idle) -> bool {
        while !idle.is_stopped() {
            if !self.is_benched() {
                return true;
            }
            sync::park();
        }
        false
    }
}
