//! The rates at which one peer may send control frames, and reset lanes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

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

    /// Whether nothing was taken for a while.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.burst
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.filled = now;
    }
}

/// Pings and resolves of one peer: so many at once, then so many per second (L17).
const QUESTIONS: u32 = 2000;
const QUESTIONS_PER_SECOND: u32 = 1000;
/// Who has more questions waiting than are answered within thirty seconds is cut off, at either level.
pub(super) const QUESTIONS_IN_ADVANCE: usize = 30 * QUESTIONS_PER_SECOND as usize;

/// The rate of the questions of one peer.
pub(super) fn questions(now: Instant) -> Mutex<TokenBucket> {
    Mutex::new(TokenBucket::new(QUESTIONS_PER_SECOND, QUESTIONS, now))
}

/// Lanes that a peer may reset on one connection: so many within ten seconds (L16).
const RESETS: u32 = 256;
const RESETS_PER_SECOND: u32 = RESETS / 10;

/// The rate at which a peer may reset the lanes of one connection.
pub(super) fn resets(now: Instant) -> Mutex<TokenBucket> {
    Mutex::new(TokenBucket::new(RESETS_PER_SECOND, RESETS, now))
}

/// The questions of one lane of level 1, which waits with them: they are answered in their places, by the rate of its
/// peer.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// How many have waited that came at once.
    waited: usize,
}

/// More was asked at once than can be answered in time.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flood;

impl Patience {
    /// New bytes came: nothing waited here.
    pub(super) fn renew(&mut self) {
        self.waited = 0;
    }

    /// How long the next question has to wait.
    pub(super) fn take(&mut self, rate: &Mutex<TokenBucket>, now: Instant) -> Result<Duration, Flood> {
        let pause = rate.lock().unwrap_or_else(PoisonError::into_inner).take(now);
        self.waited = if pause.is_zero() { 0 } else { self.waited + 1 };
        if self.waited > QUESTIONS_IN_ADVANCE { Err(Flood) } else { Ok(pause) }
    }
}

impl std::fmt::Display for Flood {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it asked so much at once that more than {QUESTIONS_IN_ADVANCE} questions wait")
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
    fn l17_who_asks_for_minutes_in_advance_is_cut_off_and_who_waits_for_answers_is_not() {
        let start = Instant::now();
        let (rate, mut patience) = (questions(start), Patience::default());
        let mut now = start;
        let asked = (0..100_000).take_while(|_| {
            patience.take(&rate, now).is_ok_and(|pause| {
                now += pause;
                true
            })
        });
        let asked = asked.count();
        assert!((30_000..40_000).contains(&asked), "{asked}");
        for _ in 0..100_000 {
            patience.renew();
            now += patience.take(&rate, now).unwrap();
        }
    }
}
