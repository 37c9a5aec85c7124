//! The numbers with which lanes and connections are closed.

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

    /// Whether a peer that gives this number leaves in good order.
    pub const fn is_in_good_order(code: u16) -> bool {
        code == Self::Normal as u16 || code == Self::GoingAway as u16
    }
}
