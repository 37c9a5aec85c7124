//! Raw bytes to a node, over the transport itself and past every codec.

use std::sync::Arc;

use myrmidon::transport::{
    Connection, LaneClass, LaneReceiver, LaneSender, Level, Transport, TransportError,
};
use myrmidon_certs::Credentials;
use myrmidon_quic::{QuicConfig, QuicTransport};
use myrmidon_tcp::{TcpConfig, TcpTransport, TlsConfig};
use tokio::runtime::Runtime;

use crate::node::{Kind, Setup};
use crate::wait::DEADLINE;

/// Dials nodes; a peer of the same private cluster where the transport has one.
pub struct Raw {
    io: Runtime,
    transport: Arc<dyn Transport>,
}

/// One connection with one lane.
pub struct RawLane<'a> {
    io: &'a Runtime,
    tx: Box<dyn LaneSender>,
    rx: Box<dyn LaneReceiver>,
    connection: Box<dyn Connection>,
}

impl Raw {
    /// A dialler for the nodes of `setup`.
    ///
    /// # Panics
    /// If the private certificates cannot be made.
    pub fn new(setup: &Setup) -> Self {
        let io = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let transport = io.block_on(async { transport(setup) });
        Self { io, transport }
    }

    /// A new connection to `addr` and its first lane.
    ///
    /// # Panics
    /// If the node does not take it.
    pub fn lane(&self, addr: &str) -> RawLane<'_> {
        let addr = addr.parse().expect("an address");
        self.io.block_on(async {
            let connection = within(self.transport.connect(&addr)).await.expect("connect");
            let (tx, rx) = within(connection.open_lane(LaneClass::Control)).await.expect("open a lane");
            RawLane { io: &self.io, tx, rx, connection }
        })
    }
}

impl RawLane<'_> {
    /// Writes bytes as they are; an error means that the node has closed the lane.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        self.io.block_on(within(self.tx.write(&mut [bytes.to_vec().into()])))
    }

    /// Exactly `len` bytes.
    ///
    /// # Panics
    /// If the lane ends before.
    pub fn read(&mut self, len: usize) -> Vec<u8> {
        let Self { io, rx, .. } = self;
        io.block_on(async {
            let mut got = vec![];
            while got.len() < len {
                let piece = within(rx.read(len - got.len())).await.expect("read").expect("more bytes");
                got.extend_from_slice(&piece);
            }
            got
        })
    }

    /// Ends this side's direction in good order.
    ///
    /// # Panics
    /// If the lane is broken.
    pub fn finish(&mut self) {
        self.io.block_on(within(self.tx.finish())).expect("finish");
    }

    /// What still comes, and how the lane ended.
    pub fn read_to_end(&mut self) -> (Vec<u8>, Result<(), TransportError>) {
        let Self { io, rx, .. } = self;
        io.block_on(async {
            let mut got = vec![];
            loop {
                match within(rx.read(4096)).await {
                    Ok(Some(piece)) => got.extend_from_slice(&piece),
                    Ok(None) => return (got, Ok(())),
                    Err(error) => return (got, Err(error)),
                }
            }
        })
    }

    /// Waits until the node has ended the connection, with both of our halves gone, and says how.
    pub fn closed(self) -> TransportError {
        let Self { io, tx, rx, connection } = self;
        drop((tx, rx));
        io.block_on(within(connection.closed()))
    }
}

fn transport(setup: &Setup) -> Arc<dyn Transport> {
    match setup.kind {
        Kind::Tcp => Arc::new(TcpTransport::default()),
        // What is written here are the bytes of level 1.
        Kind::Tls => {
            let config = TlsConfig { level: Level::One, ..TlsConfig::new(credentials(setup)) };
            Arc::new(TcpTransport::with_tls(TcpConfig::default(), config).expect("a TLS transport"))
        }
        Kind::Quic => {
            let config = QuicConfig { level: Level::One, ..QuicConfig::new(credentials(setup)) };
            Arc::new(QuicTransport::new(config).expect("a QUIC transport"))
        }
    }
}

fn credentials(setup: &Setup) -> Credentials {
    Credentials::loopback_in(&setup.state_dir().join("loopback")).expect("private certificates")
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("an answer within the deadline")
}
