//! Why a link is over, and what that says about its peer.

use std::time::Duration;

use crate::node::error::{Breakage, DownReason};
use crate::transport::CloseCode;

/// Why a link is over.
#[derive(Clone, Debug)]
pub(in crate::node) enum End {
    /// One side left, and nothing was lost.
    Left,
    /// The peer's process has ended, or came back in a new life.
    Lost(String),
    /// It broke in a way that proves nothing about the peer, or the peer closed it over an error.
    Cut(String),
    /// Nothing came for so long.
    Silent(Duration),
    /// Another life of the node takes its place.
    Restarted,
    /// This side closes it: the peer broke a rule, or another link takes its place.
    Refused(CloseCode, String),
}

/// What a peer says about an end, for people: in one line, and not too long.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 256;
    text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl From<Breakage> for End {
    fn from(breakage: Breakage) -> Self {
        if breakage.proven { Self::Lost(breakage.text) } else { Self::Cut(breakage.text) }
    }
}

impl End {
    /// The peer said what makes no sense.
    pub(super) fn malformed(reason: &str) -> Self {
        Self::Refused(CloseCode::Malformed, reason.to_owned())
    }

    /// There is no room for what comes in.
    pub(super) fn overloaded() -> Self {
        Self::Refused(CloseCode::Overloaded, "the queues of this node hold as much as they may".to_owned())
    }

    pub(in crate::node) fn reason(&self) -> DownReason {
        match self {
            Self::Left => DownReason::Left,
            Self::Lost(reason) => DownReason::Crashed(reason.clone()),
            Self::Restarted => DownReason::Crashed("the node was restarted".to_owned()),
            Self::Cut(reason) | Self::Refused(_, reason) => DownReason::Unreachable(reason.clone()),
            Self::Silent(after) => DownReason::Unreachable(format!("nothing was heard for {after:?}")),
        }
    }

    pub(super) const fn code(&self) -> CloseCode {
        match self {
            Self::Left => CloseCode::Normal,
            Self::Lost(_) | Self::Cut(_) => CloseCode::Internal,
            Self::Silent(_) => CloseCode::Unresponsive,
            Self::Restarted => CloseCode::Duplicate,
            Self::Refused(code, _) => *code,
        }
    }
}
