//! The nodes of which actors are known here.
//!
//! A neighbour is one life of a node. Its proxies are found by the PIDs over there, so that one actor has
//! one proxy, by whatever address it was found.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::far::Far;
use super::following::Following;
use crate::actor::{ExitReason, MonitorRef, Remote, System};
use crate::node::link::{Life, Link};
use crate::node::peer::Peer;
use crate::pid::Pid;
use crate::transport::NodeAddr;
use crate::wire::level2::Id;

/// The neighbours of one node.
pub(in crate::node) struct Neighbours {
    by_node: Mutex<HashMap<Id, Arc<Neighbour>>>,
    /// Proxies of actors of level-1 nodes, which have no life that could be told from another.
    plain: Mutex<HashMap<(NodeAddr, Pid), Pid>>,
    pub(super) following: Following,
    /// Proxies of all of them.
    count: Arc<AtomicUsize>,
    most: usize,
    system: OnceLock<Weak<System>>,
}

/// One life of another node.
pub(in crate::node) struct Neighbour {
    pub(in crate::node) life: Life,
    /// Where it was found; not for one that has only dialled us.
    peer: Mutex<Weak<Peer>>,
    /// Where it says that it can be dialled.
    pub(in crate::node) advertised: Option<NodeAddr>,
    known: Mutex<Known>,
    count: Arc<AtomicUsize>,
    most: usize,
    system: Weak<System>,
}

#[derive(Default)]
struct Known {
    /// The link with it, while there is one.
    link: Option<Arc<Link>>,
    /// Sorted, as is what is said of all of them.
    proxies: BTreeMap<Pid, Pid>,
}

impl Neighbours {
    pub(in crate::node) fn new(most: usize) -> Self {
        Self {
            by_node: Mutex::default(),
            plain: Mutex::default(),
            following: Following::default(),
            count: Arc::default(),
            most,
            system: OnceLock::new(),
        }
    }

    /// Connects with the actors here. Called once.
    pub(in crate::node) fn connect(&self, system: Weak<System>) {
        assert!(self.system.set(system).is_ok(), "a node is connected once");
    }

    /// The actors here, unless they are gone.
    pub(in crate::node) fn system(&self) -> Option<Arc<System>> {
        self.system.get().and_then(Weak::upgrade)
    }

    /// The neighbour at the other end of `link`, which was found by `peer`.
    pub(in crate::node) fn of(&self, link: &Arc<Link>, peer: Option<&Arc<Peer>>) -> Arc<Neighbour> {
        let (neighbour, earlier) = {
            let mut by_node = self.lock();
            let known = by_node.get(&link.peer.node).filter(|known| known.life == link.peer).cloned();
            match known {
                Some(known) => (known, None),
                None => {
                    let new = Arc::new(self.neighbour(link));
                    (new.clone(), by_node.insert(link.peer.node, new))
                }
            }
        };
        earlier.into_iter().for_each(|earlier| earlier.end(&ExitReason::NoProcess));
        peer.into_iter().for_each(|peer| neighbour.found_by(peer));
        link.take_what_waits();
        neighbour.attach(link);
        neighbour
    }

    /// The neighbour in this life, if any of its actors are known.
    fn get(&self, life: Life) -> Option<Arc<Neighbour>> {
        self.lock().get(&life.node).filter(|known| known.life == life).cloned()
    }

    /// Whether an address is known under which the neighbour in this life was found.
    pub(super) fn has_way(&self, life: Life) -> bool {
        self.get(life).is_some_and(|known| known.peer().is_some())
    }

    /// A link is up.
    pub(in crate::node) fn linked(&self, link: &Arc<Link>) {
        let known = self.lock().get(&link.peer.node).cloned();
        match known {
            Some(neighbour) if neighbour.life == link.peer => neighbour.attach(link),
            Some(earlier) => {
                self.forget(&earlier);
                earlier.end(&ExitReason::NoProcess);
            }
            None => {}
        }
    }

    /// Another life answers at the address of `peer` than the one that was found there, which on a transport
    /// without identities cannot be known by its node's id.
    pub(in crate::node) fn moved_in(&self, peer: &Peer, life: Option<Life>) {
        let found_there = |known: &Neighbour| known.peer().is_some_and(|at| at.addr == peer.addr);
        let gone =
            |known: &Neighbour| Some(known.life) != life && known.link().is_none() && found_there(known);
        for neighbour in self.those(gone) {
            self.forget(&neighbour);
            neighbour.end(&ExitReason::NoProcess);
        }
    }

    /// A link is over. A node that left does not come back in this life.
    pub(in crate::node) fn unlinked(&self, link: &Link, left: bool, why: &str) {
        let Some(neighbour) = self.get(link.peer) else { return };
        let unused = neighbour.detach(link);
        if left || unused {
            self.forget(&neighbour);
            neighbour.end(&ExitReason::NoConnection(why.to_owned()));
        }
    }

    /// An actor of a neighbour has ended.
    pub(in crate::node) fn ended(&self, life: Life, far: Pid, reason: &ExitReason) {
        if let Some(neighbour) = self.get(life) {
            neighbour.ended(far, reason);
        }
    }

    /// The proxy of an actor of a level-1 node, and whether it is new; `None` if there are too many.
    pub(super) fn plain<R: Remote + 'static>(
        &self,
        addr: &NodeAddr,
        far: Pid,
        remote: impl FnOnce() -> R,
    ) -> Option<(Pid, bool)> {
        let system = self.system()?;
        let mut plain = lock(&self.plain);
        let key = (addr.clone(), far);
        if let Some(proxy) = plain.get(&key) {
            return Some((*proxy, false));
        }
        take_one(&self.count, self.most).then(|| {
            let proxy = system.proxy(Arc::new(remote()));
            plain.insert(key, proxy);
            (proxy, true)
        })
    }

    /// The node of that actor is lost.
    pub(super) fn plain_ended(&self, addr: &NodeAddr, far: Pid, reason: &ExitReason) {
        let proxy = lock(&self.plain).remove(&(addr.clone(), far));
        if let (Some(proxy), Some(system)) = (proxy, self.system()) {
            self.count.fetch_sub(1, Ordering::Relaxed);
            system.end_proxy(proxy, reason.clone());
        }
    }

    /// The addresses to which proxies lead.
    pub(in crate::node) fn peers(&self) -> HashSet<NodeAddr> {
        let neighbours: Vec<_> = self.lock().values().cloned().collect();
        let led_to = neighbours.iter().filter(|neighbour| !neighbour.known().proxies.is_empty());
        led_to.filter_map(|neighbour| neighbour.peer()).map(|peer| peer.addr.clone()).collect()
    }

    /// Counts one more proxy, unless there are too many.
    pub(super) fn count_one(&self) -> bool {
        take_one(&self.count, self.most)
    }

    pub(super) fn uncount_one(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends the proxies of nodes that are lost, if there are as many as may be.
    pub(super) fn make_room(&self) {
        self.make_room_below(self.most);
    }

    /// As [`make_room`](Self::make_room), for actors that are known since their node spoke of them.
    pub(in crate::node) fn make_room_for_guests(&self) {
        self.make_room_below(self.most / 2);
    }

    fn make_room_below(&self, most: usize) {
        if self.count.load(Ordering::Relaxed) < most {
            return;
        }
        for neighbour in self.those(|known| known.link().is_none()) {
            self.forget(&neighbour);
            let reason = "its node was lost, and others needed the room".to_owned();
            neighbour.end(&ExitReason::NoConnection(reason));
        }
    }

    /// Those of which this is true, in an order that a simulation can repeat.
    fn those(&self, wanted: impl Fn(&Neighbour) -> bool) -> Vec<Arc<Neighbour>> {
        let mut those: Vec<_> = self.lock().values().filter(|known| wanted(known)).cloned().collect();
        those.sort_unstable_by_key(|known| known.life);
        those
    }

    fn forget(&self, neighbour: &Arc<Neighbour>) {
        let mut by_node = self.lock();
        if by_node.get(&neighbour.life.node).is_some_and(|known| Arc::ptr_eq(known, neighbour)) {
            by_node.remove(&neighbour.life.node);
        }
    }

    fn neighbour(&self, link: &Link) -> Neighbour {
        Neighbour {
            life: link.peer,
            peer: Mutex::default(),
            advertised: link.advertised.clone(),
            known: Mutex::default(),
            count: self.count.clone(),
            most: self.most,
            system: self.system.get().cloned().unwrap_or_default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<Neighbour>>> {
        lock(&self.by_node)
    }
}

impl Neighbour {
    /// The link with it, while there is one.
    pub(super) fn link(&self) -> Option<Arc<Link>> {
        self.known().link.clone()
    }

    /// Where it was found.
    pub(super) fn peer(&self) -> Option<Arc<Peer>> {
        lock(&self.peer).upgrade()
    }

    /// It was found by `peer`. The first one stays, as messages go by one way only.
    fn found_by(&self, peer: &Arc<Peer>) {
        let mut found = lock(&self.peer);
        if found.strong_count() == 0 {
            *found = Arc::downgrade(peer);
        }
    }

    /// The actors here, unless they are gone.
    pub(super) fn system(&self) -> Option<Arc<System>> {
        self.system.upgrade()
    }

    /// The address to name in references.
    pub(in crate::node) fn addr(&self) -> Option<NodeAddr> {
        self.advertised.clone().or_else(|| self.peer().map(|peer| peer.addr.clone()))
    }

    /// The proxy of its actor `far`, a new one if there is none; `None` if there are too many.
    pub(super) fn proxy(self: &Arc<Self>, far: Pid) -> Option<Pid> {
        self.proxy_within(far, self.most)
    }

    /// As [`proxy`](Self::proxy), where the node itself is the reason. Such nodes may take half of the room, and one
    /// of them half of that.
    pub(in crate::node) fn guest_proxy(self: &Arc<Self>, far: Pid) -> Option<Pid> {
        let known = self.known();
        let (is_known, is_full) = (known.proxies.contains_key(&far), known.proxies.len() >= self.most / 4);
        drop(known);
        if is_full && !is_known { None } else { self.proxy_within(far, self.most / 2) }
    }

    fn proxy_within(self: &Arc<Self>, far: Pid, most: usize) -> Option<Pid> {
        let system = self.system.upgrade()?;
        let (proxy, link) = {
            let mut known = self.known();
            if let Some(proxy) = known.proxies.get(&far) {
                return Some(*proxy);
            }
            if !take_one(&self.count, most) {
                return None;
            }
            let proxy = system.proxy(Arc::new(Far::new(self.clone(), far)));
            known.proxies.insert(far, proxy);
            (proxy, known.link.clone())
        };
        link.into_iter().for_each(|link| link.watch(proxy, far, MonitorRef::next(), None));
        Some(proxy)
    }

    /// Says that all its proxies are to hear of the ends of their actors by `link`, unless that is over.
    fn attach(&self, link: &Arc<Link>) {
        let proxies = {
            let mut known = self.known();
            if known.link.as_ref().is_some_and(|known| known.id == link.id) || !link.is_up() {
                return;
            }
            known.link = Some(link.clone());
            known.proxies.clone()
        };
        for (far, proxy) in proxies {
            link.watch(proxy, far, MonitorRef::next(), None);
        }
    }

    /// `link` is over; whether there is nothing more to remember.
    fn detach(&self, link: &Link) -> bool {
        let mut known = self.known();
        if known.link.as_ref().is_some_and(|known| known.id == link.id) {
            known.link = None;
        }
        known.link.is_none() && known.proxies.is_empty()
    }

    fn ended(&self, far: Pid, reason: &ExitReason) {
        let proxy = self.known().proxies.remove(&far);
        self.end_all(proxy, reason);
    }

    fn end(&self, reason: &ExitReason) {
        let proxies = std::mem::take(&mut self.known().proxies);
        self.end_all(proxies.into_values(), reason);
    }

    fn end_all(&self, proxies: impl IntoIterator<Item = Pid>, reason: &ExitReason) {
        for proxy in proxies {
            self.count.fetch_sub(1, Ordering::Relaxed);
            if let Some(system) = self.system.upgrade() {
                system.end_proxy(proxy, reason.clone());
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }
}

/// Counts one more, unless there are too many.
fn take_one(count: &AtomicUsize, most: usize) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1)).is_ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
