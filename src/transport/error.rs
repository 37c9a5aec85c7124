//! Close codes and the errors of a transport.

use super::NodeAddr;

/// Why a connection was closed (`PROTOCOL.md`, close codes). On QUIC they are application close
/// codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
#[allow(missing_docs, reason = "each name says it; the table of PROTOCOL.md explains them")]
pub enum CloseCode {
    Normal = 0x00,
    GoingAway = 0x01,
    Version = 0x10,
    Timeout = 0x11,
    NotAuthenticated = 0x12,
    Revoked = 0x13,
    Expired = 0x14,
    NotAllowed = 0x15,
    Duplicate = 0x16,
    StaleIncarnation = 0x17,
    TooLarge = 0x20,
    Malformed = 0x21,
    UnknownType = 0x22,
    ResetFlood = 0x23,
    Overloaded = 0x24,
    CreditViolated = 0x25,
    Unresponsive = 0x26,
    Internal = 0x30,
}

impl CloseCode {
    /// The number on the wire.
    pub const fn as_u16(self) -> u16 {
        self as u16
    }
}

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
    #[error("cannot connect to {addr}: {reason}")]
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
        /// The number, see [`CloseCode`]; peers may send numbers that we do not know.
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
    /// The connection broke (reset, timeout, unreachable).
    #[error("the connection broke: {0}")]
    Lost(String),
}
