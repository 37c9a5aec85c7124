//! Which link between two nodes lives, when both dial, links break and nodes come back (protocol §5).
//!
//! Sans-IO: it is told what was received and answers what to do. Its rules, taken together, never
//! leave two links up at a node, nor two nodes with different ones; `table_tests` tries every order.

use std::collections::{BTreeMap, VecDeque};

use crate::wire::CloseCode;
use crate::wire::level2::Id;

/// Replaced lives of nodes that are remembered.
const REPLACED: usize = 16;

/// A life of a node. The order decides who yields when both dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Life {
    pub(crate) node: Id,
    /// Random per runtime.
    pub(crate) incarnation: u64,
}

/// How far a link is, as seen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Its HELLO was answered here, and READY has not come.
    Offered,
    /// READY was sent or received.
    Up,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Held {
    peer: Life,
    stage: Stage,
}

/// What the dialler does with an acknowledged link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is up: send READY.
    Commit,
    /// Ask again when something has changed.
    Wait,
    /// A link to an earlier life of that node is up: end it as lost, and ask again.
    Replace(Id),
    /// Close it. What was dialled is the node of the link named here, which is up or about to be.
    Alias(Id),
    Refuse(Refusal),
}

/// What the acceptor does when READY comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is up.
    Up,
    /// Another link to that node is up: end it as lost, and ask again.
    Replace(Id),
    /// The link is not held any more.
    Unknown,
}

/// Why a node is not linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("that address is this very runtime's: send to local PIDs by `send`")]
    Ourselves,
    #[error("a later life of that node has been seen: it was restarted")]
    Stale,
}

impl Refusal {
    pub(crate) const fn code(self) -> CloseCode {
        match self {
            Self::Ourselves => CloseCode::Duplicate,
            Self::Stale => CloseCode::StaleIncarnation,
        }
    }
}

/// The links of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Table {
    me: Life,
    links: BTreeMap<Id, Held>,
    /// Each with the link that took the place of its own.
    replaced: VecDeque<(Life, Id)>,
}

impl Table {
    pub(crate) const fn new(me: Life) -> Self {
        Self { me, links: BTreeMap::new(), replaced: VecDeque::new() }
    }

    /// HELLO came: the link to name as `other` in the answer, or [`Id::NONE`].
    pub(crate) fn hello(&mut self, link: Id, peer: Life) -> Result<Id, Refusal> {
        self.judge(peer)?;
        let other = self.up_with(peer.node);
        self.links.insert(link, Held { peer, stage: Stage::Offered });
        Ok(other.unwrap_or(Id::NONE))
    }

    /// HELLO_ACK came and every lane is open: whether to commit. `verified` says that the peer has
    /// proved to be that node.
    pub(crate) fn decide(&mut self, link: Id, peer: Life, other: Id, verified: bool) -> Decision {
        if let Err(refusal) = self.judge(peer) {
            return Decision::Refuse(refusal);
        }
        if let Some(up) = self.up_with(peer.node) {
            let of_an_earlier_life = verified && self.links[&up].peer != peer;
            return if of_an_earlier_life { Decision::Replace(up) } else { Decision::Alias(up) };
        }
        if self.links.contains_key(&other) {
            return Decision::Alias(other);
        }
        let offered = self.links.values().any(|held| held.peer == peer);
        if offered && self.me > peer {
            return Decision::Wait;
        }
        self.links.insert(link, Held { peer, stage: Stage::Up });
        Decision::Commit
    }

    /// READY came.
    pub(crate) fn ready(&mut self, link: Id) -> Arrival {
        let Some(held) = self.links.get(&link) else { return Arrival::Unknown };
        if let Some(up) = self.up_with(held.peer.node).filter(|up| *up != link) {
            return Arrival::Replace(up);
        }
        self.links.entry(link).and_modify(|held| held.stage = Stage::Up);
        Arrival::Up
    }

    /// `old` was ended for `link` with `new`: if they are of different lives, the old one is over.
    pub(crate) fn replaced(&mut self, old: Id, new: Life, link: Id) {
        let Some(held) = self.links.remove(&old) else { return };
        if held.peer != new {
            self.replaced.push_back((held.peer, link));
            self.replaced.drain(..self.replaced.len().saturating_sub(REPLACED));
        }
    }

    /// The link is over.
    pub(crate) fn dead(&mut self, link: Id) {
        self.links.remove(&link);
    }

    /// The link is over, and nothing has ever shown that a process was at its other end: perhaps that had ended
    /// before, and what was still on its way from it took the place of a link with a later life. That is not to
    /// be refused for it.
    pub(crate) fn never_lived(&mut self, link: Id) {
        self.dead(link);
        self.replaced.retain(|(_, by)| *by != link);
    }

    /// The link that is up with `node`.
    pub(crate) fn up_with(&self, node: Id) -> Option<Id> {
        let up = |held: &Held| held.stage == Stage::Up && held.peer.node == node;
        self.links.iter().find(|(_, held)| up(held)).map(|(link, _)| *link)
    }

    /// Whether `link` is held in any state.
    pub(crate) fn holds(&self, link: Id) -> bool {
        self.links.contains_key(&link)
    }

    fn judge(&self, peer: Life) -> Result<(), Refusal> {
        if peer == self.me {
            return Err(Refusal::Ourselves);
        }
        if self.replaced.iter().any(|(life, _)| *life == peer) { Err(Refusal::Stale) } else { Ok(()) }
    }
}
