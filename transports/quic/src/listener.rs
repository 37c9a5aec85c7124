//! Accepting connections, without waiting for any one of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use myrmidon::transport::admission::Rates;
use myrmidon::transport::{Connection, Listener, NodeAddr, TransportError};
use quinn::{Connecting, Endpoint, Incoming};
use tokio::sync::watch;

use crate::connection::{QuicConnection, State};
use crate::error;
use crate::handshake::{self, Failure};
use crate::transport::Shared;

/// With more half-open connections than this, a stranger must prove its address first (L05).
const RETRY_ABOVE: usize = 32;
/// With more than this, strangers get no answer (L05).
const IGNORE_ABOVE: usize = 128;

pub(crate) struct QuicListener {
    local: SocketAddr,
    endpoint: Arc<Endpoint>,
    shared: Arc<Shared>,
    half_open: Arc<AtomicUsize>,
    rates: Rates,
}

impl QuicListener {
    pub(crate) fn new(local: SocketAddr, endpoint: Arc<Endpoint>, shared: Arc<Shared>) -> Self {
        Self { local, endpoint, shared, half_open: Arc::default(), rates: Rates::default() }
    }

    /// Begins the handshake, or turns the stranger away.
    fn admit(&mut self, incoming: Incoming) -> Option<QuicConnection> {
        let peer = incoming.remote_address();
        let half_open = self.half_open.load(Ordering::Relaxed);
        if half_open >= IGNORE_ABOVE {
            incoming.ignore();
            return None;
        }
        // A loopback address needs no proof. (After a Retry, what the peer had sent twice looks like
        // a further connection that never completes, so it is not for everyday use.)
        let is_here = peer.ip().to_canonical().is_loopback();
        let now = Instant::now();
        match incoming.remote_address_validated() {
            _ if is_here => {}
            true if self.rates.admit(peer.ip(), now) => {}
            true => {
                tracing::debug!(%peer, "too many handshakes from there, or altogether");
                incoming.ignore();
                return None;
            }
            false if half_open < RETRY_ABOVE && self.rates.admit_unproven(now) => {}
            false => {
                // Never fails for an address that is not validated.
                let _ = incoming.retry();
                return None;
            }
        }
        match incoming.accept_with(self.shared.settings(peer.ip()).server.clone()) {
            Ok(connecting) => Some(self.shake(connecting, peer)),
            Err(error) => {
                tracing::warn!(%peer, reason = error::handshake(&error), "refused a connection");
                None
            }
        }
    }

    /// The handshake goes on in a task of its own, whether or not anyone asks for lanes.
    fn shake(&self, connecting: Connecting, peer: SocketAddr) -> QuicConnection {
        let (done, state) = watch::channel(State::Shaking);
        let shared = self.shared.clone();
        let counted = HalfOpen::new(&self.half_open);
        let task = tokio::spawn(async move {
            let _counted = counted;
            let config = shared.config();
            let deadline = shared.handshake_timeout(peer.ip());
            let end = match handshake::finish(connecting, &config.credentials, deadline).await {
                Ok(verified) => State::Up(Arc::new(verified)),
                Err(failure) => State::Failed(refused(peer, failure)),
            };
            done.send_replace(end);
        });
        QuicConnection::accepted(peer, state, task.abort_handle())
    }
}

#[async_trait]
impl Listener for QuicListener {
    fn local_addr(&self) -> NodeAddr {
        NodeAddr::from(self.local)
    }

    async fn accept(&mut self) -> Result<Box<dyn Connection>, TransportError> {
        loop {
            let incoming = self.endpoint.accept().await;
            let incoming =
                incoming.ok_or_else(|| TransportError::Lost("the UDP socket failed".to_owned()))?;
            if let Some(connection) = self.admit(incoming) {
                return Ok(Box::new(connection));
            }
        }
    }
}

impl Drop for QuicListener {
    /// Connections live on; the socket closes with the last of them.
    fn drop(&mut self) {
        self.endpoint.set_server_config(None);
    }
}

/// The exact reason is for our side alone; the peer was told as little as TLS allows.
fn refused(peer: SocketAddr, failure: Failure) -> TransportError {
    let reason = match failure {
        Failure::Silent => "the peer fell silent in the middle of it".to_owned(),
        Failure::Refused(reason) => reason,
    };
    TransportError::Handshake { addr: NodeAddr::from(peer), reason }
}

/// Counts a handshake for as long as it lasts.
struct HalfOpen(Arc<AtomicUsize>);

impl HalfOpen {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
