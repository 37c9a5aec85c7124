//! The one place where "tcp", "tls" and "quic" become types.

use std::path::Path;
use std::sync::Arc;

use myrmidon::config::{NodeConfig, Profile};
use myrmidon::transport::Transport;
use myrmidon_certs::{CertsError, Credentials};
use myrmidon_quic::{Congestion, QuicConfig, QuicTransport};
use myrmidon_tcp::{TcpConfig, TcpTransport, TlsConfig};
use pyo3::prelude::*;

use crate::errors::StartError;

/// The kinds of transport by name.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Tcp,
    Tls,
    Quic,
}

/// What the transports of a runtime are made with.
pub(crate) struct Setup<'a> {
    pub(crate) certs: Option<&'a Path>,
    pub(crate) allow_insecure_remote: bool,
    /// Left out, each peer's address decides.
    pub(crate) profile: Option<Profile>,
    /// Of QUIC alone: the system decides for TCP.
    pub(crate) congestion: Option<Congestion>,
    pub(crate) node: &'a NodeConfig,
}

impl Setup<'_> {
    fn tcp(&self) -> TcpConfig {
        let config = TcpConfig { allow_insecure_remote: self.allow_insecure_remote, ..TcpConfig::default() };
        // The node is to notice first that a peer is silent.
        TcpConfig { give_up_after: config.give_up_after.max(self.node.down_after), ..config }
    }

    fn credentials(&self) -> Result<Credentials, CertsError> {
        self.certs.map_or_else(Credentials::loopback, Credentials::load)
    }

    fn tls(&self, credentials: Credentials) -> Result<TcpTransport, CertsError> {
        let (level, handshake_timeout) = (self.node.level, self.node.connect_timeout);
        let tls = TlsConfig { level, handshake_timeout, ..TlsConfig::new(credentials) };
        TcpTransport::with_tls(self.tcp(), tls)
    }

    fn quic(&self, credentials: Credentials) -> Result<QuicTransport, CertsError> {
        let (profile, level) = (self.profile, self.node.level);
        let config = QuicConfig { profile, level, ..QuicConfig::new(credentials) };
        let config = match self.congestion {
            Some(congestion) => config.with_congestion(congestion),
            None => config,
        };
        QuicTransport::new(config)
    }
}

impl Kind {
    /// # Errors
    /// `StartError` for a name that is none.
    pub(crate) fn from_name(name: Option<&str>) -> PyResult<Self> {
        match name {
            None | Some("tcp") => Ok(Self::Tcp),
            Some("tls") => Ok(Self::Tls),
            Some("quic") => Ok(Self::Quic),
            Some(other) => {
                let text = format!("no transport {other:?}: use \"tcp\", \"tls\" or \"quic\"");
                Err(StartError::new_err(text))
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Quic => "quic",
        }
    }

    /// Makes the transport. TLS and QUIC without `certs` get the user's private credentials, which are good
    /// for loopback only (D10).
    ///
    /// # Errors
    /// `StartError` if the certificates do not serve, or are given to a transport without any, or a congestion
    /// control to one that does not choose it.
    pub(crate) fn build(self, setup: &Setup<'_>) -> PyResult<Arc<dyn Transport>> {
        if setup.congestion.is_some() && !matches!(self, Self::Quic) {
            return Err(StartError::new_err(
                "congestion is of QUIC: the system chooses for TCP and TLS (net.ipv4.tcp_congestion_control on Linux)",
            ));
        }
        match (self, setup.certs) {
            (Self::Tcp, Some(_)) => Err(StartError::new_err(
                "plain TCP has no certificates: use transport=\"tls\" or \"quic\" with certs",
            )),
            (Self::Tcp, None) => Ok(Arc::new(TcpTransport::new(setup.tcp()))),
            (Self::Tls, _) => {
                let transport = setup.credentials().and_then(|own| setup.tls(own)).map_err(refused)?;
                Ok(Arc::new(transport))
            }
            (Self::Quic, _) => {
                let transport = setup.credentials().and_then(|own| setup.quic(own)).map_err(refused)?;
                Ok(Arc::new(transport))
            }
        }
    }
}

fn refused(error: CertsError) -> PyErr {
    StartError::new_err(error.to_string())
}
