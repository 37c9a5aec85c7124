//! Which timers belong to an actor: chains by PID, so that they are found when it ends.

use super::lists::Lists;
use crate::pid::Pid;

/// Chains of the keys of a slab, hashed by the index of their actor. Indices are dense, so taking
/// them as they are spreads them evenly.
pub(super) struct Owners {
    chains: Lists,
    /// Bits of an index that are the same for every actor here.
    skip: u32,
}

impl Owners {
    pub(super) fn new(skip: u32) -> Self {
        Self { chains: Lists::new(1), skip }
    }

    /// Whether there should be more chains for so many keys; see [`rebuild`](Self::rebuild).
    pub(super) fn is_crowded(&self, keys: usize) -> bool {
        keys > self.chains.count()
    }

    /// Makes chains for twice as many keys and puts all into them.
    pub(super) fn rebuild(&mut self, keys: impl Iterator<Item = (u32, Pid)>) {
        self.chains = Lists::new(self.chains.count() * 2);
        keys.for_each(|(key, owner)| self.insert(key, owner));
    }

    pub(super) fn insert(&mut self, key: u32, owner: Pid) {
        self.chains.admit(key);
        self.chains.push(self.chain(owner), key);
    }

    pub(super) fn remove(&mut self, key: u32) {
        let _ = self.chains.remove(key);
    }

    /// The keys of `owner`, and of those who share its chain.
    pub(super) fn candidates(&self, owner: Pid) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.chains.first(self.chain(owner)), |key| self.chains.after(*key))
    }

    fn chain(&self, owner: Pid) -> usize {
        (owner.index() >> self.skip) as usize & (self.chains.count() - 1)
    }
}
