//! The one place where "tcp" and "quic" become types.

use std::path::Path;
use std::sync::Arc;

use myrmidon::config::{NodeConfig, Profile};
use myrmidon::transport::Transport;
use myrmidon_certs::{CertsError, Credentials};
use myrmidon_quic::{QuicConfig, QuicTransport};
use myrmidon_tcp::{TcpConfig, TcpTransport};
use pyo3::prelude::*;

use crate::errors::StartError;

/// The kinds of transport by name.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Tcp,
    Quic,
}

/// What the transports of a runtime are made with.
pub(crate) struct Setup<'a> {
    pub(crate) certs: Option<&'a Path>,
    pub(crate) allow_insecure_remote: bool,
    /// Left out, each peer's address decides.
    pub(crate) profile: Option<Profile>,
    pub(crate) node: &'a NodeConfig,
}

impl Setup<'_> {
    fn tcp(&self) -> TcpConfig {
        let config = TcpConfig { allow_insecure_remote: self.allow_insecure_remote, ..TcpConfig::default() };
        // The node is to notice first that a peer is silent.
        TcpConfig { give_up_after: config.give_up_after.max(self.node.down_after), ..config }
    }

    fn quic(&self, credentials: Credentials) -> QuicConfig {
        QuicConfig { profile: self.profile, level: self.node.level, ..QuicConfig::new(credentials) }
    }
}

impl Kind {
    /// # Errors
    /// `StartError` for a name that is none.
    pub(crate) fn from_name(name: Option<&str>) -> PyResult<Self> {
        match name {
            None | Some("tcp") => Ok(Self::Tcp),
            Some("quic") => Ok(Self::Quic),
            Some(other) => {
                Err(StartError::new_err(format!("no transport {other:?}: use \"tcp\" or \"quic\"")))
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }

    /// Makes the transport. QUIC without `certs` gets the user's private credentials, which are good
    /// for loopback only (D10).
    ///
    /// # Errors
    /// `StartError` if the certificates do not serve, or are given to a transport without any.
    pub(crate) fn build(self, setup: &Setup<'_>) -> PyResult<Arc<dyn Transport>> {
        match (self, setup.certs) {
            (Self::Tcp, Some(_)) => {
                Err(StartError::new_err("plain TCP has no certificates: use transport=\"quic\" with certs"))
            }
            (Self::Tcp, None) => Ok(Arc::new(TcpTransport::new(setup.tcp()))),
            (Self::Quic, certs) => {
                let credentials = certs.map_or_else(Credentials::loopback, Credentials::load);
                let transport = credentials.and_then(|own| QuicTransport::new(setup.quic(own)));
                Ok(Arc::new(transport.map_err(|error: CertsError| StartError::new_err(error.to_string()))?))
            }
        }
    }
}
