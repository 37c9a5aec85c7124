//! The two clocks of a link (D12): any byte says that the peer's process lives, only a pong says that
//! its scheduler runs.
//!
//! It decides and does nothing else; time and chance are arguments. Time in which this process itself
//! did not run counts against nobody.

use std::time::{Duration, Instant};

/// A wake-up so late means that this process was frozen, not the peer.
const LATE: Duration = Duration::from_secs(1);
/// Without a pong for so many intervals the peer is stalled.
const STALLED_AFTER: u32 = 3;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Ping,
    /// Nothing before this time.
    Wait(Instant),
    /// Nothing at all came in time.
    Down,
}

#[derive(Debug)]
pub(super) struct Clock {
    interval: Duration,
    down_after: Duration,
    last_byte: Instant,
    last_pong: Instant,
    next_ping: Instant,
    /// Whether our ping is unanswered.
    outstanding: bool,
    /// When this clock asked to be looked at again.
    wake: Option<Instant>,
}

impl Clock {
    pub(super) const fn new(interval: Duration, down_after: Duration, now: Instant) -> Self {
        let (last_byte, last_pong, next_ping) = (now, now, now);
        Self { interval, down_after, last_byte, last_pong, next_ping, outstanding: false, wake: None }
    }

    /// What to do at `now`. A `Ping` counts as sent.
    pub(super) fn poll(&mut self, now: Instant) -> Beat {
        self.forgive_own_lateness(now);
        let deadline = self.last_byte + self.down_after;
        if now >= deadline {
            return Beat::Down;
        }
        if !self.outstanding && now >= self.next_ping {
            self.outstanding = true;
            return Beat::Ping;
        }
        let wake = if self.outstanding { deadline } else { self.next_ping.min(deadline) };
        self.wake = Some(wake);
        Beat::Wait(wake)
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_byte = self.last_byte.max(now);
    }

    /// A pong came; `ours` if it answers the clock's own ping. `random` spreads the pings of many
    /// peers.
    pub(super) fn pong(&mut self, now: Instant, ours: bool, random: u32) {
        self.last_pong = now;
        if ours {
            self.outstanding = false;
            let spread = 0.8 + 0.4 * f64::from(random) / f64::from(u32::MAX);
            self.next_ping = now + self.interval.mul_f64(spread);
        }
    }

    /// Whether the peer's scheduler has not answered for a while.
    pub(super) fn is_stalled(&self, now: Instant) -> bool {
        self.outstanding && now.saturating_duration_since(self.last_pong) > STALLED_AFTER * self.interval
    }

    fn forgive_own_lateness(&mut self, now: Instant) {
        let late = self.wake.take().map_or(Duration::ZERO, |wake| now.saturating_duration_since(wake));
        if late > LATE {
            self.last_byte = (self.last_byte + late + self.interval).min(now);
            self.last_pong = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const S: Duration = Duration::from_secs(1);

    fn clock(now: Instant) -> Clock {
        Clock::new(S, 5 * S, now)
    }

    #[test]
    fn one_ping_is_outstanding_and_the_next_follows_its_pong() {
        let now = Instant::now();
        let mut clock = clock(now);
        assert_eq!(clock.poll(now), Beat::Ping);
        assert_eq!(clock.poll(now + 10 * MS), Beat::Wait(now + 5 * S));
        clock.pong(now + 20 * MS, true, u32::MAX / 2);
        let Beat::Wait(next) = clock.poll(now + 20 * MS) else { panic!("nothing is due") };
        assert!((next - now).abs_diff(1020 * MS) < MS, "{:?}", next - now);
        assert_eq!(clock.poll(next), Beat::Ping);
    }

    #[test]
    fn d12_bytes_without_pongs_stall_and_silence_is_death() {
        let start = Instant::now();
        let mut clock = clock(start);
        clock.poll(start);
        for second in 1..60 {
            let now = start + second * S;
            clock.heard(now);
            assert!(matches!(clock.poll(now), Beat::Wait(_)));
            assert_eq!(clock.is_stalled(now), second > 3);
        }
        let silence = start + 64 * S;
        assert_eq!(clock.poll(silence), Beat::Down);
    }

    #[test]
    fn f03_a_process_that_was_frozen_itself_blames_nobody() {
        let start = Instant::now();
        let mut clock = clock(start);
        clock.poll(start);
        clock.poll(start);
        let now = start + 20 * S;
        let Beat::Wait(deadline) = clock.poll(now) else { panic!("nothing is known of the peer") };
        assert!(!clock.is_stalled(now));
        assert_eq!(clock.poll(deadline), Beat::Down, "forgiven once");
    }
}
