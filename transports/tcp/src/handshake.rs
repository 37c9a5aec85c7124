//! The handshake of an accepted socket, which nobody else waits for, and how many there may be.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use myrmidon::transport::TransportError;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::connection::First;
use crate::link::Link;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::{Proof, Tls};

/// Strangers beyond this machine whose handshakes are under way, all together and from one address (L05).
const MOST: usize = 64;
const MOST_OF_ONE: usize = 8;

/// How far a handshake is. It changes once.
#[derive(Clone, Debug)]
pub(crate) enum State {
    Shaking,
    /// What was proved; nothing, without TLS.
    Done(Option<Proof>),
    Failed(TransportError),
}

/// Shakes hands in a task of its own, and puts the socket into `first` when it is done.
pub(crate) fn shake(
    stream: TcpStream,
    tls: Arc<Tls>,
    place: Option<HalfOpen>,
    first: Arc<First>,
    link: Arc<Link>,
) -> (watch::Receiver<State>, AbortHandle) {
    let (done, state) = watch::channel(State::Shaking);
    let task = tokio::spawn(async move {
        let _place = place;
        let end = match tls.accept(stream).await {
            Ok((stream, proof)) => {
                first.put(Socket::new(Stream::Tls(Box::new(stream)), link));
                State::Done(Some(proof))
            }
            Err(reason) => {
                let failure = TransportError::Handshake { addr: link.peer.clone(), reason };
                link.socket_over(failure.clone());
                State::Failed(failure)
            }
        };
        done.send_replace(end);
    });
    (state, task.abort_handle())
}

/// Counts handshakes under way by address.
#[derive(Clone, Default)]
pub(crate) struct Strangers(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A handshake under way; dropped when it is over.
pub(crate) struct HalfOpen {
    strangers: Strangers,
    ip: IpAddr,
}

impl Strangers {
    /// A place for a handshake with `ip`; `Err` if too many are under way. This machine's own programs
    /// are no strangers.
    pub(crate) fn admit(&self, ip: IpAddr) -> Result<Option<HalfOpen>, ()> {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return Ok(None);
        }
        let mut counts = self.counts();
        if counts.values().sum::<usize>() >= MOST
            || counts.get(&ip).is_some_and(|count| *count >= MOST_OF_ONE)
        {
            return Err(());
        }
        *counts.entry(ip).or_default() += 1;
        Ok(Some(HalfOpen { strangers: self.clone(), ip }))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        let mut counts = self.strangers.counts();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        [10, 0, 0, n].into()
    }

    #[test]
    fn l05_handshakes_with_strangers_are_bounded_for_each_address_and_in_all() {
        let strangers = Strangers::default();
        let mut held: Vec<_> = (0..8).map(|_| strangers.admit(ip(1)).ok().flatten().unwrap()).collect();
        assert!(strangers.admit(ip(1)).is_err(), "eight of one address");
        for n in 2..=8 {
            held.extend((0..8).map(|_| strangers.admit(ip(n)).ok().flatten().unwrap()));
        }
        assert!(strangers.admit(ip(9)).is_err(), "64 in all");
        assert!(strangers.admit([127, 0, 0, 1].into()).is_ok_and(|place| place.is_none()), "no stranger");
        drop(held.pop());
        assert!(strangers.admit(ip(9)).is_ok());
        drop(held);
        assert!(strangers.counts().is_empty());
    }
}
