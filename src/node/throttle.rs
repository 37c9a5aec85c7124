//! Rates: of control frames that one peer may send, and of log lines about peers.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::shared::now;

/// So many at once, then so many per second.
#[derive(Debug)]
pub(super) struct TokenBucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { per_second: f64::from(per_second), burst, tokens: burst, filled: now }
    }

    /// Takes a token if there is one.
    pub(super) fn try_take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    /// Takes a token, on credit if need be, and says how long to wait for it.
    pub(super) fn take(&mut self, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens / self.per_second).max(0.0))
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.filled = now;
    }
}

/// At most ten log lines a second about one kind of event (L27); says how many were left out.
#[derive(Debug)]
pub(super) struct LogLimit {
    state: Mutex<(TokenBucket, u64)>,
}

impl LogLimit {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new((TokenBucket::new(10, 10, now()), 0)) }
    }

    /// `Some` if a line may be written, with the number of lines left out before it.
    pub(super) fn admit(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.try_take(now()) {
            return Some(std::mem::take(&mut state.1));
        }
        state.1 += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l17_a_burst_passes_and_the_rest_is_delayed_to_the_rate() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(1000, 2000, now);
        assert!((0..2000).all(|_| bucket.take(now).is_zero()));
        for late in 1..=5 {
            let wait = bucket.take(now);
            assert!(wait.abs_diff(Duration::from_millis(late)) < Duration::from_micros(1), "{wait:?}");
        }
        assert!(bucket.take(now + Duration::from_secs(10)).is_zero());
    }

    #[test]
    fn l27_left_out_lines_are_counted() {
        let limit = LogLimit::new();
        let lines = (0..1000).filter(|_| limit.admit().is_some()).count();
        assert!((10..1000).contains(&lines), "{lines}");
        let mut bucket = TokenBucket::new(10, 10, Instant::now());
        assert_eq!((0..50).filter(|_| bucket.try_take(bucket.filled)).count(), 10);
    }
}
