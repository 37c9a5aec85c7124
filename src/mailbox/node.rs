//! A message node: what the inbox links and the chains hold.
#![allow(unsafe_code, reason = "an owned raw node; every block says why it is sound")]

use std::mem;
use std::ptr::{self, NonNull};

use super::node_pool::{self, NODE_SIZE, NodeRun, Stay};

/// One message on its way: the generation it is meant for, and its content.
///
/// Owned by whoever holds it: the sender, then the inbox, then a chain.
pub(crate) struct Node<T> {
    pub(super) raw: NodePtr<T>,
}

pub(super) type NodePtr<T> = NonNull<RawNode<T>>;

#[repr(align(64))]
pub(super) struct RawNode<T> {
    pub(super) next: *mut Self,
    generation: u32,
    pub(super) value: mem::MaybeUninit<T>,
}

// SAFETY: a node owns its value and nothing else.
unsafe impl<T: Send> Send for Node<T> {}

impl<T> Node<T> {
    #[inline(always)]
    pub(crate) fn new(generation: u32, value: T) -> Self {
        Self::made(generation, Stay::Short, move || value)
    }

    /// A node whose content is made by `value` after its place is known, so that the compiler can
    /// write it there at once. A panic in `value` leaks the place.
    #[inline(always)]
    pub(crate) fn made(generation: u32, stay: Stay, value: impl FnOnce() -> T) -> Self {
        const { assert!(size_of::<RawNode<T>>() <= NODE_SIZE, "a message must fit into a node") };
        let raw = node_pool::allocate(stay).cast::<RawNode<T>>();
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

    /// The same message in a node that lies among others that wait long.
    pub(super) fn settle(self, run: &mut NodeRun) -> Self {
        let (generation, value) = self.open(run);
        Self::made(generation, Stay::Settled, move || value)
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
