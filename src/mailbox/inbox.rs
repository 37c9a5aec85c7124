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
use std::ptr::{self, NonNull};

use super::node_pool::{self, NODE_SIZE, NodeRun};
use crate::sync::{AtomicPtr, Ordering};

/// One message on its way: the generation it is meant for, and its content.
///
/// Owned by whoever holds it: the sender, then the inbox, then a chain.
pub(crate) struct Node<T> {
    raw: NonNull<RawNode<T>>,
}

#[repr(align(64))]
struct RawNode<T> {
    next: *mut Self,
    generation: u32,
    value: mem::MaybeUninit<T>,
}

// SAFETY: a node owns its value and nothing else.
unsafe impl<T: Send> Send for Node<T> {}

impl<T> Node<T> {
    #[inline(always)]
    pub(crate) fn new(generation: u32, value: T) -> Self {
        Self::made(generation, move || value)
    }

    /// A node whose content is made by `value` after its place is known, so that the compiler can
    /// write it there at once. A panic in `value` leaks the place.
    #[inline(always)]
    pub(crate) fn made(generation: u32, value: impl FnOnce() -> T) -> Self {
        const { assert!(size_of::<RawNode<T>>() <= NODE_SIZE, "a message must fit into a node") };
        let raw = node_pool::allocate().cast::<RawNode<T>>();
        // SAFETY: the pool gives 64 bytes aligned to 64, and the assertion checked the size.
        unsafe {
            (&raw mut (*raw.as_ptr()).value).write(mem::MaybeUninit::new(value()));
            (&raw mut (*raw.as_ptr()).next).write(ptr::null_mut());
            (&raw mut (*raw.as_ptr()).generation).write(generation);
        }
        Self { raw }
    }

    /// Takes the content; the node goes back to its chunk through `run`.
    #[inline(always)]
    pub(crate) fn open(self, run: &mut NodeRun) -> (u32, T) {
        let raw = mem::ManuallyDrop::new(self).raw;
        // SAFETY: this handle owned the node; the value is read once and the node given back once.
        unsafe {
            let node = raw.as_ref();
            let content = (node.generation, node.value.assume_init_read());
            run.give_back(raw.cast());
            content
        }
    }

    #[inline(always)]
    pub(crate) fn generation(&self) -> u32 {
        // SAFETY: this handle owns the node, which was written whole.
        unsafe { self.raw.as_ref() }.generation
    }

    #[inline(always)]
    pub(crate) fn content(&self) -> &T {
        // SAFETY: this handle owns the node, which was written whole.
        unsafe { self.raw.as_ref().value.assume_init_ref() }
    }

    /// Takes a part out of the content and forgets the rest. It is moved straight from the node to
    /// where it is needed: copies cost more than all else.
    #[inline(always)]
    pub(crate) fn open_part<P>(self, run: &mut NodeRun, part: impl FnOnce(&T) -> &P) -> P {
        let part = NonNull::from(part(self.content()));
        let raw = mem::ManuallyDrop::new(self).raw;
        // SAFETY: the part is read once, the rest of the content never, and the node is given back
        // once.
        unsafe {
            let part = part.read();
            run.give_back(raw.cast());
            part
        }
    }

    /// The content of a node that could not be delivered.
    pub(crate) fn into_value(self) -> T {
        self.open(&mut NodeRun::new()).1
    }
}

impl<T> Drop for Node<T> {
    fn drop(&mut self) {
        // SAFETY: as in `open`; the handle is not used after drop.
        unsafe {
            self.raw.as_mut().value.assume_init_drop();
            NodeRun::new().give_back(self.raw.cast());
        }
    }
}

/// What a push found.
#[must_use]
pub(crate) enum Push<T> {
    /// The owner is running or scheduled and will see the message. The number of user messages that
    /// wait before it and were not yet taken, at most [`MOST`].
    #[expect(dead_code, reason = "not used yet")]
    Queued(u32),
    /// The owner was idle: who pushed must schedule it.
    WasIdle,
    /// The actor has ended; the message comes back.
    Closed(Node<T>),
}

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
    pub(crate) fn push(&self, node: Node<T>, counted: bool) -> Push<T> {
        let raw = node.raw;
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            if word.is(Word::CLOSED) {
                return Push::Closed(node);
            }
            // SAFETY: until the CAS succeeds the node is ours alone.
            unsafe { (*raw.as_ptr()).next = word.node() };
            let before = word.count();
            let new = Word::of(raw, (before + u32::from(counted)).min(MOST));
            match self.word.compare_exchange_weak(word.0, new.0, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    mem::forget(node);
                    return if word.is(Word::IDLE) { Push::WasIdle } else { Push::Queued(before) };
                }
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

    fn of(node: NonNull<RawNode<T>>, count: u32) -> Self {
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

/// A first-in first-out list of nodes with one owner.
pub(crate) struct Chain<T> {
    head: *mut RawNode<T>,
    /// Valid where `head` is not null.
    tail: *mut RawNode<T>,
    owns: PhantomData<T>,
}

// SAFETY: a chain owns its nodes.
unsafe impl<T: Send> Send for Chain<T> {}

impl<T> Chain<T> {
    pub(crate) const fn new() -> Self {
        Self { head: ptr::null_mut(), tail: ptr::null_mut(), owns: PhantomData }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Node<T>> {
        let raw = NonNull::new(self.head)?;
        // SAFETY: nodes of a chain are owned by it and linked to each other or to null.
        self.head = unsafe { raw.as_ref() }.next;
        node_pool::prefetch(self.head.cast(), raw.as_ptr().cast());
        Some(Node { raw })
    }

    /// Puts `other` behind this chain.
    pub(crate) fn append(&mut self, other: Self) {
        let other = mem::ManuallyDrop::new(other);
        // SAFETY: a chain owns its nodes, its tail is the last of them, and `other` is forgotten.
        unsafe { self.splice(other.head, other.tail) };
    }

    fn push_back(&mut self, node: NonNull<RawNode<T>>) {
        // SAFETY: the node is given to this chain by its owner; the tail is ours.
        unsafe {
            (*node.as_ptr()).next = ptr::null_mut();
            if self.head.is_null() {
                self.head = node.as_ptr();
            } else {
                (*self.tail).next = node.as_ptr();
            }
        }
        self.tail = node.as_ptr();
    }

    /// Returns the number of user messages.
    ///
    /// # Safety
    /// `newest` is null or the head of a chain of nodes that the caller owns.
    unsafe fn append_reversed(
        newest: *mut RawNode<T>,
        urgent: &mut Self,
        normal: &mut Self,
        is_user: impl Fn(&T) -> bool,
        mut is_urgent: impl FnMut(&T) -> bool,
    ) -> u32 {
        let (mut node, mut reversed) = (newest, ptr::null_mut::<RawNode<T>>());
        let (mut users, mut others) = (0, false);
        // SAFETY: every node reached belongs to the chain that the caller gave away.
        unsafe {
            while !node.is_null() {
                if is_user((*node).value.assume_init_ref()) {
                    users += 1;
                } else {
                    others = true;
                }
                node = mem::replace(&mut (*node).next, mem::replace(&mut reversed, node));
                node_pool::prefetch(node.cast(), reversed.cast());
            }
            if !others {
                normal.splice(reversed, newest);
                return users;
            }
            while let Some(oldest) = NonNull::new(reversed) {
                reversed = oldest.as_ref().next;
                let value = oldest.as_ref().value.assume_init_ref();
                let target = if !is_user(value) && is_urgent(value) { &mut *urgent } else { &mut *normal };
                target.push_back(oldest);
            }
        }
        users
    }

    /// Appends a list of nodes.
    ///
    /// # Safety
    /// The caller owns the list that leads from `head` to `tail`, whose `next` is null; both may be
    /// null.
    unsafe fn splice(&mut self, head: *mut RawNode<T>, tail: *mut RawNode<T>) {
        if head.is_null() {
            return;
        }
        if self.head.is_null() {
            self.head = head;
        } else {
            // SAFETY: the tail of a chain that is not empty is a node of it.
            unsafe { (*self.tail).next = head };
        }
        self.tail = tail;
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        while let Some(node) = self.pop() {
            drop(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

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
