//! How much a peer may say at once.

/// The longest name that can be registered, in bytes (L18).
pub const MAX_NAME: usize = 255;

/// The longest name frame that is still answered (with 0); beyond it the lane is closed.
pub const MAX_NAME_FRAME: usize = 4096;

/// Memory for an incoming payload grows in steps of at most this, as its bytes arrive (L03).
pub const STEP: usize = 64 << 10;

/// Payloads below this are copied, so that a short message never keeps a whole read buffer alive;
/// payloads from here on are passed along without copying.
pub const COPY_BELOW: usize = 4 << 10;

/// What a [`Decoder`](super::Decoder) accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest payload of a message, in bytes (L02).
    pub max_payload: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_payload: 64 << 20 }
    }
}
