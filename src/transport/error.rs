//! The errors of a transport.

use super::NodeAddr;

/// What can go wrong below the frames.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The address is not one that this transport can use.
    #[error("{scheme} cannot use the address {addr}: {reason}")]
    BadAddress {
        /// The transport.
        scheme: &'static str,
        /// The address as given.
        addr: NodeAddr,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
    /// Binding failed.
    #[error("cannot listen on {addr}: {reason}")]
    Bind {
        /// The address as given.
        addr: NodeAddr,
        /// The system's reason.
        reason: String,
    },
    /// The peer could not be reached.
    #[error("cannot connect to {addr}: {reason}; check that the node runs there, and try again")]
    Connect {
        /// The address as given.
        addr: NodeAddr,
        /// The system's reason.
        reason: String,
    },
    /// The handshake failed; the reason is for the local log only.
    #[error("the handshake with {addr} failed: {reason}")]
    Handshake {
        /// The address of the peer.
        addr: NodeAddr,
        /// What failed, in full.
        reason: String,
    },
    /// The transport refuses this for safety; the text says what to do.
    #[error("{0}")]
    Refused(String),
    /// The peer closed the connection with a code.
    #[error("closed by the peer with code {code:#04x}: {reason}")]
    ClosedByPeer {
        /// The number, see [`CloseCode`](super::CloseCode); peers may send numbers that we do not know.
        code: u64,
        /// The peer's text, at most a line.
        reason: String,
    },
    /// This side closed the connection.
    #[error("closed here")]
    ClosedLocally,
    /// The lane was reset by the peer.
    #[error("the lane was reset by the peer with code {code:#04x}")]
    Reset {
        /// The number the peer gave; 0 where the transport carries none.
        code: u64,
    },
    /// The connection was broken from the other end (reset, end without a goodbye).
    #[error("the connection broke: {0}")]
    Lost(String),
    /// The connection ended in a way that proves nothing about the peer: nothing came from it any more,
    /// no way leads there, or something between the two ends was wrong.
    #[error("the connection was cut: {0}")]
    Cut(String),
}
