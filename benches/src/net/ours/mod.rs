//! Our nodes.

mod drive;
mod held;
mod serve;
mod trips;

use std::sync::Arc;

use myrmidon::Runtime;
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_certs::Credentials;
use myrmidon_quic::{QuicConfig, QuicTransport};
use myrmidon_tcp::{TcpTransport, TlsConfig};

pub(super) use self::drive::drive;
pub(super) use self::serve::serve;
use super::halves::{self, Kind, Who};
use super::pair;
use super::python::Python;
use crate::measure::{Figures, Workload};
use crate::rounds::Peer;

/// The Rust side, and the Python side where there is one.
pub(super) struct Ours {
    python: Option<Python>,
}

impl Ours {
    pub(super) fn new(python: Option<Python>) -> Self {
        Self { python }
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        "myrmidon"
    }

    fn version(&self) -> String {
        format!("Myrmidon {}", env!("CARGO_PKG_VERSION"))
    }

    fn divisor(&self, work: &str) -> Option<u64> {
        (!work.starts_with("python-") || self.python.is_some()).then_some(1)
    }

    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        match &self.python {
            Some(python) if workload.name.starts_with("python-") => python.run(workload, amount),
            _ => {
                let (serve, drive) = halves::commands(Who::Myrmidon, workload.name, amount)?;
                pair::measure(serve, drive)
            }
        }
    }

    fn is_outside(&self) -> bool {
        true
    }
}

/// What Ethernet takes, instead of what loopback does.
const ETHERNET: u16 = 1452;

/// A runtime that listens on loopback, with everything as it is by default; where the work says so, QUIC
/// sends it in small packets.
fn node(kind: Kind, work: &str) -> Result<(Runtime, NodeAddr), String> {
    let credentials = || Credentials::loopback().map_err(text);
    let transport: Arc<dyn Transport> = match kind {
        Kind::Tcp => Arc::new(TcpTransport::new(Default::default())),
        Kind::Tls => {
            let tls = TlsConfig::new(credentials()?);
            Arc::new(TcpTransport::with_tls(Default::default(), tls).map_err(text)?)
        }
        Kind::Quic => {
            let mut config = QuicConfig::new(credentials()?);
            if work.ends_with("-1452") {
                config.loopback.packet = Some(ETHERNET);
            }
            Arc::new(QuicTransport::new(config).map_err(text)?)
        }
    };
    let rt = Runtime::builder().transport(transport).start().map_err(text)?;
    let addr = rt.io().block_on(rt.node().listen(&NodeAddr::new("127.0.0.1", 0))).map_err(text)?;
    Ok((rt, addr))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
