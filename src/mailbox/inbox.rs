//! The inbox word: an intrusive lock-free stack of message nodes that is also the schedule state.
//!
//! The word is EMPTY (the owner runs or is scheduled), IDLE (nobody will look until someone pushes),
//! CLOSED (the actor has ended), or the newest node. A push is one CAS; the push that replaces IDLE
//! must schedule the owner. The owner takes the whole chain at once and reverses it, which keeps the
//! order of every sender. Take-all makes ABA harmless: the owner never compares node addresses.
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
    pub(crate) fn new(generation: u32, value: T) -> Self {
        const { assert!(size_of::<RawNode<T>>() <= NODE_SIZE, "a message must fit into a node") };
        let raw = node_pool::allocate().cast::<RawNode<T>>();
        let node = RawNode { next: ptr::null_mut(), generation, value: mem::MaybeUninit::new(value) };
        // SAFETY: the pool gives 64 bytes aligned to 64, and the assertion checked the size.
        unsafe { raw.write(node) };
        Self { raw }
    }

    /// Takes the content; the node goes back to its chunk through `run`.
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
    /// The owner is running or scheduled and will see the message.
    Queued,
    /// The owner was idle: who pushed must schedule it.
    WasIdle,
    /// The actor has ended; the message comes back.
    Closed(Node<T>),
}

/// See the module.
pub(crate) struct Inbox<T> {
    head: AtomicPtr<RawNode<T>>,
    owns: PhantomData<T>,
}

// SAFETY: the inbox moves values between threads and shares none.
unsafe impl<T: Send> Sync for Inbox<T> {}
// SAFETY: likewise.
unsafe impl<T: Send> Send for Inbox<T> {}

impl<T> Inbox<T> {
    /// A closed inbox.
    pub(crate) fn closed() -> Self {
        Self { head: AtomicPtr::new(closed()), owns: PhantomData }
    }

    /// Reopens a closed inbox in the state "scheduled": the caller is the owner.
    ///
    /// Only the one who holds the free slot may call it.
    pub(crate) fn open(&self) {
        debug_assert!(self.is_closed());
        self.head.store(ptr::null_mut(), Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.head.load(Ordering::Acquire) == closed()
    }

    pub(crate) fn push(&self, node: Node<T>) -> Push<T> {
        let raw = node.raw;
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == closed() {
                return Push::Closed(node);
            }
            let next = if head == idle() { ptr::null_mut() } else { head };
            // SAFETY: until the CAS succeeds the node is ours alone.
            unsafe { (*raw.as_ptr()).next = next };
            match self.head.compare_exchange_weak(head, raw.as_ptr(), Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    mem::forget(node);
                    return if head == idle() { Push::WasIdle } else { Push::Queued };
                }
                Err(now) => head = now,
            }
        }
    }

    /// Appends everything that has arrived to `normal`, in order, or to `urgent` where the predicate
    /// says so, which is asked in order of arrival. Owner only.
    pub(crate) fn take(
        &self,
        urgent: &mut Chain<T>,
        normal: &mut Chain<T>,
        is_urgent: impl FnMut(&T) -> bool,
    ) {
        if self.head.load(Ordering::Relaxed).is_null() {
            return;
        }
        let head = self.head.swap(ptr::null_mut(), Ordering::AcqRel);
        debug_assert!(head != idle() && head != closed(), "only the owner of a running actor takes");
        // SAFETY: the swap made the whole chain ours.
        unsafe { Chain::append_reversed(head, urgent, normal, is_urgent) };
    }

    /// Says that the owner has nothing to do. `false` if something arrived meanwhile: the owner
    /// stays the owner. Owner only.
    pub(crate) fn try_idle(&self) -> bool {
        self.head.compare_exchange(ptr::null_mut(), idle(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Ends the inbox and appends what had arrived to `rest`. Owner only.
    pub(crate) fn close(&self, rest: &mut Chain<T>) {
        let head = self.head.swap(closed(), Ordering::AcqRel);
        debug_assert!(head != idle() && head != closed(), "only the owner of a running actor closes");
        // SAFETY: the swap made the whole chain ours.
        unsafe { Chain::append_reversed(head, &mut Chain::new(), rest, |_| false) };
    }
}

const fn idle<T>() -> *mut RawNode<T> {
    ptr::without_provenance_mut(1)
}

const fn closed<T>() -> *mut RawNode<T> {
    ptr::without_provenance_mut(3)
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

    pub(crate) fn pop(&mut self) -> Option<Node<T>> {
        let raw = NonNull::new(self.head)?;
        // SAFETY: nodes of a chain are owned by it and linked to each other or to null.
        self.head = unsafe { raw.as_ref() }.next;
        Some(Node { raw })
    }

    /// Puts `other` behind this chain.
    pub(crate) fn append(&mut self, mut other: Self) {
        while let Some(node) = other.pop() {
            let raw = mem::ManuallyDrop::new(node).raw;
            self.push_back(raw);
        }
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

    /// # Safety
    /// `newest` is null or the head of a chain of nodes that the caller owns.
    unsafe fn append_reversed(
        newest: *mut RawNode<T>,
        urgent: &mut Self,
        normal: &mut Self,
        mut is_urgent: impl FnMut(&T) -> bool,
    ) {
        let (mut node, mut reversed) = (newest, ptr::null_mut::<RawNode<T>>());
        // SAFETY: every node reached belongs to the chain that the caller gave away.
        unsafe {
            while !node.is_null() {
                node = mem::replace(&mut (*node).next, mem::replace(&mut reversed, node));
            }
            while let Some(oldest) = NonNull::new(reversed) {
                reversed = oldest.as_ref().next;
                let target = if is_urgent(oldest.as_ref().value.assume_init_ref()) {
                    &mut *urgent
                } else {
                    &mut *normal
                };
                target.push_back(oldest);
            }
        }
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
        assert!(matches!(inbox.push(Node::new(1, 0)), Push::WasIdle));
        for n in 1..100 {
            assert!(matches!(inbox.push(Node::new(1, n)), Push::Queued));
        }
        let (mut urgent, mut normal) = (Chain::new(), Chain::new());
        inbox.take(&mut urgent, &mut normal, |n| n % 10 == 0);
        assert_eq!(drain(&mut urgent), (0..100).step_by(10).collect::<Vec<_>>());
        assert_eq!(drain(&mut normal), (0..100).filter(|n| n % 10 != 0).collect::<Vec<_>>());
    }

    #[test]
    fn a_closed_inbox_hands_messages_back_and_gives_up_what_it_held() {
        let inbox = Inbox::closed();
        inbox.open();
        let _ = inbox.push(Node::new(1, 5));
        let mut rest = Chain::new();
        inbox.close(&mut rest);
        assert_eq!(drain(&mut rest), [5]);
        let Push::Closed(node) = inbox.push(Node::new(1, 6)) else { panic!("the inbox is closed") };
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
                        if matches!(inbox.push(Node::new(1, (sender, n))), Push::WasIdle) {
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
            inbox.take(&mut urgent, &mut normal, |_| false);
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
