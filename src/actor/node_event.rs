//! What an actor is told of other nodes.

use std::fmt;

use crate::transport::{NodeAddr, PeerIdentity};
use crate::wire::level2::Id;

/// How things stand with another node (D12).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeState {
    /// It is connected, or at level 1 was reached.
    Up,
    /// It is connected, and does not keep up: its scheduler does not answer, or its Python handlers do
    /// not run. The text says which. Nothing is lost yet.
    Stalled(String),
    /// It keeps up again. Only in events; in a list such a node is [`Up`](Self::Up).
    Recovered,
    /// It went in good order.
    Left,
    /// Its process has ended without a goodbye; the text says what proves it.
    Crashed(String),
    /// It is silent or cut off, or the connection was closed over an error; whether it lives is not
    /// known.
    Unreachable(String),
}

impl NodeState {
    /// The short name, as in Python: `up`, `stalled`, `recovered`, `left`, `crashed`, `unreachable`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Stalled(_) => "stalled",
            Self::Recovered => "recovered",
            Self::Left => "left",
            Self::Crashed(_) => "crashed",
            Self::Unreachable(_) => "unreachable",
        }
    }

    /// What there is to say beyond the name.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Stalled(text) | Self::Crashed(text) | Self::Unreachable(text) => Some(text),
            Self::Up | Self::Recovered | Self::Left => None,
        }
    }

    /// Whether the node is there, keeping up or not.
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up | Self::Stalled(_) | Self::Recovered)
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.detail() {
            Some(text) => write!(f, "{}: {text}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// A change of how things stand with another node.
///
/// Each life of a node comes up once and goes down once; between the two it may stall and recover. A node
/// that was cut off and comes back is up again, with the incarnation that it had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeEvent {
    /// How it stands now.
    pub state: NodeState,
    /// Where it is: the address that was dialled, or, if it dialled us, the one it came from.
    pub addr: NodeAddr,
    /// Who it proved to be, where the transport authenticates.
    pub identity: Option<PeerIdentity>,
    /// Its number, the same in each of its lives if it has a certificate; at level 1 none is known.
    pub node: Option<Id>,
    /// Which of its lives this is; to be compared for equality only.
    pub incarnation: Option<u64>,
}

impl NodeEvent {
    pub(crate) const fn new(
        state: NodeState,
        addr: NodeAddr,
        identity: Option<PeerIdentity>,
        life: Option<(Id, u64)>,
    ) -> Self {
        let (node, incarnation) = match life {
            Some((node, incarnation)) => (Some(node), Some(incarnation)),
            None => (None, None),
        };
        Self { state, addr, identity, node, incarnation }
    }
}
