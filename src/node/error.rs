//! What can go wrong between nodes, per operation, and what to do about it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::actor::{ExitReason, NodeState};
use crate::pid::Pid;
use crate::transport::{CloseCode, NodeAddr, TransportError};

/// Why a node does not listen.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The transport cannot listen there.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The node has been shut down.
    #[error("the node is shut down: make a new runtime to listen again")]
    Closed,
}

/// Why a name was not resolved. That nobody has the name is no error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// The peer could not be reached, or the connection broke before the answer. After a failed
    /// attempt further ones fail at once until a pause is over (L28).
    #[error("no connection to {addr}: {reason}")]
    NoConnection {
        /// The peer.
        addr: NodeAddr,
        /// What happened, and what to do.
        reason: String,
    },
    /// The peer is connected and has not answered.
    #[error("{addr} has not answered within {after:?}: it is overloaded or frozen; try again later")]
    Timeout {
        /// The peer.
        addr: NodeAddr,
        /// How long was waited.
        after: Duration,
    },
    /// Too many names are being resolved there at once (L19).
    #[error("{max} resolves at {addr} are unanswered: wait for some of them")]
    Busy {
        /// The peer.
        addr: NodeAddr,
        /// The bound.
        max: usize,
    },
    /// No node registers such a name (L18).
    #[error("a name of {len} bytes cannot exist: names have 1 to {max} bytes and do not begin with NUL")]
    BadName {
        /// Its length in bytes.
        len: usize,
        /// The longest.
        max: usize,
    },
    /// The node has been shut down.
    #[error("the node is shut down: make a new runtime")]
    Closed,
}

/// Why a message was not accepted for a remote actor. The message is handed back.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteSendError {
    /// The outbound queue of the peer is full (L10).
    #[error("the queue to {addr} is full: the peer reads too slowly; slow down, or try again later")]
    Busy {
        /// The peer.
        addr: NodeAddr,
        /// The message.
        message: Bytes,
    },
    /// The peer could not be reached a moment ago, and the pause before the next attempt is not over
    /// (L28).
    #[error("no connection to {addr}: {reason}")]
    NoConnection {
        /// The peer.
        addr: NodeAddr,
        /// What happened.
        reason: String,
        /// The message.
        message: Bytes,
    },
    /// The payload is larger than what is sent in one frame (L02).
    #[error("a message of {len} bytes is too large, at most {max} are sent: split it into several")]
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
        /// The message.
        message: Bytes,
    },
    /// The node has been shut down.
    #[error("the node is shut down: make a new runtime")]
    Closed {
        /// The message.
        message: Bytes,
    },
}

impl RemoteSendError {
    /// The message that was not sent.
    pub fn into_message(self) -> Bytes {
        match self {
            Self::Busy { message, .. }
            | Self::NoConnection { message, .. }
            | Self::TooLarge { message, .. }
            | Self::Closed { message } => message,
        }
    }
}

/// Without the payload, which may be large.
impl fmt::Debug for RemoteSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSendError({self})")
    }
}

/// Why a peer gave no sign of life.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// The peer could not be reached.
    #[error("no connection to {addr}: {reason}")]
    NoConnection {
        /// The peer.
        addr: NodeAddr,
        /// What happened.
        reason: String,
    },
    /// The peer has not answered.
    #[error("{addr} has not answered a ping within {after:?}: it is frozen or cut off")]
    Timeout {
        /// The peer.
        addr: NodeAddr,
        /// How long was waited.
        after: Duration,
    },
    /// Too many callers wait for a pong of this peer.
    #[error("{max} pings of {addr} are unanswered: wait for some of them")]
    Busy {
        /// The peer.
        addr: NodeAddr,
        /// The bound.
        max: usize,
    },
    /// The node has been shut down.
    #[error("the node is shut down: make a new runtime")]
    Closed,
}

impl DownReason {
    /// The same as why an actor ended, which a monitor of the node at `addr` tells.
    pub(crate) fn into_exit(self, addr: &NodeAddr) -> ExitReason {
        match self {
            Self::Ended(reason) => reason,
            lost => ExitReason::NoConnection(format!("{addr}: {}", lost.loss())),
        }
    }

    /// What there is to say beyond `noconnection`.
    pub(crate) fn loss(&self) -> String {
        let text = self.to_string();
        text.strip_prefix("noconnection: ").unwrap_or(&text).to_owned()
    }
}

/// A monitored remote actor can no longer be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteDown {
    /// The node of the actor, as given to `monitor`.
    pub addr: NodeAddr,
    /// The actor.
    pub pid: Pid,
    /// Why.
    pub reason: DownReason,
}

/// Why a monitor fired. All but the first are `noconnection`: whether the actor lives is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DownReason {
    /// The actor has ended, or there is none. Only nodes that speak level 2 tell so.
    #[error("{0}")]
    Ended(ExitReason),
    /// Its node left in good order.
    #[error("noconnection: left: the node was shut down")]
    Left,
    /// No connection could be made.
    #[error("noconnection: refused: {0}")]
    Refused(String),
    /// The process of its node has ended without a goodbye: its connections were ended or reset, or
    /// the node came back in a new life.
    #[error("noconnection: crashed: {0}")]
    Crashed(String),
    /// Its node cannot be reached, and nothing proves that its process has ended: it is silent, cut
    /// off, or one side has closed the connection over an error.
    #[error("noconnection: unreachable: {0}")]
    Unreachable(String),
    /// Too many monitors at one peer (L20).
    #[error("noconnection: {0} monitors at one peer are the most: remove some")]
    TooManyMonitors(usize),
    /// The local node has been shut down.
    #[error("noconnection: the local node is shut down")]
    Closed,
}

impl DownReason {
    /// What there is to say beyond that the connection is lost.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Refused(text) | Self::Crashed(text) | Self::Unreachable(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// How the node stands for which this is the reason.
    pub(super) fn state(&self) -> NodeState {
        match self {
            Self::Left => NodeState::Left,
            Self::Crashed(text) => NodeState::Crashed(text.clone()),
            other => NodeState::Unreachable(other.detail()),
        }
    }
}

/// How a connection broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Breakage {
    /// Whether that proves that the process at the other end has ended.
    pub(super) proven: bool,
    pub(super) text: String,
}

impl Breakage {
    /// The stream ended, and only a process that ends, or does not care, ends it there.
    pub(super) fn closed() -> Self {
        Self { proven: true, text: "closed by the peer".to_owned() }
    }

    /// Something that a living peer may do too.
    pub(super) fn unproven(text: impl Into<String>) -> Self {
        Self { proven: false, text: text.into() }
    }

    pub(super) fn reason(self) -> DownReason {
        if self.proven { DownReason::Crashed(self.text) } else { DownReason::Unreachable(self.text) }
    }
}

impl From<TransportError> for Breakage {
    /// A reset of the whole connection comes from a system whose process is gone. A code, or the reset of
    /// a single lane, comes from a process that lives.
    fn from(error: TransportError) -> Self {
        let proven = match &error {
            TransportError::Lost(_) => true,
            TransportError::ClosedByPeer { code, .. } => {
                u16::try_from(*code).is_ok_and(CloseCode::is_in_good_order)
            }
            _ => false,
        };
        Self { proven, text: error.to_string() }
    }
}
