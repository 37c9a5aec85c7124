//! Two threads, one of which drives what must not stand still, while the other stands by. The driver may leave its
//! post for a moment. If it is not back after two looks of the other, that one takes the post over, and the late one stands by.
//!
//! All of it is one number: odd while the driver is away. Both the driver that comes back and the one that takes over
//! exchange it for the next, so exactly one of them goes on. It never comes again, so an exchange is for
//! one absence only.

use std::time::{Duration, Instant};

use super::alarm::Alarm;
use crate::sync::{self, AtomicBool, AtomicU64, Ordering, fence};

/// Between two looks at a driver that leaves its post now and then. Each costs it a change of threads.
const LOOK: Duration = Duration::from_millis(5);
/// A driver that was away at one look, and still is after this, is late.
const LATE: Duration = Duration::from_millis(1);
/// After so many looks at which it had not been away, the other one sleeps until the driver rings.
const LOOKS: u32 = 5;

#[derive(Default)]
pub(super) struct Relay {
    /// Odd while the driver is away; each absence has a number of its own.
    absence: AtomicU64,
    /// The absence that is known to last.
    long: AtomicU64,
    /// Whether somebody stands by, so that the driver may leave. Written by who stands by, or has just taken over.
    covered: AtomicBool,
    /// Of each thread, to wake it where it stands by.
    bells: [Alarm; 2],
}

impl Relay {
    /// Whether the driver may leave its post.
    pub(super) fn is_covered(&self) -> bool {
        self.covered.load(Ordering::Acquire)
    }

    /// The driver, thread `me` of the two, leaves its post. Returns the number of this absence.
    pub(super) fn leave(&self, me: usize) -> u64 {
        let absence = self.absence.load(Ordering::Relaxed) + 1;
        self.absence.store(absence, Ordering::Release);
        self.bells[1 - me].ring();
        absence
    }

    /// It is back; `false` if the other one has taken over.
    pub(super) fn come_back(&self, absence: u64) -> bool {
        let next = absence + 1;
        self.absence.compare_exchange(absence, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Thread `me` will be away for long: the other one is to take over at once.
    pub(super) fn hurry(&self, me: usize, absence: u64) {
        self.long.store(absence, Ordering::Release);
        // Against the one in `Alarm::enter`.
        fence(Ordering::SeqCst);
        self.bells[1 - me].hurry();
    }

    /// Stands by, as thread `me`, until it is this thread's turn; `false` if all is over.
    pub(super) fn stand_by(&self, me: usize) -> bool {
        let bell = &self.bells[me];
        bell.enter();
        self.covered.store(true, Ordering::Release);
        let (mut seen, mut since, mut looks) = (self.absence.load(Ordering::Acquire), Instant::now(), 0);
        while !bell.is_stopped() {
            let absence = self.absence.load(Ordering::Acquire);
            if absence == seen {
                looks += 1;
            } else {
                (seen, since, looks) = (absence, Instant::now(), 0);
            }
            if is_away(absence) && self.is_late(absence, since) {
                if self.take_over(absence) {
                    return true;
                }
            } else if is_away(absence) {
                sync::park_timeout(LATE);
            } else if looks < LOOKS && !sync::MODEL {
                sync::park_timeout(LOOK);
            } else {
                bell.sleep(|| self.absence.load(Ordering::Acquire) == seen);
            }
        }
        false
    }

    /// Ends all standing by.
    pub(super) fn close(&self) {
        self.bells.iter().for_each(Alarm::stop);
    }

    /// A model is the same whatever the clock says.
    fn is_late(&self, absence: u64, since: Instant) -> bool {
        self.long.load(Ordering::Acquire) == absence || (!sync::MODEL && since.elapsed() >= LATE)
    }

    fn take_over(&self, absence: u64) -> bool {
        // Before the exchange: from then on the late driver may stand by, and say so.
        self.covered.store(false, Ordering::Release);
        let taken = self.come_back(absence);
        if !taken {
            self.covered.store(true, Ordering::Release);
        }
        taken
    }
}

const fn is_away(absence: u64) -> bool {
    absence % 2 == 1
}
