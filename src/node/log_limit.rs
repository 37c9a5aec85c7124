//! How many log lines there may be about peers (L27).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::shared::now;
use super::throttle::TokenBucket;

/// Lines a second about one peer, and about all of them.
const EACH: u32 = 10;
const ALL: u32 = 100;
/// Peers that are told apart; further ones share their lines.
const PEERS: usize = 1024;

/// At most so many lines a second; says how many were left out.
#[derive(Debug)]
pub(crate) struct LogLimit(Mutex<Lines>);

#[derive(Debug)]
struct Lines {
    all: TokenBucket,
    each: HashMap<String, Line>,
}

#[derive(Debug)]
struct Line {
    rate: TokenBucket,
    left_out: u64,
}

impl LogLimit {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Lines { all: TokenBucket::new(ALL, ALL, now()), each: HashMap::new() }))
    }

    /// `Some` if a line about `peer`, a host or a node, may be written, with the number of those left out before
    /// it.
    pub(crate) fn admit(&self, peer: &str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(peer, now())
    }
}

impl Lines {
    fn admit(&mut self, peer: &str, now: Instant) -> Option<u64> {
        if self.each.len() >= PEERS && !self.each.contains_key(peer) {
            self.each.retain(|_, line| line.left_out > 0 || !line.rate.is_full(now));
        }
        let known = self.each.len() < PEERS || self.each.contains_key(peer);
        let peer = if known { peer } else { "" };
        let new = || Line { rate: TokenBucket::new(EACH, EACH, now), left_out: 0 };
        let line = self.each.entry(peer.to_owned()).or_insert_with(new);
        if line.rate.try_take(now) && self.all.try_take(now) {
            return Some(std::mem::take(&mut line.left_out));
        }
        line.left_out += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn lines(now: Instant) -> Lines {
        Lines { all: TokenBucket::new(ALL, ALL, now), each: HashMap::new() }
    }

    #[test]
    fn l27_each_peer_has_ten_lines_a_second_and_is_told_how_many_were_left_out() {
        let start = Instant::now();
        let mut lines = lines(start);
        assert_eq!((0..1000).filter(|_| lines.admit("10.0.0.1", start).is_some()).count(), 10);
        assert_eq!(lines.admit("10.0.0.2", start), Some(0), "another peer is heard");
        assert_eq!(lines.admit("10.0.0.1", start + Duration::from_secs(1)), Some(990));
    }

    #[test]
    fn l27_any_number_of_peers_writes_a_hundred_lines_a_second() {
        let start = Instant::now();
        let mut lines = lines(start);
        let written = (0..100_000).filter(|n| lines.admit(&n.to_string(), start).is_some()).count();
        assert_eq!(written, 100);
        assert!(lines.each.len() <= PEERS + 1, "{}", lines.each.len());
    }
}
