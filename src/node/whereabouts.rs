//! Which node was last found at which address.
//!
//! What waits at an address goes first into a link with the node that is there, whoever made the link: what
//! is put into it by another way must not overtake.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::peer::Peer;
use crate::transport::NodeAddr;
use crate::wire::level2::Id;

#[derive(Default)]
pub(super) struct Whereabouts(Mutex<BTreeMap<NodeAddr, (Id, Weak<Peer>)>>);

impl Whereabouts {
    /// `node` answers at the address of `peer`; `None` if that is none of ours.
    pub(super) fn found(&self, peer: &Arc<Peer>, node: Option<Id>) {
        match node {
            Some(node) => drop(self.lock().insert(peer.addr.clone(), (node, Arc::downgrade(peer)))),
            None => drop(self.lock().remove(&peer.addr)),
        }
    }

    /// Where `node` was found, in the order of addresses.
    pub(super) fn of(&self, node: Id) -> Vec<Arc<Peer>> {
        let found = self.lock();
        let of_node = found.values().filter(|(there, _)| *there == node);
        of_node.filter_map(|(_, peer)| peer.upgrade()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeAddr, (Id, Weak<Peer>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
