//! The links of a node, and the lanes that wait to join one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc;

use super::greeting::Me;
use super::strand::Strand;
use super::table::{Arrival, Decision, Life, Refusal, Table};
use super::{End, Link, lock};
use crate::node::chance::Chance;
use crate::node::shown::Shown;
use crate::transport::{CloseCode, PeerIdentity};
use crate::wire::level2::{Id, Lane};

/// A lane of messages.
pub(super) const MESSAGES: u8 = 1;
/// The lane of large payloads.
pub(super) const BULK: u8 = 2;

/// A lane on its way to its link, with its place: messages from 0, then bulk.
pub(super) type Joining = (usize, Strand);

/// Where HELLO or LANE came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Which of our connections.
    pub(super) connection: u64,
    /// Who the peer proved to be there.
    pub(super) identity: Option<PeerIdentity>,
    /// Whether all lanes of a link come over one connection.
    pub(super) carries_all: bool,
}

impl Origin {
    /// Lanes need no key where one connection carries them and proves whose they are.
    pub(super) fn is_keyless(&self) -> bool {
        self.carries_all && self.identity.is_some()
    }

    /// Whether a lane from `other` may belong to a link from here.
    fn admits(&self, other: &Self) -> bool {
        self.identity == other.identity && (!self.is_keyless() || self.connection == other.connection)
    }
}

/// The links of one node.
pub(in crate::node) struct Links {
    me: Me,
    inner: Mutex<Inner>,
    /// Counts changes, for dials that wait for one.
    changed: Shown<u64>,
}

struct Inner {
    table: Table,
    up: HashMap<Id, Arc<Link>>,
    offers: HashMap<Id, Offer>,
}

/// A link whose HELLO was answered here, until it is up.
struct Offer {
    key: Id,
    origin: Origin,
    /// Which lanes have come, by their places.
    seen: Vec<bool>,
    message_lanes: u8,
    joins: mpsc::Sender<Joining>,
}

impl Links {
    pub(in crate::node) fn new(identity: Option<PeerIdentity>, chance: &Chance) -> Self {
        let me = Me::new(identity, chance);
        let inner = Inner { table: Table::new(me.life), up: HashMap::new(), offers: HashMap::new() };
        Self { me, inner: Mutex::new(inner), changed: Shown::new(0) }
    }

    pub(super) fn me(&self) -> &Me {
        &self.me
    }

    /// Which life of which node this is.
    pub(in crate::node) fn life(&self) -> Life {
        self.me.life
    }

    /// The link that is up with that life of a node.
    pub(in crate::node) fn with(&self, life: Life) -> Option<Arc<Link>> {
        let inner = self.inner();
        let up = inner.table.up_with(life.node)?;
        inner.up.get(&up).filter(|link| link.peer == life).cloned()
    }

    /// Every link that is up.
    pub(in crate::node) fn all(&self) -> Vec<Arc<Link>> {
        let mut all: Vec<_> = self.inner().up.values().cloned().collect();
        all.sort_unstable_by_key(|link| link.id);
        all
    }

    pub(in crate::node) fn is_empty(&self) -> bool {
        self.inner().up.is_empty()
    }

    pub(in crate::node) fn get(&self, link: Id) -> Option<Arc<Link>> {
        self.inner().up.get(&link).cloned()
    }

    pub(super) fn holds(&self, link: Id) -> bool {
        self.inner().table.holds(link)
    }

    /// How often anything has changed here.
    pub(in crate::node) fn changes(&self) -> u64 {
        *self.changed.read()
    }

    /// Waits until more has changed than was `seen`.
    pub(in crate::node) async fn changed(&self, seen: u64) {
        self.changed.wait_for(|count| (*count != seen).then_some(())).await;
    }

    /// For the dialler, see [`Table::decide`].
    pub(super) fn decide(&self, link: Id, peer: Life, other: Id, verified: bool) -> Decision {
        self.inner().table.decide(link, peer, other, verified)
    }

    /// HELLO came from `origin`: the link to name in the answer, and where its lanes arrive, which must
    /// show `key`.
    pub(super) fn offer(
        &self,
        link: Id,
        peer: Life,
        (lanes, bulk): (u8, bool),
        origin: Origin,
        key: Id,
    ) -> Result<(Id, mpsc::Receiver<Joining>), Refusal> {
        let mut inner = self.inner();
        let other = inner.table.hello(link, peer)?;
        let seen = vec![false; usize::from(lanes) + usize::from(bulk)];
        let (joins, joined) = mpsc::channel(seen.len().max(1));
        let message_lanes = lanes;
        inner.offers.insert(link, Offer { key, origin, seen, message_lanes, joins });
        Ok((other, joined))
    }

    /// LANE came from `origin`: its place, and where it goes.
    pub(super) fn join(
        &self,
        lane: &Lane,
        origin: &Origin,
    ) -> Result<(usize, mpsc::Sender<Joining>), CloseCode> {
        let mut inner = self.inner();
        let offer = inner.offers.get_mut(&lane.link).ok_or(CloseCode::NotAuthenticated)?;
        if offer.key != lane.key || !offer.origin.admits(origin) {
            return Err(CloseCode::NotAuthenticated);
        }
        let place = match lane.kind {
            MESSAGES if (1..=offer.message_lanes).contains(&lane.number) => usize::from(lane.number) - 1,
            BULK if lane.number == 0 => offer.message_lanes.into(),
            _ => return Err(CloseCode::Malformed),
        };
        let taken = offer.seen.get_mut(place).is_none_or(|seen| std::mem::replace(seen, true));
        if taken { Err(CloseCode::Malformed) } else { Ok((place, offer.joins.clone())) }
    }

    /// READY came, see [`Table::ready`].
    pub(super) fn ready(&self, link: Id) -> Arrival {
        let mut inner = self.inner();
        inner.offers.remove(&link);
        inner.table.ready(link)
    }

    /// The link is up, unless another has taken its place meanwhile: then it ends as soon as it begins.
    pub(super) fn insert(&self, link: &Arc<Link>) {
        {
            let mut inner = self.inner();
            if inner.table.holds(link.id) {
                inner.up.insert(link.id, link.clone());
            } else {
                link.end(End::Refused(CloseCode::Duplicate, "the node has connected anew".to_owned()));
            }
        }
        self.change();
    }

    /// `old` gives way to `link` with `new`.
    pub(super) fn replaced(&self, old: Id, new: Life, link: Id) {
        self.inner().table.replaced(old, new, link);
        self.change();
    }

    /// The link is over, or never came to be; `lived` says that a process at its other end has answered.
    pub(super) fn dead(&self, link: Id, lived: bool) {
        {
            let mut inner = self.inner();
            if lived {
                inner.table.dead(link);
            } else {
                inner.table.never_lived(link);
            }
            inner.up.remove(&link);
            inner.offers.remove(&link);
        }
        self.change();
    }

    /// A link in the making, which is forgotten unless it is kept.
    pub(super) fn tentative(&self, link: Id) -> Tentative<'_> {
        Tentative { links: self, link: Some(link) }
    }

    fn change(&self) {
        self.changed.set(self.changes() + 1);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

/// Takes a link out of the table again, unless it came to be.
pub(super) struct Tentative<'a> {
    links: &'a Links,
    link: Option<Id>,
}

impl Tentative<'_> {
    pub(super) fn keep(mut self) {
        self.link = None;
    }
}

impl Drop for Tentative<'_> {
    fn drop(&mut self) {
        if let Some(link) = self.link {
            self.links.dead(link, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Id = Id([1; 16]);

    fn origin(connection: u64, node: Option<&str>, carries_all: bool) -> Origin {
        let named = |node: &str| PeerIdentity { cluster: "prod".to_owned(), node: node.to_owned() };
        Origin { connection, identity: node.map(named), carries_all }
    }

    /// Whether a lane from `lane` may join a link that was greeted from `link`, with its key.
    fn joins(link: Origin, lane: &Origin) -> bool {
        let links = Links::new(None, &Chance::new(None));
        let peer = Life { node: Id([2; 16]), incarnation: 1 };
        let key = if link.is_keyless() { Id::NONE } else { Id([3; 16]) };
        let offered = links.offer(LINK, peer, (4, false), link, key);
        assert!(offered.is_ok());
        links.join(&Lane { kind: MESSAGES, number: 1, link: LINK, key }, lane).is_ok()
    }

    #[test]
    fn a_lane_with_the_key_joins_from_another_connection_of_the_same_node_only() {
        let link = || origin(1, Some("a"), false);
        assert!(joins(link(), &origin(2, Some("a"), false)));
        assert!(!joins(link(), &origin(2, Some("b"), false)), "another node");
        assert!(!joins(link(), &origin(2, None, false)), "nobody");
        assert!(joins(origin(1, None, false), &origin(2, None, false)), "where nobody proves who he is");
    }

    #[test]
    fn where_one_connection_carries_all_lanes_no_other_one_brings_any() {
        let link = || origin(1, Some("a"), true);
        assert!(joins(link(), &origin(1, Some("a"), true)));
        assert!(!joins(link(), &origin(2, Some("a"), true)), "another connection");
    }

    #[test]
    fn a_lane_without_the_key_joins_nothing() {
        let links = Links::new(None, &Chance::new(None));
        let peer = Life { node: Id([2; 16]), incarnation: 1 };
        let from = origin(1, Some("a"), false);
        let offered = links.offer(LINK, peer, (4, false), from.clone(), Id([3; 16]));
        assert!(offered.is_ok());
        let lane = Lane { kind: MESSAGES, number: 1, link: LINK, key: Id::NONE };
        assert_eq!(links.join(&lane, &from).err(), Some(CloseCode::NotAuthenticated));
    }
}
