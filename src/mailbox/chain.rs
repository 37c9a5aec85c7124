//! Lists of message nodes that one thread holds: what a receiver has taken, and what a sender is about
//! to push.
#![allow(unsafe_code, reason = "lists of raw nodes; every block says why it is sound")]

use std::marker::PhantomData;
use std::mem;
use std::ptr::{self, NonNull};

use super::node::{Node, NodePtr, RawNode};
use super::node_pool::{self, NodeRun};

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

    /// The content of the first node.
    pub(crate) fn first(&self) -> Option<&T> {
        // SAFETY: a chain owns its nodes, which were written whole.
        unsafe { Some(self.head.as_ref()?.value.assume_init_ref()) }
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Node<T>> {
        let raw = NonNull::new(self.head)?;
        // SAFETY: nodes of a chain are owned by it and linked to each other or to null.
        self.head = unsafe { raw.as_ref() }.next;
        node_pool::prefetch(self.head.cast(), raw.as_ptr().cast());
        Some(Node { raw })
    }

    /// Moves every message into a node among others that wait long, so that none pins a chunk whose
    /// other messages are read soon.
    pub(crate) fn settle(&mut self, run: &mut NodeRun) {
        let mut unsettled = mem::take(self);
        while let Some(node) = unsettled.pop() {
            let node = mem::ManuallyDrop::new(node.settle(run));
            self.push_back(node.raw);
        }
    }

    /// Whether the first message was [settled](Self::settle); not where there is none.
    pub(crate) fn is_settled(&self) -> bool {
        // SAFETY: a chain owns its nodes.
        !self.is_empty() && unsafe { node_pool::is_settled(self.head.cast()) }
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
    pub(super) unsafe fn append_reversed(
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

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Chain<T> {
    fn drop(&mut self) {
        while let Some(node) = self.pop() {
            drop(node);
        }
    }
}

/// User messages on their way to one inbox, linked as a stack so that one push takes them all.
pub(crate) struct Batch<T> {
    newest: *mut RawNode<T>,
    /// Valid where `newest` is not null.
    oldest: *mut RawNode<T>,
    len: u32,
    owns: PhantomData<T>,
}

// SAFETY: a batch owns its nodes.
unsafe impl<T: Send> Send for Batch<T> {}

impl<T> Batch<T> {
    pub(crate) const fn new() -> Self {
        Self { newest: ptr::null_mut(), oldest: ptr::null_mut(), len: 0, owns: PhantomData }
    }

    /// Messages in it, at most what a number can hold.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Puts a message behind those that are in the batch.
    pub(crate) fn add(&mut self, node: Node<T>) {
        let raw = mem::ManuallyDrop::new(node).raw.as_ptr();
        // SAFETY: the node is given to this batch by its owner.
        unsafe { (*raw).next = self.newest };
        if self.newest.is_null() {
            self.oldest = raw;
        }
        self.newest = raw;
        self.len = self.len.saturating_add(1);
    }

    /// The messages in order.
    pub(crate) fn into_chain(self) -> Chain<T> {
        let newest = mem::ManuallyDrop::new(self).newest;
        let mut chain = Chain::new();
        // SAFETY: the batch owned the list and is forgotten.
        unsafe { Chain::append_reversed(newest, &mut Chain::new(), &mut chain, |_| true, |_| false) };
        chain
    }

    /// The newest node, from which a list leads to the oldest; `None` if there are none.
    pub(super) fn ends(&self) -> Option<(NodePtr<T>, NodePtr<T>)> {
        Some((NonNull::new(self.newest)?, NonNull::new(self.oldest)?))
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        // SAFETY: the batch owns the list and is not used after drop.
        unsafe {
            Chain::append_reversed(self.newest, &mut Chain::new(), &mut Chain::new(), |_| true, |_| false);
        }
    }
}
