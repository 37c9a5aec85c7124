//! What a slot has where its actor's mailbox is bounded.
#![allow(unsafe_code, reason = "a pointer to what is never freed; every block says why it is sound")]

use std::collections::VecDeque;
use std::ptr;

use super::{Closed, Hold, Ready, Slot, flag};
use crate::mailbox::{Bounded, Next, Overflow, Payload};
use crate::pid::Pid;
use crate::sync::{AtomicPtr, Ordering};

/// The queue of a slot: made for the first actor with a bounded mailbox that lives there, then used by
/// every other, and like the slot never freed, so that a late sender may look at it.
pub(super) struct Bound(AtomicPtr<Bounded<Payload>>);

impl Bound {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    fn get(&self) -> Option<&'static Bounded<Payload>> {
        // SAFETY: only `get_or_make` stores pointers, each of a queue that it leaked.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Only the one who holds the free slot may call it.
    fn get_or_make(&self) -> &'static Bounded<Payload> {
        self.get().unwrap_or_else(|| {
            let made = Box::leak(Box::new(Bounded::new()));
            self.0.store(made, Ordering::Release);
            made
        })
    }
}

impl Slot {
    /// Makes the next actor's mailbox a bounded one; [`flag::BOUNDED`] must follow. Only the one who
    /// holds the free slot may call it.
    pub(in crate::actor) fn bind(&self, capacity: usize, overflow: Overflow) {
        let generation = self.generation.load(Ordering::Relaxed);
        self.bound.get_or_make().open(generation, capacity, overflow);
    }

    /// The queue of the actor that lives here, if its mailbox is bounded. It may be another's by the
    /// time that it is used, or not be open: it knows its actor by the generation.
    #[inline]
    pub(in crate::actor) fn bounded(&self) -> Option<&'static Bounded<Payload>> {
        if self.has(flag::BOUNDED) { self.bound.get() } else { None }
    }

    /// The queue of `pid`, if that lives here and its mailbox is bounded.
    pub(in crate::actor) fn bounded_for(&self, pid: Pid) -> Option<&'static Bounded<Payload>> {
        if self.generation.load(Ordering::Acquire) == pid.generation() { self.bounded() } else { None }
    }
}

impl Ready {
    /// As [`idle`](Self::idle), with a look at the queue afterwards: who put a message there before
    /// found the actor busy and has not scheduled it. The right that comes back may be another actor's,
    /// which has the slot by now, so it is to be scheduled and not used.
    pub(in crate::actor) fn idle_bounded(self) -> Option<Self> {
        let slot = self.slot;
        let busy = self.idle();
        let late = busy.is_none() && slot.bounded().is_some_and(|bounded| bounded.len() > 0);
        if late { slot.rouse() } else { busy }
    }
}

impl Hold<'_> {
    /// What comes next in a bounded mailbox; see [`Bounded::next`].
    pub(in crate::actor) fn next_bounded(&self, after: Option<u64>) -> Next<Payload> {
        let bounded = self.slot.bound.get();
        bounded.map_or(Next::Wait, |bounded| bounded.next(after, || self.has_arrivals()))
    }
}

impl Closed {
    /// Ends the queue of the actor, if it has one, with what was in it. Who waits for room is told.
    pub(in crate::actor) fn unbind(&self) -> VecDeque<Payload> {
        self.slot.bounded().map_or_else(VecDeque::new, Bounded::close)
    }
}
