//! Room for one token, shared between threads.
#![allow(unsafe_code, reason = "a token as an atomic address; every block says why it is sound")]

use std::ptr;

use super::{Ready, Slot};
use crate::sync::{AtomicPtr, Ordering};

/// Room for one actor that is ready, shared between threads.
#[derive(Default)]
pub(crate) struct ReadySlot(AtomicPtr<Slot>);

impl ReadySlot {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts an actor in where none can be: only the caller ever puts one in, and the last was taken.
    pub(crate) fn fill(&self, ready: Ready) {
        debug_assert!(self.0.load(Ordering::Relaxed).is_null());
        self.0.store(ptr::from_ref(ready.slot).cast_mut(), Ordering::Release);
    }

    /// Puts an actor in and returns the one that was there.
    pub(crate) fn replace(&self, ready: Ready) -> Option<Ready> {
        Self::ready(self.0.swap(ptr::from_ref(ready.slot).cast_mut(), Ordering::AcqRel))
    }

    pub(crate) fn take(&self) -> Option<Ready> {
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        Self::ready(self.0.swap(ptr::null_mut(), Ordering::AcqRel))
    }

    fn ready(slot: *mut Slot) -> Option<Ready> {
        // SAFETY: only `replace` stores pointers, each made of a token's slot, which is never freed;
        // the swap that brought it here took it out, so the token exists once.
        unsafe { slot.as_ref() }.map(|slot| Ready { slot })
    }
}
