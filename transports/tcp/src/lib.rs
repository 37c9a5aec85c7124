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
//! [`TcpConfig::allow_insecure_remote`] is set (D10).
#![forbid(unsafe_code)]

mod address;
mod config;
mod connection;
mod lane;
mod listener;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use myrmidon::transport::{Connection, Listener, NodeAddr, Transport, TransportError};

pub use config::TcpConfig;

use connection::{Dialler, TcpConnection};
use listener::TcpListener;

/// The name of this transport.
const SCHEME: &str = "tcp";

/// Binds and dials plain TCP.
#[derive(Clone, Debug, Default)]
pub struct TcpTransport {
    config: TcpConfig,
    accept_errors: Arc<AtomicU64>,
}

impl TcpTransport {
    /// A transport with this configuration.
    pub fn new(config: TcpConfig) -> Self {
        Self { config, accept_errors: Arc::default() }
    }

    /// How often the system refused to hand out an accepted connection (L29), over all listeners.
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Transport for TcpTransport {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    async fn bind(&self, addr: &NodeAddr) -> Result<Box<dyn Listener>, TransportError> {
        let failed = |reason| TransportError::Bind { addr: addr.clone(), reason };
        let candidates = address::resolve(addr, self.config.allow_insecure_remote, failed).await?;
        let listener = TcpListener::bind(&candidates, &self.config, self.accept_errors.clone());
        Ok(Box::new(listener.map_err(|error| failed(error.to_string()))?))
    }

    async fn connect(&self, addr: &NodeAddr) -> Result<Box<dyn Connection>, TransportError> {
        let failed = |reason| TransportError::Connect { addr: addr.clone(), reason };
        let candidates = address::resolve(addr, self.config.allow_insecure_remote, failed).await?;
        let (stream, remote) = connection::dial(&candidates, &self.config).await.map_err(failed)?;
        let dialler = Dialler { remote, config: self.config.clone() };
        Ok(Box::new(TcpConnection::dialled(stream, addr.clone(), dialler)))
    }
}
