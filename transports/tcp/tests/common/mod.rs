//! Clusters on disk, and transports with TLS.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part")]

use std::path::Path;

use myrmidon::transport::{Listener, NodeAddr, Transport};
use myrmidon_certs::{Authority, Credentials, DEFAULT_TTL};
use myrmidon_tcp::{TcpConfig, TcpTransport, TlsConfig};

/// An authority in a directory of its own.
pub struct Cluster {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Cluster {
    pub fn new(name: &str) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), authority: Authority::generate(name).unwrap() }
    }

    /// The same certificate each time.
    pub fn credentials(&self, node: &str) -> Credentials {
        let dir = self.dir.path().join(node);
        if !dir.exists() {
            self.authority.issue(node, DEFAULT_TTL).unwrap().write(&dir).unwrap();
        }
        Credentials::load(&dir).unwrap()
    }

    pub fn node(&self, name: &str) -> TcpTransport {
        transport(TlsConfig::new(self.credentials(name)))
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

pub fn transport(config: TlsConfig) -> TcpTransport {
    TcpTransport::with_tls(TcpConfig::default(), config).unwrap()
}

/// The user's own credentials, whose state lies in `dir`.
pub fn local_config(dir: &Path) -> TlsConfig {
    TlsConfig::new(Credentials::loopback_in(&dir.join("loopback")).unwrap())
}

pub async fn listen(transport: &TcpTransport) -> Box<dyn Listener> {
    transport.bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap()
}

pub fn at_node(node: &str, addr: &NodeAddr) -> NodeAddr {
    format!("{node}@{addr}").parse().unwrap()
}
