//! Whether the thread of a loop may wait on the spot for the answer to an ask.
//!
//! To let the loop go on and be woken by the bell costs more than a short handler. So an ask is waited for on the
//! spot for a moment ([`Crew::watch`](crate::lane::Crew::watch)) if it is the only one under way; where there are
//! more, they share the bell. After [`TURN`] of such asks the loop has its turn.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long may asks follow each other before other tasks of the loop run.
const TURN: Duration = Duration::from_micros(100);

/// Of one loop.
#[derive(Default)]
pub(crate) struct Patience {
    /// Asks under way.
    open: AtomicUsize,
    /// When the loop had its last turn between such asks, as far as known.
    turn: Mutex<Option<Instant>>,
}

impl Patience {
    /// Counts an ask; whether it is the only one.
    pub(crate) fn begin(&self) -> bool {
        self.open.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts it no longer.
    pub(crate) fn end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether the loop is to have its turn after an ask that began at `since` and was answered on the spot.
    pub(crate) fn is_over(&self, since: Instant) -> bool {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let over = since.duration_since(*turn.get_or_insert(since)) >= TURN;
        if over {
            *turn = None;
        }
        over
    }
}
