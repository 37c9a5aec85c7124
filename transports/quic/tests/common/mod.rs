//! Clusters on disk, and connected pairs.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test file uses its part")]

use std::path::Path;
use std::time::Duration;

use myrmidon::transport::{Connection, Lane, LaneClass, LaneReceiver, Listener, NodeAddr, Transport};
use myrmidon_certs::{Authority, Credentials, DEFAULT_TTL};
use myrmidon_quic::{QuicConfig, QuicTransport};

/// Longer than anything takes; reached only by a test that fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

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

    pub fn node(&self, name: &str) -> QuicTransport {
        QuicTransport::new(QuicConfig::new(self.credentials(name))).unwrap()
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

/// A runtime of the user whose state lies in `dir`.
pub fn local(dir: &Path) -> QuicTransport {
    QuicTransport::new(local_config(dir)).unwrap()
}

pub fn local_config(dir: &Path) -> QuicConfig {
    QuicConfig::new(Credentials::loopback_in(&dir.join("loopback")).unwrap())
}

pub async fn listen(transport: &QuicTransport) -> Box<dyn Listener> {
    transport.bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap()
}

pub fn at_node(node: &str, addr: &NodeAddr) -> NodeAddr {
    format!("{node}@{addr}").parse().unwrap()
}

/// Two ends of one connection. The dialling side comes first.
pub struct Pair {
    pub dialled: Box<dyn Connection>,
    pub accepted: Box<dyn Connection>,
    pub listener: Box<dyn Listener>,
}

pub async fn pair(dialler: &QuicTransport, acceptor: &QuicTransport) -> Pair {
    let mut listener = listen(acceptor).await;
    let addr = listener.local_addr();
    let (dialled, accepted) = tokio::join!(dialler.connect(&addr), listener.accept());
    Pair { dialled: dialled.unwrap(), accepted: accepted.unwrap(), listener }
}

/// A lane with a byte through it, since a lane is invisible until written.
pub async fn lane(pair: &Pair) -> (Lane, Lane) {
    let mut ours = pair.dialled.open_lane(LaneClass::Message).await.unwrap();
    ours.0.write(&mut [bytes::Bytes::from_static(b"!")]).await.unwrap();
    let mut theirs = soon(pair.accepted.accept_lane()).await.unwrap().unwrap();
    assert_eq!(read(&mut *theirs.1, 1).await, b"!");
    (ours, theirs)
}

/// Exactly `len` bytes.
pub async fn read(lane: &mut dyn LaneReceiver, len: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(len);
    while all.len() < len {
        let more = soon(lane.read(len - all.len())).await.unwrap().expect("the lane ended early");
        all.extend_from_slice(&more);
    }
    all
}

pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens before the deadline")
}
