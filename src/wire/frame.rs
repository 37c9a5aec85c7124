//! Decoded frames.

use bytes::Bytes;

use super::limits::MAX_NAME;
use crate::pid::Pid;

/// One frame of a dialler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message; `to` is `None` where the wire says 0, which names nobody.
    Message {
        /// The receiver.
        to: Option<Pid>,
        /// The payload.
        data: Bytes,
    },
    /// Asks for the PID behind a name.
    Resolve(Name),
    /// Asks for a sign of life.
    Ping,
    /// A sign of life; unasked, so without effect.
    Pong,
}

/// A name that somebody asks for: UTF-8 of bounded length, but not always one that can exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text as asked.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text if a node may have registered it: not empty, at most [`MAX_NAME`] bytes, and not
    /// beginning with NUL. Everything else is answered with 0.
    pub fn registrable(&self) -> Option<&str> {
        let possible = !self.0.is_empty() && self.0.len() <= MAX_NAME && !self.0.starts_with('\0');
        possible.then_some(self.0.as_str())
    }
}
