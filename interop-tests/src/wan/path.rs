//! One direction between two hosts: what becomes of each packet, and when.
//!
//! It decides and does nothing else. The time is an argument and chance comes from a seed, so the same
//! packets at the same times meet the same fate.

use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::conditions::{Conditions, HELD_BACK};

/// What a path has done so far, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets that came in.
    pub offered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Lost because the queue at the bottleneck was full.
    pub overflowed: u64,
    /// Lost because the path was cut.
    pub cut: u64,
    /// Sent on twice.
    pub duplicated: u64,
    /// Held back, so that others overtook them.
    pub reordered: u64,
}

/// When a packet arrives: never, once or twice.
pub(super) type Arrivals = [Option<Instant>; 2];

pub(super) struct Path {
    pub(super) conditions: Conditions,
    pub(super) is_cut: bool,
    tally: Tally,
    /// When packets came that were lost: by chance, for want of room or as the path was cut.
    lost_at: Vec<Instant>,
    chance: SmallRng,
    /// When the bottleneck has sent everything that waits there.
    idle_at: Option<Instant>,
    /// The last arrival of a packet in its order; the next may not be earlier.
    last: Option<Instant>,
}

impl Path {
    pub(super) fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            is_cut: false,
            tally: Tally::default(),
            lost_at: Vec::new(),
            chance: SmallRng::seed_from_u64(seed),
            idle_at: None,
            last: None,
        }
    }

    pub(super) const fn tally(&self) -> Tally {
        self.tally
    }

    /// When packets were lost, in that order.
    pub(super) fn lost_at(&self) -> &[Instant] {
        &self.lost_at
    }

    /// Takes a packet of `len` bytes and says when it arrives.
    pub(super) fn admit(&mut self, now: Instant, len: usize) -> Arrivals {
        let arrivals = self.decide(now, len);
        if arrivals == [None; 2] {
            self.lost_at.push(now);
        }
        arrivals
    }

    fn decide(&mut self, now: Instant, len: usize) -> Arrivals {
        self.tally.offered += 1;
        if self.is_cut {
            self.tally.cut += 1;
            return [None; 2];
        }
        let may_be_lost =
            self.conditions.lost_sizes.is_none_or(|(least, most)| (least..=most).contains(&len));
        if may_be_lost && self.happens(self.conditions.loss) {
            self.tally.lost += 1;
            return [None; 2];
        }
        let Some(sent) = self.pass_bottleneck(now, len) else {
            self.tally.overflowed += 1;
            return [None; 2];
        };
        let arrival = self.travel(sent);
        if self.happens(self.conditions.duplicate) {
            self.tally.duplicated += 1;
            return [Some(arrival), Some(arrival)];
        }
        [Some(arrival), None]
    }

    /// A packet for which the router had no room.
    pub(super) fn overflowed(&mut self) {
        self.tally.overflowed += 1;
    }

    /// A packet that was under way when the path was cut.
    pub(super) fn lost_in_the_cut(&mut self) {
        self.tally.cut += 1;
    }

    /// When the last bit of the packet has left the bottleneck; `None` if its queue is full.
    fn pass_bottleneck(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.conditions.bits_per_second else { return Some(now) };
        let bytes_per_second = (rate / 8).max(1) as f64;
        let start = self.idle_at.map_or(now, |idle| idle.max(now));
        let waiting = (start - now).as_secs_f64() * bytes_per_second;
        if waiting + len as f64 > self.conditions.queue_bytes as f64 {
            return None;
        }
        let sent = start + Duration::from_secs_f64(len as f64 / bytes_per_second);
        self.idle_at = Some(sent);
        Some(sent)
    }

    fn travel(&mut self, sent: Instant) -> Instant {
        let Conditions { delay, jitter, reorder, .. } = self.conditions;
        let earliest = delay.saturating_sub(jitter);
        let spread = (delay + jitter - earliest).mul_f64(self.chance.random::<f64>());
        let arrival = sent + earliest + spread;
        if self.happens(reorder) {
            self.tally.reordered += 1;
            return arrival + HELD_BACK;
        }
        let arrival = self.last.map_or(arrival, |last| last.max(arrival));
        self.last = Some(arrival);
        arrival
    }

    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && self.chance.random::<f64>() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const ROUGH: Conditions = Conditions {
        delay: Duration::from_millis(75),
        jitter: Duration::from_millis(50),
        loss: 0.05,
        duplicate: 0.01,
        reorder: 0.02,
        ..Conditions::PERFECT
    };

    /// Sends `count` packets, one per millisecond.
    fn run(conditions: Conditions, seed: u64, count: u32) -> (Vec<Arrivals>, Tally) {
        let mut path = Path::new(conditions, seed);
        let start = *START;
        let arrivals = (0..count).map(|n| path.admit(start + n * MS, 1000)).collect();
        (arrivals, path.tally())
    }

    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

    #[test]
    fn a_seed_decides_the_fate_of_every_packet() {
        assert_eq!(run(ROUGH, 1, 5000), run(ROUGH, 1, 5000));
        assert_ne!(run(ROUGH, 1, 5000), run(ROUGH, 2, 5000));
    }

    #[test]
    fn shares_are_those_of_the_conditions() {
        let (arrivals, tally) = run(ROUGH, 7, 100_000);
        assert!((4500..5500).contains(&tally.lost), "{tally:?}");
        assert!((800..1100).contains(&tally.duplicated), "{tally:?}");
        assert!((1700..2100).contains(&tally.reordered), "{tally:?}");
        let gone = arrivals.iter().filter(|arrivals| arrivals[0].is_none()).count();
        let twice = arrivals.iter().filter(|arrivals| arrivals[1].is_some()).count();
        assert_eq!((gone as u64, twice as u64), (tally.lost, tally.duplicated));
    }

    #[test]
    fn only_packets_of_the_sizes_in_question_are_lost_and_each_loss_is_dated() {
        let picky = Conditions { loss: 0.5, lost_sizes: Some((500, 600)), ..Conditions::PERFECT };
        let mut path = Path::new(picky, 1);
        let mut lost = Vec::new();
        for n in 0..3000 {
            let (now, len) = (*START + n * MS, [499, 500, 600][n as usize % 3]);
            if path.admit(now, len) == [None, None] {
                assert_ne!(len, 499, "packet {n}");
                lost.push(now);
            }
        }
        assert!((800..1200).contains(&lost.len()), "{}", lost.len());
        assert_eq!(path.lost_at(), lost);
        path.conditions.lost_sizes = Some((601, usize::MAX));
        assert_eq!((0..100).filter(|_| path.admit(*START, 600) == [None, None]).count(), 0);
    }

    #[test]
    fn jitter_keeps_the_order_and_its_bounds_and_only_reordering_breaks_it() {
        let straight = Conditions { reorder: 0.0, loss: 0.0, ..ROUGH };
        let (arrivals, _) = run(straight, 3, 10_000);
        let times: Vec<_> = arrivals.iter().map(|arrivals| arrivals[0].unwrap()).collect();
        assert!(times.is_sorted());
        for (n, time) in (0..).zip(&times) {
            assert!((25 * MS..=125 * MS).contains(&(*time - (*START + n * MS))), "packet {n}");
        }
        let (arrivals, _) = run(ROUGH, 3, 10_000);
        assert!(!arrivals.iter().filter_map(|arrivals| arrivals[0]).is_sorted());
    }

    #[test]
    fn a_bottleneck_spaces_packets_and_its_full_queue_loses_them() {
        // 1000 bytes at 8 Mbit/s take a millisecond.
        let mut path = Path::new(Conditions::PERFECT.with_rate(8, 3000), 0);
        let now = *START;
        for n in 1..=3 {
            assert_eq!(path.admit(now, 1000), [Some(now + n * MS), None]);
        }
        assert_eq!(path.admit(now, 1000), [None, None]);
        assert_eq!(path.tally().overflowed, 1);
        assert_eq!(path.admit(now + MS, 1000), [Some(now + 4 * MS), None], "room again");
        assert_eq!(path.admit(now + 60 * MS, 1000), [Some(now + 61 * MS), None], "idle again");
    }

    #[test]
    fn a_cut_path_loses_everything() {
        let mut path = Path::new(Conditions::PERFECT, 0);
        path.is_cut = true;
        assert_eq!(path.admit(*START, 100), [None, None]);
        path.is_cut = false;
        assert_eq!(path.admit(*START, 100), [Some(*START), None]);
        assert_eq!(path.tally(), Tally { offered: 2, cut: 1, ..Tally::default() });
    }
}
