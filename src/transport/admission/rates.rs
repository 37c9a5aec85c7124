//! How often strangers may begin a handshake, all together and each address by itself (L05).
//!
//! A handshake costs more than any packet that begins one. Those who have not proved their address share one
//! rate; beyond it they are asked for the proof, which costs nothing here, and then each address has a rate of
//! its own. So who forges addresses takes nothing from those whose addresses they are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Handshakes per second.
const ALL: f64 = 50.0;
const EACH: f64 = 10.0;
/// So many seconds' worth may come at once: a cluster that starts, or a network that comes back.
const AT_ONCE: f64 = 4.0;
/// Addresses that are remembered; beyond it those are forgotten that have been quiet.
const REMEMBERED: usize = 4096;

/// The rates of one listener.
#[derive(Debug, Default)]
pub struct Rates {
    unproven: Bucket,
    proven: Bucket,
    each: HashMap<IpAddr, Bucket>,
}

/// What may come until it is full again.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used: f64,
    since: Option<Instant>,
}

impl Bucket {
    /// Whether one more may come, at a rate of so many a second.
    fn admits(&mut self, now: Instant, rate: f64) -> bool {
        let passed = self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.used = (self.used - passed.as_secs_f64() * rate).max(0.0);
        self.since = Some(now);
        self.used + 1.0 <= rate * AT_ONCE
    }
}

impl Rates {
    /// Whether another handshake may begin for somebody who has proved nothing; if so it counts.
    pub fn admit_unproven(&mut self, now: Instant) -> bool {
        let admitted = self.unproven.admits(now, ALL);
        self.unproven.used += if admitted { 1.0 } else { 0.0 };
        admitted
    }

    /// The same for somebody who has proved to be at `ip`.
    pub fn admit(&mut self, ip: IpAddr, now: Instant) -> bool {
        if self.each.len() >= REMEMBERED && !self.each.contains_key(&ip) {
            self.each.retain(|_, bucket| !bucket.admits(now, EACH) || bucket.used > 0.0);
        }
        // Where even that makes no room, the rate of all is what is left.
        let known = self.each.len() < REMEMBERED || self.each.contains_key(&ip);
        let each = known.then(|| self.each.entry(ip).or_default());
        let admitted = self.proven.admits(now, ALL)
            && each.is_none_or(|each| {
                let admits = each.admits(now, EACH);
                each.used += if admits { 1.0 } else { 0.0 };
                admits
            });
        self.proven.used += if admitted { 1.0 } else { 0.0 };
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn l05_one_address_begins_ten_handshakes_a_second_and_all_fifty() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let burst = (0..1000).filter(|_| rates.admit(ip(1), start)).count();
        assert_eq!(burst, 40, "four seconds' worth at once");
        let later = start + Duration::from_secs(1);
        assert_eq!((0..1000).filter(|_| rates.admit(ip(1), later)).count(), 10);
        assert!(rates.admit(ip(2), later), "others are not held up");
        let all = (0..200).flat_map(|n| [n as u8; 10]).filter(|n| rates.admit(ip(*n), later)).count();
        assert!(all <= 200, "{all}");
        let much_later = later + Duration::from_secs(60);
        let all = (0..=255).flat_map(|n| [n; 10]).filter(|n| rates.admit(ip(*n), much_later)).count();
        assert_eq!(all, 200);
        let strangers = (0..1000).filter(|_| rates.admit_unproven(much_later)).count();
        assert_eq!(strangers, 200, "a rate of their own");
    }

    #[test]
    fn l05_addresses_are_remembered_up_to_a_bound() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        for number in 0..20_000u32 {
            let now = start + Duration::from_millis(number.into());
            rates.admit(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(rates.each.len() <= REMEMBERED);
    }
}
