//! How long a restart waits (semantics: first at once, then 100 ms doubling to 30 s, jitter 20 %).

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(30);
/// A child that was up for so long starts again without a pause.
const HEALTHY: Duration = Duration::from_secs(5);

/// The pauses of one child.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause before the next start, after a child that came up at `up_since` has ended at
    /// `now`, or after a start that failed (`None`). `jitter` is from 0 to 1.
    pub(super) fn next(&mut self, up_since: Option<Instant>, now: Instant, jitter: f64) -> Duration {
        if up_since.is_some_and(|since| now.saturating_duration_since(since) >= HEALTHY) {
            self.failures = 0;
        }
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        if failures == 0 {
            return Duration::ZERO;
        }
        let pause = FIRST.saturating_mul(1 << (failures - 1).min(16)).min(CAP);
        pause.mul_f64(1.2f64.mul_add(jitter, 0.8 * (1.0 - jitter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_end_with_health() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let pauses: Vec<_> = (0..12).map(|_| backoff.next(None, now, 0.5).as_millis()).collect();
        assert_eq!(&pauses[..5], &[0, 100, 200, 400, 800]);
        assert_eq!(pauses[11], 30_000);
        assert_eq!(backoff.next(Some(now), now + HEALTHY, 0.5), Duration::ZERO);
        assert_eq!(backoff.next(Some(now), now, 0.5).as_millis(), 100);
    }

    #[test]
    fn jitter_is_a_fifth_both_ways() {
        for (jitter, expected) in [(0.0, 80), (1.0, 120)] {
            let mut backoff = Backoff { failures: 1 };
            assert_eq!(backoff.next(None, Instant::now(), jitter).as_millis(), expected);
        }
    }
}
