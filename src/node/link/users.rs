//! The users of a link: the addresses under which its node is in use here.

use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::{Link, lock};
use crate::node::peer::Peer;
use crate::wire::level2::Frame;

#[derive(Default)]
pub(super) struct Users {
    peers: Vec<Weak<Peer>>,
    /// No more come.
    is_closed: bool,
}

impl Link {
    /// Tells `peer` from now on of what happens here; false if nothing more is taken. It puts what waits with it into
    /// the link before it lets go of its own lock, for which [`close`](Self::close) waits.
    pub(in crate::node) fn adopt(&self, peer: &Arc<Peer>) -> bool {
        let mut users = lock(&self.users);
        if !users.is_closed {
            users.peers.push(Arc::downgrade(peer));
        }
        !users.is_closed
    }

    /// Takes nothing more, of new users either, and puts `last` at the end of every lane. To be called with no lock
    /// held.
    pub(super) fn close(&self, last: &Frame) {
        lock(&self.users).is_closed = true;
        self.for_users(Peer::settle);
        self.out().close(last);
        self.room.wake_all();
        self.work.iter().for_each(Notify::notify_one);
    }

    pub(super) fn for_users(&self, tell: impl Fn(&Peer)) {
        let users: Vec<_> = lock(&self.users).peers.iter().filter_map(Weak::upgrade).collect();
        users.iter().for_each(|peer| tell(peer));
    }
}
