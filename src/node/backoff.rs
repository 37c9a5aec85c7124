//! When a peer that could not be reached may be dialled again (L28).

use std::time::{Duration, Instant};

/// A lane that lived so long is a success, however it ended; one that broke sooner counts as another
/// failure, so that a flapping peer is dialled less and less often.
const STABLE: Duration = Duration::from_secs(1);

/// Shut for a while after each failure: 100 ms doubling up to a cap, with full jitter.
#[derive(Debug)]
pub(super) struct Gate {
    first: Duration,
    cap: Duration,
    failures: u32,
    shut: Option<Shut>,
}

#[derive(Debug)]
struct Shut {
    until: Instant,
    reason: String,
}

impl Gate {
    pub(super) const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap, failures: 0, shut: None }
    }

    /// The reason of the last failure while the gate is shut.
    pub(super) fn shut(&self, now: Instant) -> Option<&str> {
        self.shut.as_ref().filter(|shut| now < shut.until).map(|shut| shut.reason.as_str())
    }

    /// When the gate opens again, if it is shut.
    pub(super) fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.shut.as_ref().map(|shut| shut.until).filter(|until| now < *until)
    }

    /// An attempt failed. `random` decides the place in the pause.
    pub(super) fn failed(&mut self, now: Instant, random: u32, reason: String) {
        let pause = self.first.saturating_mul(1u32 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        self.shut =
            Some(Shut { until: now + pause.mul_f64(f64::from(random) / f64::from(u32::MAX)), reason });
    }

    /// The peer was reached.
    pub(super) fn reached(&mut self) {
        self.shut = None;
    }

    /// The peer ended a lane in good order.
    pub(super) fn rested(&mut self) {
        self.failures = 0;
    }

    /// A lane broke after `lived`.
    pub(super) fn broke(&mut self, now: Instant, lived: Duration, random: u32, reason: String) {
        if lived >= STABLE {
            self.failures = 0;
        } else {
            self.failed(now, random, reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn gate() -> Gate {
        Gate::new(100 * MS, 500 * MS)
    }

    #[test]
    fn l28_the_pause_doubles_up_to_the_cap() {
        let (mut gate, now) = (gate(), Instant::now());
        for pause in [100, 200, 400, 500, 500] {
            gate.failed(now, u32::MAX, "refused".into());
            assert_eq!(gate.opens_at(now), Some(now + pause * MS));
            assert_eq!(gate.shut(now + (pause - 1) * MS), Some("refused"));
            assert_eq!(gate.shut(now + pause * MS), None);
        }
    }

    #[test]
    fn l28_jitter_covers_the_whole_pause() {
        let (mut gate, now) = (gate(), Instant::now());
        gate.failed(now, 0, String::new());
        assert_eq!(gate.shut(now), None);
        gate.failed(now, u32::MAX / 2, String::new());
        assert!(gate.shut(now + 99 * MS).is_some() && gate.shut(now + 100 * MS).is_none());
    }

    #[test]
    fn f13_only_a_stable_lane_resets_the_pause() {
        let (mut gate, now) = (gate(), Instant::now());
        gate.failed(now, u32::MAX, String::new());
        gate.reached();
        assert_eq!(gate.shut(now), None, "a success opens the gate");
        gate.broke(now, 999 * MS, u32::MAX, String::new());
        assert_eq!(gate.opens_at(now), Some(now + 200 * MS), "a flap goes on where it was");
        gate.reached();
        gate.broke(now, STABLE, u32::MAX, String::new());
        assert_eq!(gate.shut(now), None);
        gate.failed(now, u32::MAX, String::new());
        assert_eq!(gate.opens_at(now), Some(now + 100 * MS), "stability starts over");
    }
}
