//! The inbox word: an intrusive lock-free stack of message nodes that is also the schedule state.
//!
//! The word is EMPTY (the owner runs or is scheduled), IDLE (nobody will look until someone pushes),
//! CLOSED (the actor has ended), or the newest node and how many user messages are in the stack. A
//! push is one CAS; the push that replaces IDLE must schedule the owner. The owner takes the whole
//! chain at once and reverses it, which keeps the order of every sender. Take-all makes ABA
//! harmless: the owner never compares node addresses.
//!
//! Nodes are 64 bytes, aligned likewise, below 2^48: an address needs 42 bits, which leaves twenty
//! for the count, so that counting costs a push no second atomic operation. CLOSED is zero, so that
//! zeroed memory is a closed inbox.
//!
//! The push is AcqRel because the sender that finds IDLE becomes the link between what the last
//! owner wrote and what the next owner reads.
#![allow(unsafe_code, reason = "an intrusive list of raw nodes; every block says why it is sound")]

use std::marker::PhantomData;
use std::mem;
use std::ptr;

use super::chain::{Batch, Chain};
use super::node::{Node, NodePtr, RawNode};
use super::node_pool::NODE_SIZE;
use crate::sync::{AtomicPtr, Ordering};

/// What the push of a node, or of a batch of them, found.
#[must_use]
pub(crate) enum Push<N> {
    /// The owner is running or scheduled and will see the message. The number of user messages that
    /// wait before it and were not yet taken, at most [`MOST`].
    Queued(u32),
    /// The owner was idle: who pushed must schedule it.
    WasIdle,
    /// The actor has ended; what was to be pushed comes back.
    Closed(N),
}

/// The inbox takes nothing any more.
struct Closed;

/// See the module.
pub(crate) struct Inbox<T> {
    word: AtomicPtr<RawNode<T>>,
    owns: PhantomData<T>,
}

// SAFETY: the inbox moves values between threads and shares none.
unsafe impl<T: Send> Sync for Inbox<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Send for Inbox<T> {}

impl<T> Inbox<T> {
    /// A closed inbox.
    pub(crate) fn closed() -> Self {
        Self { word: AtomicPtr::new(Word::CLOSED.0), owns: PhantomData }
    }

    /// Reopens a closed inbox in the state "scheduled": the caller is the owner.
    ///
    /// Only the one who holds the free slot may call it.
    pub(crate) fn open(&self) {
        debug_assert!(self.is_closed());
        self.word.store(Word::EMPTY.0, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        Word(self.word.load(Ordering::Acquire)).is(Word::CLOSED)
    }

    /// User messages that have arrived and were not taken yet, at most [`MOST`].
    pub(crate) fn len(&self) -> u32 {
        Word(self.word.load(Ordering::Relaxed)).count()
    }

    /// Pushes; `counted` says whether it is a user message.
    #[inline(always)]
    pub(crate) fn push(&self, node: Node<T>, counted: bool) -> Push<Node<T>> {
        // SAFETY: the node is ours alone, and forgotten where it was given away.
        match unsafe { self.push_list(node.raw, node.raw, u32::from(counted)) } {
            Ok(before) => {
                mem::forget(node);
                Self::found(&before)
            }
            Err(Closed) => Push::Closed(node),
        }
    }

    /// Pushes user messages, all or none, as one step.
    pub(crate) fn push_all(&self, batch: Batch<T>) -> Push<Batch<T>> {
        let Some((newest, oldest)) = batch.ends() else { return Push::Queued(self.len()) };
        // SAFETY: the batch owns the list between its ends, and is forgotten where it was given away.
        match unsafe { self.push_list(newest, oldest, batch.len()) } {
            Ok(before) => {
                mem::forget(batch);
                Self::found(&before)
            }
            Err(Closed) => Push::Closed(batch),
        }
    }

    fn found<N>(before: &Word<T>) -> Push<N> {
        if before.is(Word::IDLE) { Push::WasIdle } else { Push::Queued(before.count()) }
    }

    /// Puts a list in front of what waits; the word that was there before. `users` of its nodes are
    /// user messages.
    ///
    /// # Safety
    /// The caller owns the list that leads from `newest` to `oldest`, and no longer once this has
    /// returned `Ok`.
    #[inline(always)]
    unsafe fn push_list(
        &self,
        newest: NodePtr<T>,
        oldest: NodePtr<T>,
        users: u32,
    ) -> Result<Word<T>, Closed> {
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            // SAFETY: until the CAS succeeds the list is the caller's alone. It goes back as one that ends
            // with its oldest node, whatever an attempt before has put behind that.
            unsafe { (*oldest.as_ptr()).next = word.node() };
            if word.is(Word::CLOSED) {
                return Err(Closed);
            }
            let new = Word::of(newest, word.count().saturating_add(users).min(MOST));
            match self.word.compare_exchange_weak(word.0, new.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(word),
                Err(now) => word = Word(now),
            }
        }
    }

    /// Appends everything that has arrived to `normal`, in order, or to `urgent` where the predicate
    /// says so, which is asked in order of arrival about all that `is_user` does not know as a user
    /// message. Returns the number of user messages. Owner only.
    #[inline(always)]
    pub(crate) fn take(
        &self,
        urgent: &mut Chain<T>,
        normal: &mut Chain<T>,
        is_user: impl Fn(&T) -> bool,
        is_urgent: impl FnMut(&T) -> bool,
    ) -> u32 {
        if Word(self.word.load(Ordering::Relaxed)).is(Word::EMPTY) {
            return 0;
        }
        let word = Word(self.word.swap(Word::EMPTY.0, Ordering::AcqRel));
        debug_assert!(!word.is(Word::IDLE) && !word.is(Word::CLOSED), "only a running owner takes");
        // SAFETY: the swap made the whole chain ours.
        unsafe { Chain::append_reversed(word.node(), urgent, normal, is_user, is_urgent) }
    }

    /// Whether the owner has said that it has nothing to do, and nothing has arrived since.
    pub(crate) fn is_idle(&self) -> bool {
        Word(self.word.load(Ordering::Relaxed)).is(Word::IDLE)
    }

    /// Whether nothing has arrived since the last take. Owner only; others may push at any time.
    pub(crate) fn is_empty(&self) -> bool {
        Word(self.word.load(Ordering::Relaxed)).is(Word::EMPTY)
    }

    /// Says that the owner has nothing to do. `false` if something arrived meanwhile: the owner
    /// stays the owner. Owner only.
    pub(crate) fn try_idle(&self) -> bool {
        let (empty, idle) = (Word::EMPTY.0, Word::IDLE.0);
        self.word.compare_exchange(empty, idle, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes the right to run an idle owner, as a push does, without a message; whether the owner was
    /// idle. If it was not, then whatever the caller wrote before is seen by the owner after its next
    /// successful [`try_idle`](Self::try_idle): both change the word, so one follows the other.
    pub(crate) fn rouse(&self) -> bool {
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.is(Word::CLOSED) {
                return false;
            }
            let idle = word.is(Word::IDLE);
            let new = if idle { Word::EMPTY.0 } else { word.0 };
            match self.word.compare_exchange_weak(word.0, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return idle,
                Err(now) => word = Word(now),
            }
        }
    }

    /// Ends the inbox and appends what had arrived to `rest`. Owner only.
    pub(crate) fn close(&self, rest: &mut Chain<T>) {
        let word = Word(self.word.swap(Word::CLOSED.0, Ordering::AcqRel));
        debug_assert!(!word.is(Word::IDLE) && !word.is(Word::CLOSED), "only a running owner closes");
        // SAFETY: the swap made the whole chain ours.
        unsafe { Chain::append_reversed(word.node(), &mut Chain::new(), rest, |_| false, |_| false) };
    }
}

/// The most user messages that an inbox counts.
pub(crate) const MOST: u32 = (1 << COUNT_BITS) - 1;

/// A node's address without the bits that alignment keeps zero.
const NODE_BITS: u32 = super::node_pool::ADDRESS_BITS - NODE_SIZE.ilog2();
const COUNT_BITS: u32 = 20;
/// `NODE_BITS` of the newest node, two bits of state, the count.
const COUNT_SHIFT: u32 = usize::BITS - COUNT_BITS;
const _: () = assert!(NODE_BITS + 2 + COUNT_BITS <= usize::BITS, "the word holds node, state and count");

/// The inbox word; a pointer, so that it carries the provenance of the node.
struct Word<T>(*mut RawNode<T>);

impl<T> Word<T> {
    const CLOSED: Self = Self(ptr::null_mut());
    const EMPTY: Self = Self(ptr::without_provenance_mut(1 << NODE_BITS));
    const IDLE: Self = Self(ptr::without_provenance_mut(2 << NODE_BITS));

    fn of(node: NodePtr<T>, count: u32) -> Self {
        let pack = |addr: usize| (addr >> NODE_SIZE.ilog2()) | ((count as usize) << COUNT_SHIFT);
        Self(node.as_ptr().map_addr(pack))
    }

    fn is(&self, state: Self) -> bool {
        ptr::eq(self.0, state.0)
    }

    /// The newest node, or null.
    fn node(&self) -> *mut RawNode<T> {
        self.0.map_addr(|addr| (addr & ((1 << NODE_BITS) - 1)) << NODE_SIZE.ilog2())
    }

    fn count(&self) -> u32 {
        (self.0.addr() >> COUNT_SHIFT) as u32
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::super::NodeRun;
    use super::*;

    fn drain(chain: &mut Chain<u32>) -> Vec<u32> {
        let mut run = NodeRun::new();
        std::iter::from_fn(|| chain.pop()).map(|node| node.open(&mut run).1).collect()
    }

    #[test]
    fn messages_come_out_in_order_and_urgent_ones_apart() {
        let inbox = Inbox::closed();
        inbox.open();
        assert!(inbox.try_idle());
        assert!(matches!(inbox.push(Node::new(1, 0), true), Push::WasIdle));
        for n in 1..100 {
            assert!(matches!(inbox.push(Node::new(1, n), true), Push::Queued(_)));
        }
        let (mut urgent, mut normal) = (Chain::new(), Chain::new());
        assert_eq!(inbox.len(), 100);
        let users = inbox.take(&mut urgent, &mut normal, |n| n % 10 != 0, |_| true);
        assert_eq!((users, inbox.len()), (90, 0));
        assert_eq!(drain(&mut urgent), (0..100).step_by(10).collect::<Vec<_>>());
        assert_eq!(drain(&mut normal), (0..100).filter(|n| n % 10 != 0).collect::<Vec<_>>());
    }

    #[test]
    fn a_closed_inbox_hands_messages_back_and_gives_up_what_it_held() {
        let inbox = Inbox::closed();
        inbox.open();
        let _ = inbox.push(Node::new(1, 5), true);
        let mut rest = Chain::new();
        inbox.close(&mut rest);
        assert_eq!(drain(&mut rest), [5]);
        let Push::Closed(node) = inbox.push(Node::new(1, 6), true) else { panic!("the inbox is closed") };
        assert_eq!(node.into_value(), 6);
    }

    #[test]
    fn a_batch_takes_its_place_as_a_whole_and_in_order() {
        let batch = |numbers: std::ops::Range<u32>| {
            let mut batch = Batch::new();
            numbers.for_each(|n| batch.add(Node::new(1, n)));
            batch
        };
        let inbox = Inbox::closed();
        inbox.open();
        assert!(inbox.try_idle());
        assert!(matches!(inbox.push_all(batch(0..3)), Push::WasIdle));
        assert!(matches!(inbox.push(Node::new(1, 3), true), Push::Queued(3)));
        assert!(matches!(inbox.push_all(batch(4..4)), Push::Queued(4)));
        assert!(matches!(inbox.push_all(batch(4..9)), Push::Queued(4)));
        let mut rest = Chain::new();
        inbox.close(&mut rest);
        assert_eq!(drain(&mut rest), (0..9).collect::<Vec<_>>());
        let Push::Closed(back) = inbox.push_all(batch(0..5)) else { panic!("the inbox is closed") };
        assert_eq!(drain(&mut back.into_chain()), (0..5).collect::<Vec<_>>());
    }

    #[test]
    fn every_sender_keeps_its_order_and_nothing_is_lost() {
        const SENDERS: u32 = 4;
        const EACH: u32 = 20_000;
        let inbox = Arc::new(Inbox::<(u32, u32)>::closed());
        inbox.open();
        let wakes = Arc::new(AtomicUsize::new(0));
        let threads: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (inbox, wakes) = (inbox.clone(), wakes.clone());
                std::thread::spawn(move || {
                    for n in 0..EACH {
                        if matches!(inbox.push(Node::new(1, (sender, n)), true), Push::WasIdle) {
                            wakes.fetch_add(1, Ordering::Release);
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; SENDERS as usize];
        let (mut owner, mut run) = (true, NodeRun::new());
        while next.iter().sum::<u32>() < SENDERS * EACH {
            if !owner {
                owner = wakes.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |w| w.checked_sub(1)).is_ok();
                continue;
            }
            let (mut urgent, mut normal) = (Chain::new(), Chain::new());
            inbox.take(&mut urgent, &mut normal, |_| true, |_| false);
            while let Some(node) = normal.pop() {
                let (_, (sender, n)) = node.open(&mut run);
                assert_eq!(next[sender as usize], n);
                next[sender as usize] += 1;
            }
            owner = !inbox.try_idle();
        }
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
