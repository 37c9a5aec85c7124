//! What a transport is: lanes of bytes between two nodes, and nothing about frames.
//!
//! A transport binds, accepts and connects; a [`Connection`] opens and accepts *lanes*, each an
//! ordered reliable byte stream in both directions. Framing, negotiation, heartbeats and messaging
//! are written once above these traits, in `wire` and `node`, so every transport behaves alike. A
//! third party adds one by implementing these traits and passing `transports/harness`.
//!
//! Buffers are owned [`Bytes`] and travel in batches: a large payload is never copied here, and the
//! cost of the boxed future is paid once per batch.

mod address;
pub mod admission;
mod error;
pub mod memory;

pub use address::{AddrParseError, NodeAddr};
pub use error::TransportError;

pub use crate::config::{Level, Profile};
pub use crate::wire::CloseCode;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

/// What a lane is for. A transport may use it to set priorities; it must carry every class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LaneClass {
    /// Frames about the link itself, and at level 1 everything but heartbeats.
    Control,
    /// Actor messages.
    Message,
    /// Level 1 heartbeats, which must not wait behind messages.
    Heartbeat,
    /// Chunks of large payloads.
    Bulk,
}

/// Who the peer proved to be, read from its verified certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerIdentity {
    /// The cluster (trust domain) of the certificate.
    pub cluster: String,
    /// The node name of the certificate.
    pub node: String,
}

/// Makes and accepts connections of one kind ("tcp", "quic", "memory").
///
/// Its futures run on the tokio runtime of the sockets, a current-thread one as a rule: what blocks there holds up all connections, and
/// `tokio::task::block_in_place` panics, unless [`io_threads`](crate::config::RuntimeConfig::io_threads) is 2 or more.
/// `tokio::task::spawn_blocking` is the way in any case.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The name of the kind, as in `Runtime(transport="quic")`.
    fn scheme(&self) -> &'static str;

    /// Binds `addr` and returns the listener, whose address is the real one (port 0 is resolved).
    ///
    /// Cancel-safe: dropping the future binds nothing.
    async fn bind(&self, addr: &NodeAddr) -> Result<Box<dyn Listener>, TransportError>;

    /// Connects to `addr`, including the handshake and the verification of the peer.
    ///
    /// The caller sets the deadline. Cancel-safe: dropping the future abandons the attempt.
    async fn connect(&self, addr: &NodeAddr) -> Result<Box<dyn Connection>, TransportError>;

    /// Who this side proves to be; `None` where the transport does not authenticate.
    fn identity(&self) -> Option<PeerIdentity> {
        None
    }
}

/// Accepts connections. Dropping it stops listening; accepted connections live on.
#[async_trait]
pub trait Listener: Send + 'static {
    /// The bound address.
    fn local_addr(&self) -> NodeAddr;

    /// The next connection, its handshake not necessarily finished: a slow peer must not hold up
    /// the ones behind it (the first `accept_lane` of the connection waits for the handshake).
    ///
    /// An error means that the listener is broken for good; passing troubles (out of file
    /// descriptors, a failed handshake) are handled inside, with a pause where a loop would spin.
    /// Cancel-safe.
    async fn accept(&mut self) -> Result<Box<dyn Connection>, TransportError>;
}

/// The two halves of a lane.
pub type Lane = (Box<dyn LaneSender>, Box<dyn LaneReceiver>);

/// One connection to a peer.
#[async_trait]
pub trait Connection: Send + Sync + 'static {
    /// Opens a lane to the peer. Only the side that dialled opens lanes on every transport.
    ///
    /// The peer may learn of a lane only when the first bytes are written; and where each lane arrives as
    /// a connection of its own, this may take a handshake, for which the peer has to be accepting.
    /// Cancel-safe.
    async fn open_lane(&self, class: LaneClass) -> Result<Lane, TransportError>;

    /// The next lane that the peer opened; `None` once the connection has ended in good order.
    ///
    /// Cancel-safe: a lane is either returned or still waiting.
    async fn accept_lane(&self) -> Result<Option<Lane>, TransportError>;

    /// Who the peer proved to be; `None` where the transport does not authenticate, and before
    /// the handshake of an accepted connection is done.
    fn peer_identity(&self) -> Option<PeerIdentity>;

    /// The level that the handshake agreed on; `None` where it does not, so that the bytes have to
    /// tell. Before the handshake of an accepted connection is done it is `None` too.
    fn level(&self) -> Option<Level> {
        None
    }

    /// Whether every lane that the dialler opens arrives on this very connection, which then proves whose
    /// it is. Where each arrives as a connection of its own (TCP) this is false.
    fn carries_all_lanes(&self) -> bool {
        false
    }

    /// The network address of the peer, for logs and limits; it decides nothing.
    fn peer_addr(&self) -> NodeAddr;

    /// Ends the connection and all its lanes at once, telling the peer `code` where the transport
    /// can. Data still in flight may be lost: finish the lanes first to avoid that.
    fn close(&self, code: CloseCode, reason: &str);

    /// Waits until the connection has ended, and says why. This is the transport's own signal of
    /// liveness; it may come late or never (a silent peer), so `node` has heartbeats of its own.
    ///
    /// Cancel-safe.
    async fn closed(&self) -> TransportError;
}

/// The sending half of a lane. Dropping it without [`finish`](Self::finish) resets the lane.
#[async_trait]
pub trait LaneSender: Send + 'static {
    /// Writes all of `bufs` in order, waiting for room as needed. Written buffers are left empty.
    ///
    /// After a dropped future `bufs` are what is left, and must be given to it again before anything else.
    async fn write(&mut self, bufs: &mut [Bytes]) -> Result<(), TransportError>;

    /// Says what the lane is for. The side that opened it has said so already; the other one learns it from
    /// the first frames.
    fn set_class(&mut self, _class: LaneClass) {}

    /// Whether [`try_write`](Self::try_write) ever writes.
    fn writes_at_once(&self) -> bool {
        false
    }

    /// Writes what the system takes without waiting, on any thread. True if that was everything; else
    /// `bufs` are what is left, and must be given to [`write`](Self::write) before anything else, even if
    /// all of them are empty. An error leaves them too.
    ///
    /// Most transports have nothing to gain by it, and leave everything.
    fn try_write(&mut self, bufs: &mut [Bytes]) -> Result<bool, TransportError> {
        Ok(bufs.is_empty())
    }

    /// Says that nothing more comes (end of stream after all written bytes).
    async fn finish(&mut self) -> Result<(), TransportError>;

    /// Abandons the lane: the peer's reader fails with `Reset` where the transport can say so.
    fn reset(&mut self, code: CloseCode);
}

/// The receiving half of a lane.
#[async_trait]
pub trait LaneReceiver: Send + 'static {
    /// The next bytes, at least one and at most `max`; `None` at the end of the stream.
    ///
    /// Cancel-safe: bytes are either returned or still unread.
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, TransportError>;

    /// Reads as [`read`](Self::read) does, to the end of `into`, and returns how many bytes; 0 at the end of the
    /// stream. A transport that can puts them there without a buffer in between.
    ///
    /// Cancel-safe: bytes are either in `into` or still unread.
    async fn read_into(&mut self, into: &mut BytesMut, max: usize) -> Result<usize, TransportError> {
        let bytes = self.read(max).await?.unwrap_or_default();
        into.extend_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// Tells the peer that nothing more will be read.
    fn stop(&mut self, code: CloseCode);
}
