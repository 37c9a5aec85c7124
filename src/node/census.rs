//! Which other nodes are known, and how things stand with each.
//!
//! Sans-IO: it is told what happened and answers with the events that follow. Rules:
//!
//! - a node comes up once and goes down once for each link, or at level 1 for each time it is reached;
//! - a link that takes the place of another tells of the end of the first one before its own beginning;
//! - nodes that are gone are remembered up to a bound, the last ones.

use std::collections::HashMap;
use std::time::Duration;

use crate::actor::{NodeEvent, NodeState};
use crate::config::Level;
use crate::transport::{NodeAddr, PeerIdentity};
use crate::wire::level2::Id;

/// Nodes that are gone and remembered.
const MOST_GONE: usize = 256;

/// What is known of another node, see [`Node::nodes`](super::Node::nodes).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeInfo {
    /// How things stand with it, or how it went.
    pub state: NodeState,
    /// Where it is: the address that was dialled, or, if it dialled us, the one it came from.
    pub addr: NodeAddr,
    /// Who it proved to be, where the transport authenticates.
    pub identity: Option<PeerIdentity>,
    /// Its number, the same in each of its lives if it has a certificate; at level 1 none is known.
    pub node: Option<Id>,
    /// Which of its lives this is or was; to be compared for equality only.
    pub incarnation: Option<u64>,
    /// The protocol that is or was spoken with it.
    pub level: Level,
    /// The last round trip of a ping, while it is up.
    pub round_trip: Option<Duration>,
}

/// Who is at the other end of a link.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) addr: NodeAddr,
    pub(super) identity: Option<PeerIdentity>,
    pub(super) node: Id,
    pub(super) incarnation: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Node(Id),
    /// A peer of level 1 has no other name.
    Addr(NodeAddr),
}

struct Known {
    event: NodeEvent,
    /// The link to it, at level 2.
    link: Option<Id>,
    /// Grows with each change, to forget the oldest first.
    changed: u64,
}

#[derive(Default)]
pub(super) struct Census {
    known: HashMap<Key, Known>,
    changes: u64,
}

impl Census {
    /// A link is up.
    pub(super) fn linked(&mut self, link: Id, who: Who) -> Vec<NodeEvent> {
        let mut events = Vec::new();
        let key = Key::Node(who.node);
        if let Some(earlier) = self.known.get(&key).filter(|earlier| earlier.event.state.is_up()) {
            let same_life = earlier.event.incarnation == Some(who.incarnation);
            events.extend(self.down(&key, replaced(same_life)));
        }
        // Whoever answered at that address before does so no more.
        let instead = NodeState::Unreachable("another node answers at its address".to_owned());
        events.extend(self.down(&Key::Addr(who.addr.clone()), instead));
        self.known.retain(|_, known| known.event.state.is_up() || known.event.addr != who.addr);
        let life = Some((who.node, who.incarnation));
        let event = NodeEvent::new(NodeState::Up, who.addr, who.identity, life);
        events.push(self.note(key, event, Some(link)));
        events
    }

    /// A link is over. Nothing follows if another has taken its place.
    pub(super) fn unlinked(&mut self, node: Id, link: Id, state: NodeState) -> Option<NodeEvent> {
        let key = Key::Node(node);
        let own = self.known.get(&key).is_some_and(|known| known.link == Some(link));
        if own { self.down(&key, state) } else { None }
    }

    /// The node of a link does not keep up, for this reason, or does again.
    pub(super) fn stalled(&mut self, node: Id, link: Id, why: Option<String>) -> Option<NodeEvent> {
        let known = self.known.get_mut(&Key::Node(node)).filter(|known| known.link == Some(link))?;
        let state = match (why, &known.event.state) {
            (Some(why), NodeState::Up) => NodeState::Stalled(why),
            (Some(why), NodeState::Stalled(_)) => {
                // No news, but newer.
                known.event.state = NodeState::Stalled(why);
                return None;
            }
            (None, NodeState::Stalled(_)) => NodeState::Recovered,
            _ => return None,
        };
        let event = NodeEvent { state, ..known.event.clone() };
        known.event.state =
            if event.state == NodeState::Recovered { NodeState::Up } else { event.state.clone() };
        Some(event)
    }

    /// A peer of level 1 was reached.
    pub(super) fn reached(&mut self, addr: &NodeAddr) -> Option<NodeEvent> {
        let key = Key::Addr(addr.clone());
        if self.known.get(&key).is_some_and(|known| known.event.state.is_up()) {
            return None;
        }
        let event = NodeEvent::new(NodeState::Up, addr.clone(), None, None);
        Some(self.note(key, event, None))
    }

    /// A peer of level 1 could not be reached, or its connection broke.
    pub(super) fn missed(&mut self, addr: &NodeAddr, state: NodeState) -> Option<NodeEvent> {
        self.down(&Key::Addr(addr.clone()), state)
    }

    /// Whether a peer of level 1 at `addr` counts as up.
    pub(super) fn is_reached(&self, addr: &NodeAddr) -> bool {
        self.known.get(&Key::Addr(addr.clone())).is_some_and(|known| known.event.state.is_up())
    }

    /// Every node with the link to it, in the order of addresses.
    pub(super) fn list(&self) -> Vec<(NodeInfo, Option<Id>)> {
        let mut nodes: Vec<_> = self.known.values().map(|known| (known.info(), known.link)).collect();
        nodes.sort_by(|(a, _), (b, _)| (&a.addr, a.node).cmp(&(&b.addr, b.node)));
        nodes
    }

    /// Notes the end of a node that is up.
    fn down(&mut self, key: &Key, state: NodeState) -> Option<NodeEvent> {
        let known = self.known.get(key).filter(|known| known.event.state.is_up())?;
        let event = NodeEvent { state, ..known.event.clone() };
        let level = known.link;
        self.note(key.clone(), event.clone(), level);
        self.forget();
        Some(event)
    }

    fn note(&mut self, key: Key, event: NodeEvent, link: Option<Id>) -> NodeEvent {
        self.changes += 1;
        self.known.insert(key, Known { event: event.clone(), link, changed: self.changes });
        event
    }

    fn forget(&mut self) {
        let gone = |known: &&Known| !known.event.state.is_up();
        if self.known.values().filter(gone).count() > MOST_GONE
            && let Some(oldest) = self.known.values().filter(gone).map(|known| known.changed).min()
        {
            self.known.retain(|_, known| known.changed != oldest);
        }
    }
}

impl Known {
    fn info(&self) -> NodeInfo {
        let NodeEvent { state, addr, identity, node, incarnation } = self.event.clone();
        let level = if self.link.is_some() { Level::Two } else { Level::One };
        NodeInfo { state, addr, identity, node, incarnation, level, round_trip: None }
    }
}

fn replaced(same_life: bool) -> NodeState {
    if same_life {
        NodeState::Unreachable("the link broke, and the node has connected anew".to_owned())
    } else {
        NodeState::Crashed("the node was restarted".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Id = Id([1; 16]);
    const OTHER: Id = Id([2; 16]);

    fn who(node: u8, incarnation: u64) -> Who {
        Who { addr: addr(node), identity: None, node: Id([node; 16]), incarnation }
    }

    fn addr(node: u8) -> NodeAddr {
        NodeAddr::new("host", node.into())
    }

    fn silent() -> NodeState {
        NodeState::Unreachable("silent".to_owned())
    }

    fn names(events: impl IntoIterator<Item = NodeEvent>) -> Vec<&'static str> {
        events.into_iter().map(|event| event.state.name()).collect()
    }

    #[test]
    fn d12_a_node_comes_stalls_recovers_and_goes_once_each() {
        let mut census = Census::default();
        let who = who(7, 1);
        assert_eq!(names(census.linked(LINK, who.clone())), ["up"]);
        let late = || Some("late".to_owned());
        assert_eq!(names(census.stalled(who.node, LINK, late())), ["stalled"]);
        assert_eq!(census.list()[0].0.state.name(), "stalled");
        assert_eq!(census.stalled(who.node, LINK, late()), None, "said once");
        assert_eq!(names(census.stalled(who.node, LINK, None)), ["recovered"]);
        assert_eq!(census.list()[0].0.state, NodeState::Up);
        assert_eq!(census.stalled(who.node, LINK, None), None);
        assert_eq!(names(census.unlinked(who.node, LINK, silent())), ["unreachable"]);
        assert_eq!(census.unlinked(who.node, LINK, NodeState::Left), None, "it went once");
        assert_eq!(census.stalled(who.node, LINK, late()), None, "and does not stall any more");
    }

    #[test]
    fn f03_a_replaced_link_is_over_before_the_next_begins_and_says_whether_the_node_was_restarted() {
        for (incarnation, expected) in [(1, "unreachable"), (2, "crashed")] {
            let mut census = Census::default();
            census.linked(LINK, who(7, 1));
            assert_eq!(names(census.linked(OTHER, who(7, incarnation))), [expected, "up"]);
            assert_eq!(census.unlinked(Id([7; 16]), LINK, silent()), None, "told already");
            assert_eq!(names(census.unlinked(Id([7; 16]), OTHER, NodeState::Left)), ["left"]);
        }
    }

    #[test]
    fn a_peer_of_level_1_is_up_from_the_first_answer_until_it_is_missed() {
        let mut census = Census::default();
        assert_eq!(census.missed(&addr(1), silent()), None, "it was never there");
        assert_eq!(names(census.reached(&addr(1))), ["up"]);
        assert_eq!(census.reached(&addr(1)), None);
        assert_eq!(names(census.missed(&addr(1), silent())), ["unreachable"]);
        assert_eq!(census.missed(&addr(1), silent()), None);
        census.reached(&addr(1));
        assert_eq!(names(census.linked(LINK, who(1, 1))), ["unreachable", "up"], "one of level 2 instead");
        assert_eq!(census.list().len(), 1);
    }

    #[test]
    fn g11_nodes_that_are_gone_are_remembered_up_to_a_bound() {
        let mut census = Census::default();
        for port in 0..1000 {
            let addr = NodeAddr::new("host", port);
            census.reached(&addr);
            census.missed(&addr, silent());
        }
        let ports: Vec<_> = census.list().iter().map(|(node, _)| node.addr.port()).collect();
        assert_eq!(ports, (1000 - MOST_GONE as u16..1000).collect::<Vec<_>>());
    }
}
