//! What queues hold: each one, and all of a node together (L13).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One peer may take this part of all.
const PART_OF_ONE: usize = 4;

/// Messages and bytes, queued or being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) const fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    /// Takes away what is there of `less`.
    pub(super) const fn remove(&mut self, less: Self) {
        self.messages = self.messages.saturating_sub(less.messages);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// The memory of all queues of one node. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { most, used: AtomicUsize::new(0) }))
    }

    /// How much of it one peer may take by what it says and does not read: it is meant for all of them.
    pub(super) fn of_one_peer(&self) -> usize {
        self.0.most / PART_OF_ONE
    }

    /// Whether nothing more is to be queued.
    pub(super) fn is_spent(&self) -> bool {
        self.used() >= self.0.most
    }

    pub(super) fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The load of one queue, which counts towards the budget of its node as long as it is there.
#[derive(Debug)]
pub(super) struct Account {
    load: Load,
    budget: Budget,
}

impl Account {
    pub(super) fn new(budget: Budget) -> Self {
        Self { load: Load::default(), budget }
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// One more message.
    pub(super) fn add(&mut self, len: usize) {
        self.load.messages += 1;
        self.load.bytes += len;
        self.budget.take(len);
    }

    /// So much is gone.
    pub(super) fn remove(&mut self, gone: Load) {
        let before = self.load.bytes;
        self.load.remove(gone);
        self.budget.give(before - self.load.bytes);
    }

    /// Everything is gone.
    pub(super) fn clear(&mut self) -> Load {
        let load = self.load;
        self.remove(load);
        load
    }

    /// Whether there is room for a message: within the bounds of the queue, which an empty one may exceed by
    /// a single message, and within those of the node.
    pub(super) fn has_room(&self, len: usize, most: Load) -> bool {
        let fits = self.load.messages < most.messages && self.load.bytes + len <= most.bytes;
        (fits || self.load.messages == 0) && !self.budget.is_spent()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.budget.is_spent()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l13_what_one_queue_holds_is_missing_to_all() {
        let budget = Budget::new(100);
        let most = Load { messages: 10, bytes: 1000 };
        let (mut one, mut other) = (Account::new(budget.clone()), Account::new(budget.clone()));
        one.add(60);
        assert!(other.has_room(60, most), "what is begun may go beyond");
        other.add(60);
        assert!(budget.is_spent() && !one.has_room(1, most) && !other.has_room(1, most));
        assert!(!Account::new(budget.clone()).has_room(1, most), "an empty one too");
        other.remove(Load { messages: 1, bytes: 60 });
        assert!(one.has_room(1, most));
        drop(one);
        assert_eq!(budget.used(), 0);
    }
}
