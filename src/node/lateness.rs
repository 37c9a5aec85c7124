//! Being late oneself: a process that was stopped, or found no processor, must not blame its peers for
//! what it did not read (semantics.md §6).
//!
//! A clock that asked to be looked at and is looked at more than a second too late gives its peer more
//! time: as often the usual time as it was seconds late, and once more, at most eight times. In any case the
//! peer gets one interval from the moment of waking, in which what waits to be read can be read. A sign of
//! life ends the grace.

use std::time::{Duration, Instant};

/// A look so late means that this process did not run, not the peer's.
const LATE: Duration = Duration::from_secs(1);
/// Longer than any process runs, and short enough to be added to a time.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
/// The most by which a time is stretched.
const MOST: f64 = 8.0;

#[derive(Debug)]
pub(super) struct Lateness {
    /// When the clock asked to be looked at again.
    wake: Option<Instant>,
    stretch: f64,
    woke: Option<Instant>,
}

impl Lateness {
    pub(super) const fn new() -> Self {
        Self { wake: None, stretch: 1.0, woke: None }
    }

    /// The next look is due at `wake`.
    pub(super) const fn expect(&mut self, wake: Instant) {
        self.wake = Some(wake);
    }

    /// No look is due at any time.
    pub(super) const fn expect_nothing(&mut self) {
        self.wake = None;
    }

    /// The clock is looked at; true if that is too late.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        let late = self.wake.take().map_or(Duration::ZERO, |wake| now.saturating_duration_since(wake));
        if late > LATE {
            self.stretch = (1.0 + late.as_secs_f64()).max(self.stretch).min(MOST);
            self.woke = Some(now);
        }
        late > LATE
    }

    /// The peer gave a sign of life.
    pub(super) const fn forgiven(&mut self) {
        self.stretch = 1.0;
        self.woke = None;
    }

    /// The end of `time` since `last`, with what the grace adds to it.
    pub(super) fn deadline(&self, last: Instant, time: Duration, interval: Duration) -> Instant {
        let stretched = last + time.min(LONGEST).mul_f64(self.stretch);
        self.woke.map_or(stretched, |woke| stretched.max(woke + interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    fn late(by: Duration) -> (Lateness, Instant, Instant) {
        let start = Instant::now();
        let mut lateness = Lateness::new();
        lateness.expect(start + 5 * S);
        let woke = start + 5 * S + by;
        lateness.look(woke);
        (lateness, start, woke)
    }

    #[test]
    fn f03_a_second_too_late_is_within_the_usual() {
        let (lateness, start, _) = late(S);
        assert_eq!(lateness.deadline(start, 5 * S, S), start + 5 * S);
    }

    #[test]
    fn f03_the_time_grows_with_the_lateness_to_eight_times_and_an_interval_is_always_left() {
        for (by, expected) in [(2, 15), (4, 25), (30, 40), (60, 66)] {
            let (lateness, start, _) = late(by * S);
            assert_eq!(lateness.deadline(start, 5 * S, S), start + expected * S, "{by} s late");
        }
    }

    #[test]
    fn f03_a_sign_of_life_ends_the_grace() {
        let (mut lateness, _, woke) = late(60 * S);
        lateness.forgiven();
        assert_eq!(lateness.deadline(woke, 5 * S, S), woke + 5 * S);
    }
}
