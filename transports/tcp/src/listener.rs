//! Accepting, also when the system is short of something.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use myrmidon::transport::admission::Strangers;
use myrmidon::transport::{Connection, Listener, NodeAddr, TransportError};
use tokio::net::{TcpSocket, TcpStream};

use crate::TcpConfig;
use crate::connection::TcpConnection;
use crate::tls::Tls;

/// Connections that the kernel completes before they are accepted.
const BACKLOG: u32 = 1024;

/// What a spare descriptor is open on; any file does.
const SPARE: &str = if cfg!(windows) { "NUL" } else { "/dev/null" };
/// How many are turned away before the pause.
const TURNED_AWAY: usize = 64;

pub(crate) struct TcpListener {
    inner: tokio::net::TcpListener,
    addr: NodeAddr,
    config: TcpConfig,
    tls: Option<Arc<Tls>>,
    strangers: Strangers,
    errors: Arc<AtomicU64>,
    pause: Pause,
    spare: Spare,
}

impl TcpListener {
    /// Binds the first of `candidates` that can be bound; the error is that of the last one.
    pub(crate) fn bind(
        candidates: &[SocketAddr],
        config: &TcpConfig,
        tls: Option<Arc<Tls>>,
        errors: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for &candidate in candidates {
            match bind_one(candidate) {
                Ok(inner) => {
                    let addr = inner.local_addr()?.into();
                    let (config, strangers) = (config.clone(), Strangers::default());
                    return Ok(Self {
                        inner,
                        addr,
                        config,
                        tls,
                        strangers,
                        errors,
                        pause: Pause::default(),
                        spare: Spare::new(),
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Closes who waits to be accepted, with the spare descriptor.
    async fn turn_away(&mut self) {
        if self.spare.0.take().is_none() {
            self.spare = Spare::new();
            return;
        }
        for _ in 0..TURNED_AWAY {
            // Nobody is there at once, or it fails again: either way the pause follows.
            match tokio::time::timeout(Duration::ZERO, self.inner.accept()).await {
                Ok(Ok(turned_away)) => drop(turned_away),
                _ => break,
            }
        }
        self.spare = Spare::new();
    }

    /// Nothing, if the peer is one of too many strangers (L05): closing is all they are told.
    fn prepare(&self, accepted: io::Result<(TcpStream, SocketAddr)>) -> io::Result<Option<TcpConnection>> {
        let (stream, peer) = accepted?;
        self.config.apply(&stream)?;
        let Some(tls) = &self.tls else { return Ok(Some(TcpConnection::accepted(stream, peer.into()))) };
        let place = self.strangers.admit(peer.ip(), Instant::now()).ok();
        Ok(place.map(|place| TcpConnection::accepted_with_tls(stream, peer.into(), tls.clone(), place)))
    }
}

/// A descriptor kept for the time when there are no others, so that who knocks then is turned away and does not wait
/// for an answer that cannot come (L29).
struct Spare(Option<std::fs::File>);

impl Spare {
    fn new() -> Self {
        // Where it cannot be had, nobody is turned away.
        Self(std::fs::File::open(SPARE).ok())
    }
}

fn bind_one(addr: SocketAddr) -> io::Result<tokio::net::TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that a restarted node gets its port back while old connections are in TIME_WAIT. On Windows
    // the option means something else, and is not needed.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

#[async_trait]
impl Listener for TcpListener {
    fn local_addr(&self) -> NodeAddr {
        self.addr.clone()
    }

    /// Never fails: a listening socket does not break, and what the system is short of may come back
    /// (L29).
    async fn accept(&mut self) -> Result<Box<dyn Connection>, TransportError> {
        loop {
            let accepted = self.inner.accept().await;
            match self.prepare(accepted) {
                Ok(None) => {}
                Ok(Some(connection)) => {
                    self.pause = Pause::default();
                    return Ok(Box::new(connection));
                }
                Err(error) if is_of_the_peer(&error) => {}
                Err(error) => {
                    let count = self.errors.fetch_add(1, Ordering::Relaxed) + 1;
                    let pause = self.pause.next();
                    tracing::warn!(%error, count, ?pause, listener = %self.addr, "cannot accept; pausing");
                    self.turn_away().await;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// The peer went away between connecting and being accepted: nothing is wrong here.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | InvalidInput | NotConnected)
}

/// How long to leave the system alone: 5 ms, doubling to 1 s. It limits the log lines too.
#[derive(Debug, Default)]
struct Pause {
    tries: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_secs(1);

    fn next(&mut self) -> Duration {
        let pause = Self::FIRST.saturating_mul(1 << self.tries.min(16)).min(Self::LONGEST);
        self.tries += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_second_and_stay_there_l29() {
        let mut pause = Pause::default();
        let millis: Vec<_> = (0..10).map(|_| pause.next().as_millis()).collect();
        assert_eq!(millis, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
