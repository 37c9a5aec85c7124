//! The one place of the command where "tcp", "tls" and "quic" become types.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use myrmidon::Runtime;
use myrmidon::transport::Transport;
use myrmidon_certs::{CertsError, Credentials};
use myrmidon_quic::{QuicConfig, QuicTransport};
use myrmidon_tcp::{TcpConfig, TcpTransport, TlsConfig};

use crate::Failure;

/// How to talk to other nodes.
#[derive(Args)]
pub(crate) struct Mesh {
    /// What carries the messages
    #[arg(long, value_enum, default_value_t = Kind::Tcp)]
    transport: Kind,
    /// The directory of this node's certificate, for tls and quic beyond this machine
    #[arg(long, value_name = "DIR")]
    certs: Option<PathBuf>,
    /// Let plain TCP leave this machine, though it neither encrypts nor authenticates
    #[arg(long)]
    allow_insecure_remote: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Plain TCP
    Tcp,
    /// TCP with TLS 1.3
    Tls,
    /// QUIC
    Quic,
}

impl Mesh {
    /// A runtime with no actors that talks in this way.
    pub(crate) fn runtime(&self) -> Result<Runtime, Failure> {
        Ok(Runtime::builder().workers(1).transport(self.transport()?).start()?)
    }

    fn transport(&self) -> Result<Arc<dyn Transport>, Failure> {
        match (self.transport, &self.certs) {
            (Kind::Tcp, Some(_)) => {
                Err(Failure::Failed("plain TCP has no certificates: add --transport tls or quic".to_owned()))
            }
            (Kind::Tcp, None) => {
                let allow_insecure_remote = self.allow_insecure_remote;
                Ok(Arc::new(TcpTransport::new(TcpConfig { allow_insecure_remote, ..TcpConfig::default() })))
            }
            (Kind::Quic, certs) => {
                Ok(Arc::new(QuicTransport::new(QuicConfig::new(credentials(certs.as_deref())?))?))
            }
            (Kind::Tls, certs) => {
                let tls = TlsConfig::new(credentials(certs.as_deref())?);
                Ok(Arc::new(TcpTransport::with_tls(TcpConfig::default(), tls)?))
            }
        }
    }

    /// The options that repeat this choice in another command, for hints.
    pub(crate) fn options(&self) -> &'static str {
        match (self.transport, &self.certs) {
            (Kind::Tcp, _) => "",
            (Kind::Tls, None) => " --transport tls",
            (Kind::Tls, Some(_)) => " --transport tls --certs DIR",
            (Kind::Quic, None) => " --transport quic",
            (Kind::Quic, Some(_)) => " --transport quic --certs DIR",
        }
    }
}

/// Those of the directory, else the user's own for this machine.
fn credentials(dir: Option<&Path>) -> Result<Credentials, CertsError> {
    dir.map_or_else(Credentials::loopback, Credentials::load)
}
