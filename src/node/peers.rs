//! The peers of a node, by address, and how those that nobody needs any more are forgotten.
//!
//! A peer goes when it has no connection, nothing waits for it, nobody watches it, no proxy leads there, no
//! pause before the next dial is running, and it was not used for a while. Who comes back to its address finds
//! a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::error::{DownReason, PingError, ResolveError};
use super::peer::Peer;
use super::shared::{Shared, Stage, now};
use super::{Node, WeakNode, lock};
use crate::transport::NodeAddr;

/// Peers are looked through no more often than this.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Owners of a peer that nobody uses: the table, and the task of the peer.
const KEEPERS: usize = 2;

#[derive(Default)]
pub(super) struct Peers(Mutex<Table>);

#[derive(Default)]
struct Table {
    by_addr: HashMap<NodeAddr, Arc<Peer>>,
    /// The one that was asked for last, and will be again, most of the time: to compare two addresses costs less than
    /// to look one up.
    last: Option<Arc<Peer>>,
    /// When room was last looked for.
    looked: Option<Instant>,
}

/// Why there is no peer.
#[derive(Debug)]
pub(super) enum NoPeer {
    /// The node is shut down.
    Closed,
    /// There are as many as may be.
    TooMany { addr: NodeAddr, reason: String },
}

impl Peers {
    /// The peer at `addr`, made at its first use.
    pub(super) fn at(&self, addr: &NodeAddr, shared: &Arc<Shared>) -> Result<Arc<Peer>, NoPeer> {
        let mut table = self.lock();
        if let Some(peer) = table.last.as_ref().filter(|peer| peer.addr == *addr) {
            peer.use_now();
            return Ok(peer.clone());
        }
        if let Some(peer) = table.by_addr.get(addr).cloned() {
            peer.use_now();
            table.last = Some(peer.clone());
            return Ok(peer);
        }
        // Under the lock, so that shutdown sees every peer.
        if shared.stage() != Stage::Running {
            return Err(NoPeer::Closed);
        }
        let most = shared.config.max_peers;
        if table.by_addr.len() >= most && !table.make_room(shared, most) {
            let reason = format!(
                "{most} other nodes are in use or were a moment ago, which is the most: try again later, or \
                 raise max_peers"
            );
            return Err(NoPeer::TooMany { addr: addr.clone(), reason });
        }
        let peer = Peer::start(addr.clone(), shared);
        table.by_addr.insert(addr.clone(), peer.clone());
        Ok(peer)
    }

    /// The peer at `addr`, if there is one.
    pub(super) fn get(&self, addr: &NodeAddr) -> Option<Arc<Peer>> {
        self.lock().by_addr.get(addr).cloned()
    }

    /// All of them, in the order of addresses.
    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        let mut peers: Vec<_> = self.lock().by_addr.values().cloned().collect();
        peers.sort_by(|a, b| a.addr.cmp(&b.addr));
        peers
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.0)
    }
}

impl Table {
    /// Whether there is room for another, once those that are idle are gone.
    fn make_room(&mut self, shared: &Shared, most: usize) -> bool {
        let now = now();
        if self.looked.is_none_or(|looked| now >= looked + LOOK_AGAIN) {
            self.looked = Some(now);
            self.forget(shared, |_| true);
        }
        self.by_addr.len() < most
    }

    /// Forgets those that are idle and `unused`.
    fn forget(&mut self, shared: &Shared, unused: impl Fn(&Peer) -> bool) {
        let (led_to, now) = (shared.neighbours.peers(), now());
        self.last = None;
        // Under the lock nobody gets hold of a peer, but by a proxy that leads there.
        let gone = |addr: &NodeAddr, peer: &Arc<Peer>| {
            unused(peer) && Arc::strong_count(peer) <= KEEPERS && !led_to.contains(addr) && peer.is_idle(now)
        };
        let mut gone: Vec<_> = self
            .by_addr
            .iter()
            .filter(|(addr, peer)| gone(addr, peer))
            .map(|(addr, _)| addr.clone())
            .collect();
        gone.sort();
        for peer in gone.iter().filter_map(|addr| self.by_addr.remove(addr)) {
            shared.whereabouts.found(&peer, None);
            peer.close();
        }
    }
}

/// Forgets peers that were not used for `peer_idle_after`, and for twice as long at most.
pub(super) async fn forget_idle(shared: Arc<Shared>, node: WeakNode) {
    let look = async {
        while let Some(Node { inner }) = node.upgrade() {
            inner.peers.lock().forget(&shared, |peer| !peer.was_used());
            drop(inner);
            tokio::time::sleep(shared.config.peer_idle_after.max(LOOK_AGAIN)).await;
        }
    };
    tokio::select! {
        biased;
        () = shared.at(Stage::Draining) => {}
        () = look => {}
    }
}

impl From<NoPeer> for ResolveError {
    fn from(none: NoPeer) -> Self {
        match none {
            NoPeer::Closed => Self::Closed,
            NoPeer::TooMany { addr, reason } => Self::NoConnection { addr, reason },
        }
    }
}

impl From<NoPeer> for PingError {
    fn from(none: NoPeer) -> Self {
        match none {
            NoPeer::Closed => Self::Closed,
            NoPeer::TooMany { addr, reason } => Self::NoConnection { addr, reason },
        }
    }
}

impl From<NoPeer> for DownReason {
    fn from(none: NoPeer) -> Self {
        match none {
            NoPeer::Closed => Self::Closed,
            NoPeer::TooMany { reason, .. } => Self::Refused(reason),
        }
    }
}
