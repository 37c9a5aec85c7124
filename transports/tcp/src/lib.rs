//! The TCP transport of Myrmidon: a lane is a socket, and a connection is one or more of them.
//!
//! The dialler's first lane is the socket that `connect` made; every further lane dials another one
//! to the same address. The acceptor cannot know which sockets belong together (frames tell, above
//! this layer), so each accepted socket is a connection with one lane.
//!
//! TCP carries no codes: a peer's `finish` and its `close` both read as the end of the stream, a
//! reset lane or a dropped sender as [`Lost`](myrmidon::transport::TransportError::Lost). Telling a
//! peer that nothing more will be read is only possible by dropping both halves of the lane.
//!
//! Plain TCP neither encrypts nor authenticates, so this transport stays on loopback unless
//! [`TcpConfig::allow_insecure_remote`] is set (D10). [`TcpTransport::with_tls`] does both: TLS 1.3, with
//! certificates on both sides, on every socket.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use myrmidon_certs::Credentials;
//! use myrmidon_tcp::{TcpConfig, TcpTransport, TlsConfig};
//!
//! let credentials = Credentials::load("a".as_ref())?;
//! let transport = TcpTransport::with_tls(TcpConfig::default(), TlsConfig::new(credentials))?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod address;
mod config;
mod connection;
mod dial;
mod handshake;
mod lane;
mod link;
mod listener;
mod socket;
mod stream;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use myrmidon::transport::{Connection, Listener, NodeAddr, PeerIdentity, Transport, TransportError};
use myrmidon_certs::CertsError;

pub use config::TcpConfig;
pub use tls::TlsConfig;

use connection::TcpConnection;
use dial::Dialler;
use listener::TcpListener;
use tls::Tls;

/// The names of this transport, without and with TLS.
const SCHEME: &str = "tcp";
const TLS: &str = "tls";

/// Binds and dials TCP, plain or with TLS.
#[derive(Clone, Default)]
pub struct TcpTransport {
    config: TcpConfig,
    tls: Option<Arc<Tls>>,
    accept_errors: Arc<AtomicU64>,
}

impl TcpTransport {
    /// Plain TCP with this configuration.
    pub fn new(config: TcpConfig) -> Self {
        Self { config, tls: None, accept_errors: Arc::default() }
    }

    /// TLS over TCP: every socket is encrypted, and both ends prove who they are.
    ///
    /// # Errors
    /// If rustls refuses the credentials.
    pub fn with_tls(config: TcpConfig, tls: TlsConfig) -> Result<Self, CertsError> {
        Ok(Self { tls: Some(Arc::new(Tls::new(tls)?)), ..Self::new(config) })
    }

    /// How often the system refused to hand out an accepted connection (L29), over all listeners.
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }

    /// The socket addresses of `addr` that may be used.
    async fn resolve(
        &self,
        addr: &NodeAddr,
        failed: impl Fn(String) -> TransportError,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        match &self.tls {
            None => address::resolve_plain(addr, self.config.allow_insecure_remote, failed).await,
            Some(tls) => address::resolve_secure(addr, &tls.credentials, failed).await,
        }
    }
}

#[async_trait]
impl Transport for TcpTransport {
    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { TLS } else { SCHEME }
    }

    async fn bind(&self, addr: &NodeAddr) -> Result<Box<dyn Listener>, TransportError> {
        let failed = |reason| TransportError::Bind { addr: addr.clone(), reason };
        let candidates = self.resolve(addr, failed).await?;
        let errors = self.accept_errors.clone();
        let listener = TcpListener::bind(&candidates, &self.config, self.tls.clone(), errors);
        Ok(Box::new(listener.map_err(|error| failed(error.to_string()))?))
    }

    async fn connect(&self, addr: &NodeAddr) -> Result<Box<dyn Connection>, TransportError> {
        let failed = |reason| TransportError::Connect { addr: addr.clone(), reason };
        let candidates = self.resolve(addr, failed).await?;
        let named = |tls: &Arc<Tls>| Ok((tls.clone(), tls.name_at(addr)?));
        let tls = self.tls.as_ref().map(named).transpose()?;
        let (dialler, stream, proof) = Dialler::first(addr, &candidates, &self.config, tls).await?;
        Ok(Box::new(TcpConnection::dialled(stream, proof, dialler)))
    }

    fn identity(&self) -> Option<PeerIdentity> {
        self.tls.as_ref().map(|tls| tls.identity())
    }
}

impl std::fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpTransport").field("scheme", &self.scheme()).field("config", &self.config).finish()
    }
}
