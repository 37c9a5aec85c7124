//! The clock of life and death at level 1: pings on a lane of their own, and what their absence means.
//!
//! It decides and does nothing else; time and chance are arguments. Rules:
//!
//! - one ping is outstanding at a time, the next is due one interval after a pong;
//! - no pong for `down_after` means down, whatever the lane looks like;
//! - a lane that has answered two pings ends only when the process behind it ends, so its end means
//!   death at once. A peer that closes after every pong never gets there: it is dialled again;
//! - time in which this process itself did not run counts against nobody ([`Lateness`]).

use std::time::{Duration, Instant};

use super::lateness::Lateness;

/// The first pause before a lane that ended without a pong is replaced; doubles up to the interval.
const FIRST_REDIAL: Duration = Duration::from_millis(25);

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beat {
    /// Send a ping.
    Ping,
    /// Nothing before this time, unless a pong comes.
    Wait(Instant),
    /// The peer gave no sign of life in time.
    Down,
}

/// What the end of a heartbeat lane means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneEnd {
    /// The process behind it ended.
    Died,
    /// Nothing yet: dial again at this time and ask.
    Redial(Instant),
}

#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    down_after: Duration,
    /// The last pong, or when watching began.
    last_sign: Instant,
    next_ping: Instant,
    /// When the unanswered ping was sent.
    outstanding: Option<Instant>,
    /// Pongs on this lane.
    pongs: u32,
    /// Whether a new lane is pinged twice in a row, to learn soon that it is one which lasts.
    eager: bool,
    /// Lanes in a row that ended without a pong.
    silent_lanes: u32,
    lateness: Lateness,
}

impl Heartbeat {
    /// A clock that begins with a fresh lane.
    pub(super) const fn new(interval: Duration, down_after: Duration, now: Instant) -> Self {
        Self {
            interval,
            down_after,
            last_sign: now,
            next_ping: now,
            outstanding: None,
            pongs: 0,
            eager: true,
            silent_lanes: 0,
            lateness: Lateness::new(),
        }
    }

    /// What to do at `now`. A `Ping` counts as sent.
    pub(super) fn poll(&mut self, now: Instant) -> Beat {
        self.lateness.look(now);
        let deadline = self.lateness.deadline(self.last_sign, self.down_after, self.interval);
        if now >= deadline {
            return Beat::Down;
        }
        if self.outstanding.is_none() && now >= self.next_ping {
            self.outstanding = Some(now);
            return Beat::Ping;
        }
        let wake = if self.outstanding.is_some() { deadline } else { self.next_ping.min(deadline) };
        self.lateness.expect(wake);
        Beat::Wait(wake)
    }

    /// A pong came; returns the round trip. `random` spreads the pings of many peers.
    pub(super) fn pong(&mut self, now: Instant, random: u32) -> Duration {
        let sent = self.outstanding.take().unwrap_or(now);
        self.last_sign = now;
        self.lateness.forgiven();
        self.pongs += 1;
        self.silent_lanes = 0;
        let again_at_once = self.eager && self.pongs == 1;
        self.next_ping = if again_at_once { now } else { now + jittered(self.interval, random) };
        self.eager |= self.pongs >= 2;
        now - sent
    }

    /// Something makes the peer suspect, or somebody asks: the next ping is due at once.
    pub(super) fn probe(&mut self, now: Instant) {
        self.next_ping = self.next_ping.min(now);
    }

    /// A new lane is there.
    pub(super) fn lane_opened(&mut self, now: Instant) {
        self.outstanding = None;
        self.pongs = 0;
        self.next_ping = now;
        self.lateness.expect_nothing();
    }

    /// The lane ended.
    pub(super) fn lane_ended(&mut self, now: Instant) -> LaneEnd {
        self.lateness.expect_nothing();
        match self.pongs {
            0 => LaneEnd::Redial(now + self.next_pause()),
            1 => {
                self.eager = false;
                LaneEnd::Redial(self.next_ping)
            }
            _ => LaneEnd::Died,
        }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = FIRST_REDIAL.saturating_mul(1 << self.silent_lanes.min(16)).min(self.interval);
        self.silent_lanes += 1;
        pause
    }
}

/// `interval` give or take a tenth.
fn jittered(interval: Duration, random: u32) -> Duration {
    interval.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);
    const MIDDLE: u32 = u32::MAX / 2;

    fn clock(now: Instant) -> Heartbeat {
        Heartbeat::new(S, 5 * S, now)
    }

    /// Pings and pongs at `now`, as a peer on the same machine would answer.
    fn beat(clock: &mut Heartbeat, now: Instant) {
        assert_eq!(clock.poll(now), Beat::Ping);
        clock.pong(now, MIDDLE);
    }

    #[test]
    fn one_ping_is_outstanding_and_the_next_follows_an_interval_after_the_pong() {
        let now = Instant::now();
        let mut clock = clock(now);
        beat(&mut clock, now);
        assert_eq!(clock.poll(now), Beat::Ping, "a new lane is pinged twice");
        assert!(matches!(clock.poll(now + S), Beat::Wait(_)));
        assert_eq!(clock.pong(now + S, MIDDLE), S);
        let Beat::Wait(next) = clock.poll(now + S) else { panic!("nothing is due") };
        assert!((next - (now + 2 * S)) < MS);
        assert_eq!(clock.poll(next), Beat::Ping);
    }

    #[test]
    fn g10_no_pong_in_time_means_down() {
        let now = Instant::now();
        let mut clock = clock(now);
        beat(&mut clock, now);
        assert_eq!(clock.poll(now), Beat::Ping);
        assert_eq!(clock.poll(now + 5 * S - MS), Beat::Wait(now + 5 * S));
        assert_eq!(clock.poll(now + 5 * S), Beat::Down);
    }

    #[test]
    fn time_in_which_this_process_was_frozen_does_not_count() {
        let now = Instant::now();
        let mut clock = clock(now);
        beat(&mut clock, now);
        assert_eq!(clock.poll(now), Beat::Ping);
        assert_eq!(clock.poll(now + MS), Beat::Wait(now + 5 * S));
        let woken = now + 60 * S;
        assert_eq!(clock.poll(woken), Beat::Wait(woken + S), "a pong may be waiting to be read");
        assert_eq!(clock.poll(woken + S), Beat::Down);

        let mut clock = self::clock(now);
        beat(&mut clock, now);
        beat(&mut clock, now);
        assert!(matches!(clock.poll(now), Beat::Wait(_)), "waits for the next ping");
        assert_eq!(clock.poll(woken), Beat::Ping, "the peer is asked before it is judged");
    }

    #[test]
    fn g10_the_end_of_a_lane_with_two_pongs_is_death() {
        let now = Instant::now();
        let mut clock = clock(now);
        beat(&mut clock, now);
        beat(&mut clock, now);
        assert_eq!(clock.lane_ended(now), LaneEnd::Died);
    }

    #[test]
    fn a_peer_that_closes_after_every_pong_is_dialled_once_per_interval() {
        let mut now = Instant::now();
        let mut clock = clock(now);
        for round in 0..10 {
            clock.lane_opened(now);
            beat(&mut clock, now);
            let LaneEnd::Redial(at) = clock.lane_ended(now) else { panic!("it lives") };
            assert!(round == 0 || at - now > S / 2, "round {round}");
            now = at;
        }
    }

    #[test]
    fn lanes_without_a_pong_are_replaced_ever_more_slowly_until_down() {
        let start = Instant::now();
        let mut now = start;
        let mut clock = clock(now);
        let mut lanes = 0;
        loop {
            clock.lane_opened(now);
            if clock.poll(now) == Beat::Down {
                break;
            }
            lanes += 1;
            let LaneEnd::Redial(at) = clock.lane_ended(now) else { panic!("it never answered") };
            now = at;
        }
        assert!(now - start < 6 * S && lanes < 15, "{lanes} lanes in {:?}", now - start);
    }

    #[test]
    fn a_probe_asks_at_once() {
        let now = Instant::now();
        let mut clock = clock(now);
        beat(&mut clock, now);
        beat(&mut clock, now);
        clock.probe(now + 10 * MS);
        assert_eq!(clock.poll(now + 10 * MS), Beat::Ping);
    }
}
