//! How many handshakes may be under way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::Rates;

/// Handshakes of strangers under way, all together and from one address.
const MOST: usize = 64;
const MOST_OF_ONE: usize = 8;
/// Handshakes under way from an address where a node is.
const MOST_OF_KNOWN: usize = 128;

/// The handshakes under way at one listener. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Strangers(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    rates: Rates,
    /// All handshakes of strangers that are under way.
    all: usize,
    each: HashMap<IpAddr, Address>,
}

#[derive(Debug, Default)]
struct Address {
    shaking: usize,
    /// Connections whose peer has proved to be a node.
    known: usize,
}

/// Too many handshakes are under way, or begin at once, from there or altogether.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many handshakes from there, or altogether")]
pub struct Turned;

/// A handshake under way; dropped when it is over.
#[derive(Debug)]
pub struct HalfOpen {
    strangers: Strangers,
    ip: IpAddr,
    /// Whether it counts among those of strangers.
    strange: bool,
}

/// A connection whose peer has proved to be a node; dropped when it is over.
#[derive(Debug)]
pub struct Known {
    strangers: Strangers,
    ip: IpAddr,
}

impl Strangers {
    /// A place for a handshake with `ip`, or none for a program of this machine, which needs none.
    ///
    /// # Errors
    /// [`Turned`] if too many are under way, or begin at once.
    pub fn admit(&self, ip: IpAddr, now: Instant) -> Result<Option<HalfOpen>, Turned> {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return Ok(None);
        }
        let inner = &mut *self.inner();
        let (shaking, known) = inner.each.get(&ip).map_or((0, 0), |address| (address.shaking, address.known));
        let (strange, fits) = match known {
            0 => (true, inner.all < MOST && shaking < MOST_OF_ONE && inner.rates.admit(ip, now)),
            _ => (false, shaking < MOST_OF_KNOWN),
        };
        if !fits {
            return Err(Turned);
        }
        inner.all += usize::from(strange);
        inner.each.entry(ip).or_default().shaking += 1;
        Ok(Some(HalfOpen { strangers: self.clone(), ip, strange }))
    }

    /// Addresses that are remembered.
    pub fn addresses(&self) -> usize {
        self.inner().each.len()
    }

    fn change(&self, ip: IpAddr, change: impl FnOnce(&mut Address)) {
        let each = &mut self.inner().each;
        let address = each.entry(ip).or_default();
        change(address);
        if address.shaking + address.known == 0 {
            each.remove(&ip);
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HalfOpen {
    /// The peer has proved to be a node. To be kept as long as it is connected.
    pub fn proved(self) -> Known {
        self.strangers.change(self.ip, |address| address.known += 1);
        Known { strangers: self.strangers.clone(), ip: self.ip }
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.strangers.inner().all -= usize::from(self.strange);
        self.strangers.change(self.ip, |address| address.shaking -= 1);
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.strangers.change(self.ip, |address| address.known -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    fn place(strangers: &Strangers, n: u8, now: Instant) -> Result<HalfOpen, Turned> {
        strangers.admit(ip(n), now).map(|place| place.expect("no program of this machine"))
    }

    #[test]
    fn l05_handshakes_with_strangers_are_bounded_for_each_address_and_in_all() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let mut held: Vec<_> = (0..8).map(|_| place(&strangers, 1, now).unwrap()).collect();
        assert!(place(&strangers, 1, now).is_err(), "eight of one address");
        for n in 2..=8 {
            held.extend((0..8).map(|_| place(&strangers, n, now).unwrap()));
        }
        assert!(place(&strangers, 9, now).is_err(), "64 in all");
        assert!(
            strangers.admit([127, 0, 0, 1].into(), now).is_ok_and(|place| place.is_none()),
            "no stranger"
        );
        drop(held.pop());
        assert!(place(&strangers, 9, now).is_ok());
        drop(held);
        assert_eq!((strangers.addresses(), strangers.inner().all), (0, 0));
    }

    #[test]
    fn l05_one_address_begins_no_more_than_so_many_however_fast_they_end() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let begun = |now| (0..1000).filter(|_| place(&strangers, 1, now).is_ok()).count();
        assert_eq!((begun(now), begun(now + Duration::from_secs(1))), (40, 10));
        assert!(place(&strangers, 2, now).is_ok(), "others are not held up");
    }

    #[test]
    fn l05_an_address_where_a_node_is_opens_all_connections_of_several_nodes_at_once() {
        let (strangers, now) = (Strangers::default(), Instant::now());
        let first = place(&strangers, 1, now).unwrap().proved();
        let second = place(&strangers, 1, now).unwrap().proved();
        let mut lanes: Vec<_> = (0..100).map(|_| place(&strangers, 1, now).unwrap()).collect();
        assert_eq!(strangers.inner().all, 0, "they take nothing from strangers");
        lanes.extend((0..1000).map_while(|_| place(&strangers, 1, now).ok()));
        assert_eq!(lanes.len(), MOST_OF_KNOWN);
        drop((first, lanes));
        assert_eq!(strangers.addresses(), 1);
        drop(second);
        assert_eq!(strangers.addresses(), 0);
    }
}
