//! The two clocks of a link (D12): any byte says that the peer's process lives, only a pong says that
//! its scheduler runs.
//!
//! It decides and does nothing else; time and chance are arguments. Time in which this process itself
//! did not run counts against nobody.

use std::time::{Duration, Instant};

use crate::node::lateness::Lateness;

/// Without a pong for so many intervals the peer is stalled.
const STALLED_AFTER: u32 = 3;

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Ping,
    /// Nothing before this time.
    Wait(Instant),
    /// Bytes come and no pong: said once, until a pong comes.
    Stalled,
    /// Nothing at all came in time.
    Down,
}

#[derive(Debug)]
pub(super) struct Clock {
    interval: Duration,
    down_after: Duration,
    last_byte: Instant,
    /// The last pong, or the last moment at which one could have been stuck behind an incomplete frame.
    last_pong: Instant,
    next_ping: Instant,
    /// Whether our ping is unanswered.
    outstanding: bool,
    stalled: bool,
    lateness: Lateness,
}

impl Clock {
    pub(super) const fn new(interval: Duration, down_after: Duration, now: Instant) -> Self {
        let (last_byte, last_pong, next_ping) = (now, now, now);
        Self {
            interval,
            down_after,
            last_byte,
            last_pong,
            next_ping,
            outstanding: false,
            stalled: false,
            lateness: Lateness::new(),
        }
    }

    /// What to do at `now`. A `Ping` counts as sent.
    pub(super) fn poll(&mut self, now: Instant) -> Beat {
        if self.lateness.look(now) {
            // It may wait to be read.
            self.last_pong = now;
        }
        let deadline = self.lateness.deadline(self.last_byte, self.down_after, self.interval);
        if now >= deadline {
            return Beat::Down;
        }
        if !self.outstanding && now >= self.next_ping {
            self.outstanding = true;
            return Beat::Ping;
        }
        let stalls = self.lateness.deadline(
            self.last_pong,
            self.interval.saturating_mul(STALLED_AFTER),
            self.interval,
        );
        if self.outstanding && !self.stalled && now >= stalls {
            self.stalled = true;
            return Beat::Stalled;
        }
        let wake = match (self.outstanding, self.stalled) {
            (false, _) => self.next_ping.min(deadline),
            (true, false) => stalls.min(deadline),
            (true, true) => deadline,
        };
        self.lateness.expect(wake);
        Beat::Wait(wake)
    }

    /// Bytes came. While a frame `arrives` on control, a pong may be behind it.
    pub(super) fn heard(&mut self, now: Instant, arrives: bool) {
        self.last_byte = self.last_byte.max(now);
        self.lateness.forgiven();
        if arrives {
            self.last_pong = self.last_pong.max(now);
        }
    }

    /// A pong came; `ours` if it answers the clock's own ping. `random` spreads the pings of many
    /// peers. True if the peer was stalled.
    pub(super) fn pong(&mut self, now: Instant, ours: bool, random: u32) -> bool {
        self.last_pong = now;
        if ours {
            self.outstanding = false;
            let spread = 0.8 + 0.4 * f64::from(random) / f64::from(u32::MAX);
            self.next_ping = now + self.interval.mul_f64(spread);
        }
        std::mem::take(&mut self.stalled)
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
        assert_eq!(clock.poll(now + 10 * MS), Beat::Wait(now + 3 * S));
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
            clock.heard(now, false);
            if second == 3 {
                assert_eq!(clock.poll(now), Beat::Stalled);
            }
            assert!(matches!(clock.poll(now), Beat::Wait(_)), "said once");
        }
        let silence = start + 64 * S;
        assert_eq!(clock.poll(silence), Beat::Down);
    }

    #[test]
    fn d12_a_pong_ends_the_stall_and_it_may_begin_anew() {
        let start = Instant::now();
        let mut clock = clock(start);
        for second in [0, 10] {
            let now = start + second * S;
            clock.heard(now, false);
            assert_eq!(clock.poll(now), Beat::Ping);
            clock.heard(now + 3 * S, false);
            assert_eq!(clock.poll(now + 3 * S), Beat::Stalled);
            clock.heard(now + 4 * S, false);
            assert!(clock.pong(now + 4 * S, true, 0), "it was stalled");
            assert!(!clock.pong(now + 4 * S, false, 0));
            clock.heard(now + 9 * S, false);
            clock.last_pong = now + 9 * S;
        }
    }

    #[test]
    fn d12_a_pong_behind_a_large_frame_is_not_missed() {
        let start = Instant::now();
        let mut clock = clock(start);
        clock.poll(start);
        for second in 1..20 {
            clock.heard(start + second * S, true);
            assert!(matches!(clock.poll(start + second * S), Beat::Wait(_)));
        }
        clock.heard(start + 22 * S, false);
        assert_eq!(clock.poll(start + 22 * S), Beat::Stalled);
    }

    #[test]
    fn f03_a_process_that_was_frozen_itself_blames_nobody() {
        let start = Instant::now();
        let mut clock = clock(start);
        clock.poll(start);
        clock.poll(start);
        let now = start + 20 * S;
        let Beat::Wait(deadline) = clock.poll(now) else { panic!("nothing is known of the peer") };
        assert!(deadline > now);
        clock.poll(deadline);
        let end = start + 8 * 5 * S;
        assert_eq!(clock.poll(end), Beat::Down, "the grace ends");
    }
}
