//! Looking for a moment for what another thread is about to bring, instead of going to sleep.
//!
//! To be woken costs both sides a system call, and the sleeper tens of microseconds, or more where the core has gone to sleep
//! as well. Where things come back quickly it is worth a moment of looking; where they do not, nobody looks:
//! a thread that is idle costs nothing.

use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::{self, AtomicU32, Ordering};

/// Looks between two of the clock, each of which also lets others have the core.
const LOOKS: u32 = 16;
/// The most vigils left out after those that were in vain.
const MOST_SKIPPED: u32 = 1023;

/// What is known of the vigils of one place. Several threads may use it at a time; they only judge worse.
#[derive(Debug)]
pub struct Vigil {
    /// The longest vigil.
    length: Duration,
    /// Vigils to be left out.
    skip: AtomicU32,
    /// As many after each: more than twice as many after one in vain, half as many after one that was worth it. So it
    /// is kept wherever more than half are.
    penalty: AtomicU32,
}

impl Vigil {
    /// One that lasts for `length` at most.
    pub fn new(length: Duration) -> Self {
        Self { length, skip: AtomicU32::new(0), penalty: AtomicU32::new(0) }
    }

    /// Looks for a while; whether it was `found`. Looks once where more is not worth it, or this thread has
    /// the only core.
    pub fn keep(&self, found: impl Fn() -> bool) -> bool {
        if found() {
            return true;
        }
        let skip = self.skip.load(Ordering::Relaxed);
        if skip > 0 || !can_watch() {
            self.skip.store(skip.saturating_sub(1), Ordering::Relaxed);
            return false;
        }
        let seen = self.look(found);
        let penalty = self.penalty.load(Ordering::Relaxed);
        let penalty = if seen { penalty / 2 } else { (penalty * 2 + 1).min(MOST_SKIPPED) };
        self.penalty.store(penalty, Ordering::Relaxed);
        self.skip.store(penalty, Ordering::Relaxed);
        seen
    }

    fn look(&self, found: impl Fn() -> bool) -> bool {
        let begun = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if found() {
                    return true;
                }
                std::hint::spin_loop();
            }
            if begun.elapsed() >= self.length {
                return found();
            }
            thread::yield_now();
        }
    }
}

/// Whether others can do anything while this thread looks.
fn can_watch() -> bool {
    static SEVERAL: LazyLock<bool> =
        LazyLock::new(|| thread::available_parallelism().is_ok_and(|cores| cores.get() > 1));
    !sync::MODEL && *SEVERAL
}

#[cfg(all(test, not(myrmidon_loom)))]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts the looks of a vigil that finds nothing.
    fn looks(vigil: &Vigil) -> u32 {
        let looks = Cell::new(0);
        let found = vigil.keep(|| {
            looks.set(looks.get() + 1);
            false
        });
        assert!(!found);
        looks.get()
    }

    #[test]
    fn vigils_in_vain_become_rare_and_those_worth_it_frequent() {
        if !can_watch() {
            return;
        }
        let vigil = Vigil::new(Duration::from_micros(1));
        let kept = (0..10_000).filter(|_| looks(&vigil) > 1).count();
        assert!((10..30).contains(&kept), "{kept} vigils in vain of 10 000 waits");
        for _ in 0..100_000 {
            let looks = Cell::new(0);
            vigil.keep(|| looks.replace(looks.get() + 1) >= 2);
        }
        assert!(looks(&vigil) > 1);
    }
}
