//! The first byte of a frame.

/// The type of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A message for an actor.
    Message = 0x00,
    /// A question for the PID of a name.
    Resolve = 0x01,
    /// A question for a sign of life.
    Ping = 0x02,
    /// The answer to a ping.
    Pong = 0x03,
}

impl Opcode {
    /// Reads a type byte; `None` for one that level 1 does not know.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x00 => Some(Self::Message),
            0x01 => Some(Self::Resolve),
            0x02 => Some(Self::Ping),
            0x03 => Some(Self::Pong),
            _ => None,
        }
    }

    /// How many bytes come before the payload or the name, the type byte included.
    pub const fn header_len(self) -> usize {
        match self {
            Self::Message => 1 + 8 + 4,
            Self::Resolve => 1 + 4,
            Self::Ping | Self::Pong => 1,
        }
    }
}
