//! Which timers belong to an actor: chains by PID, so that they are found when it ends.

use super::lists::Lists;
use crate::pid::Pid;

/// Chains of keys, hashed by the index of their actor. Indices are dense, so taking them as they are
/// spreads them evenly. There are as many chains as keys: one at a time is split in two (linear
/// hashing), so that no call takes long.
pub(super) struct Owners {
    chains: Lists,
    /// Bits of an index that are the same for every actor here.
    skip: u32,
    keys: usize,
}

impl Owners {
    pub(super) fn new(skip: u32) -> Self {
        Self { chains: Lists::new(1), skip, keys: 0 }
    }

    /// How many keys have an owner.
    pub(super) fn len(&self) -> usize {
        self.keys
    }

    /// Adds a key. `owner_of` knows those of the others.
    #[inline]
    pub(super) fn insert(&mut self, key: u32, owner: Pid, owner_of: impl Fn(u32) -> Option<Pid>) {
        self.chains.admit(key);
        self.chains.push(self.chain(owner), key);
        self.keys += 1;
        if self.keys > self.chains.count() {
            self.split(owner_of);
        }
    }

    #[inline]
    pub(super) fn remove(&mut self, key: u32) {
        let _ = self.chains.remove(key);
        self.keys -= 1;
    }

    /// The keys of `owner`, and of those who share its chain.
    pub(super) fn candidates(&self, owner: Pid) -> impl Iterator<Item = u32> + '_ {
        self.keys_of(self.chain(owner))
    }

    fn split(&mut self, owner_of: impl Fn(u32) -> Option<Pid>) {
        let new = self.chains.count();
        let old = new - (1 << new.ilog2());
        self.chains.open();
        let moves = |key: &u32| owner_of(*key).is_some_and(|owner| self.chain(owner) == new);
        let moved: Vec<_> = self.keys_of(old).filter(moves).collect();
        for key in moved {
            let _ = self.chains.remove(key);
            self.chains.push(new, key);
        }
    }

    fn keys_of(&self, chain: usize) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.chains.first(chain), |key| self.chains.after(*key))
    }

    #[inline]
    fn chain(&self, owner: Pid) -> usize {
        let (count, index) = (self.chains.count(), (owner.index() >> self.skip) as usize);
        let whole = count.next_power_of_two();
        let chain = index & (whole - 1);
        // One that was not split off yet.
        if chain < count { chain } else { chain - whole / 2 }
    }
}
