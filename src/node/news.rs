//! Who is told how things stand with other nodes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use super::census::{Census, NodeInfo};
use super::peer::Peer;
use super::{Node, lock};
use crate::actor::{NodeEvent, Sinks, Subscription};
use crate::wire::level2::Id;

/// Shows node events to its sink until it is dropped.
pub type NodeWatch = Subscription<NodeEvent>;

/// Following other nodes.
impl Node {
    /// Shows `sink` from now on when another node comes, goes, stalls or recovers, until what this returns
    /// is dropped. The events come in order, one at a time, on a thread of the mesh, under no lock; the
    /// sink must not wait. Of nodes that speak level 1 only those that were dialled are seen; they are
    /// pinged while anybody follows.
    pub fn on_event(&self, sink: impl Fn(&NodeEvent) + Send + Sync + 'static) -> NodeWatch {
        let watch = self.shared().news.subscribe(Arc::new(sink));
        let reached = |peer: &&Arc<Peer>| self.shared().news.read(|census| census.is_reached(&peer.addr));
        self.inner.peers.all().iter().filter(reached).for_each(Peer::attend);
        watch
    }

    /// Every other node that is up, and the last ones that are gone, in the order of addresses.
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let known = self.shared().news.read(Census::list);
        known.into_iter().map(|(node, link)| self.with_round_trip(node, link)).collect()
    }

    fn with_round_trip(&self, node: NodeInfo, link: Option<Id>) -> NodeInfo {
        let round_trip = match link {
            _ if !node.state.is_up() => None,
            Some(link) => self.shared().links.get(link).and_then(|link| link.round_trip()),
            None => self.inner.peers.get(&node.addr).and_then(|peer| peer.watch.info().1),
        };
        NodeInfo { round_trip, ..node }
    }
}

/// The census of a node, and those who follow it.
pub(super) struct News {
    desk: Mutex<Desk>,
    sinks: Arc<Sinks<NodeEvent>>,
}

#[derive(Default)]
struct Desk {
    census: Census,
    /// Events that nobody was shown yet.
    waiting: VecDeque<NodeEvent>,
    /// A thread shows them; it goes on until none is left.
    showing: bool,
}

impl News {
    pub(super) fn new() -> Self {
        Self { desk: Mutex::default(), sinks: Sinks::new("a sink for node events") }
    }

    pub(super) fn subscribe(&self, sink: Arc<dyn Fn(&NodeEvent) + Send + Sync>) -> NodeWatch {
        self.sinks.subscribe(sink)
    }

    /// Whether anybody wants to know.
    pub(super) fn is_followed(&self) -> bool {
        self.sinks.is_watched()
    }

    /// Reads the census.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Census) -> T) -> T {
        look(&self.desk().census)
    }

    /// Changes the census and shows what follows, in order to everybody and under no lock. With several
    /// threads at it one does the showing for all.
    pub(super) fn change<E: IntoIterator<Item = NodeEvent>>(&self, change: impl FnOnce(&mut Census) -> E) {
        {
            let mut desk = self.desk();
            let events = change(&mut desk.census);
            if !self.is_followed() {
                return;
            }
            desk.waiting.extend(events);
            if desk.showing {
                return;
            }
            desk.showing = true;
        }
        while let Some(event) = self.next() {
            self.sinks.show(&event);
        }
    }

    fn next(&self) -> Option<NodeEvent> {
        let mut desk = self.desk();
        let next = desk.waiting.pop_front();
        desk.showing = next.is_some();
        next
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }
}
