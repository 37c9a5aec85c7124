//! Room for the actor that a worker has made ready last, from which others take in an emergency.
//!
//! The owner comes here for almost every turn and a thief almost never, so the owner's way has no locked
//! instruction: it says that it is inside, looks whether a thief is there, and if not, loads and
//! stores. A thief says that it is there, has the kernel run a fence on the owner's processor
//! (`sync::heavy_fence`), and leaves if the owner is inside. After the fence the owner either has said that
//! it is inside, or it will see the thief and use atomic exchanges, as the thief does. Where there
//! is no such fence a thief is always taken to be there.
#![allow(unsafe_code, reason = "a token as an atomic address; every block says why it is sound")]

#[cfg(all(test, myrmidon_loom))]
mod loom_tests;

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use super::{Ready, Slot};
use crate::sync::{self, AtomicBool, AtomicPtr, Ordering};

/// The owner's side: it can be moved to another thread, but not shared.
pub(crate) struct LifoSlot {
    shared: Arc<Shared>,
    /// Whether something was put in and not taken out on this side.
    used: Cell<bool>,
}

/// The side of the others.
pub(crate) struct LifoThief(Arc<Shared>);

/// Invariant: `last` is null, or the address of a token's slot, and the token is nowhere else.
#[repr(align(128))]
struct Shared {
    last: AtomicPtr<Slot>,
    /// The owner may be between its load and its store of `last`.
    inside: AtomicBool,
    /// A thief may exchange `last`.
    contested: AtomicBool,
    /// Whether `contested` stays set.
    always: bool,
}

impl LifoSlot {
    pub(crate) fn new() -> Self {
        Self::with_fence(sync::has_heavy_fence())
    }

    fn with_fence(available: bool) -> Self {
        let shared = Shared {
            last: AtomicPtr::new(ptr::null_mut()),
            inside: AtomicBool::new(false),
            contested: AtomicBool::new(!available),
            always: !available,
        };
        Self { shared: Arc::new(shared), used: Cell::new(false) }
    }

    pub(crate) fn thief(&self) -> LifoThief {
        LifoThief(self.shared.clone())
    }

    /// Whether something was put in and not taken out. A thief may have it.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        self.used.get()
    }

    /// Puts an actor in and returns the one that was there.
    #[inline]
    pub(crate) fn replace(&self, ready: Ready) -> Option<Ready> {
        self.used.set(true);
        token(self.exchange(ptr::from_ref(ready.slot).cast_mut()))
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Ready> {
        if self.used.replace(false) { token(self.exchange(ptr::null_mut())) } else { None }
    }

    #[inline]
    fn exchange(&self, new: *mut Slot) -> *mut Slot {
        let Shared { last, inside, contested, .. } = &*self.shared;
        inside.store(true, Ordering::Relaxed);
        sync::light_fence();
        // Acquire: what the last thief did to `last` is seen.
        let old = if contested.load(Ordering::Acquire) {
            last.swap(new, Ordering::AcqRel)
        } else {
            let old = last.load(Ordering::Relaxed);
            last.store(new, Ordering::Release);
            old
        };
        // Release: a thief that sees this sees `last` as it is left.
        inside.store(false, Ordering::Release);
        old
    }
}

impl LifoThief {
    /// Takes the actor, if there is one and nobody else is at it.
    pub(crate) fn take(&self) -> Option<Ready> {
        let Shared { last, inside, contested, always } = &*self.0;
        if last.load(Ordering::Relaxed).is_null() {
            return None;
        }
        if *always {
            return token(last.swap(ptr::null_mut(), Ordering::AcqRel));
        }
        if contested.swap(true, Ordering::Acquire) {
            return None;
        }
        let may = sync::heavy_fence() && !inside.load(Ordering::Acquire);
        let taken = if may { last.swap(ptr::null_mut(), Ordering::AcqRel) } else { ptr::null_mut() };
        contested.store(false, Ordering::Release);
        token(taken)
    }
}

fn token(slot: *mut Slot) -> Option<Ready> {
    // SAFETY: only `replace` stores addresses, each of a token's slot, which is never freed. Whoever took
    // this one out left something else there, and the owner and a thief never load the same one: either
    // both exchange atomically, or the thief leaves because the owner is inside.
    unsafe { slot.as_ref() }.map(|slot| Ready { slot })
}
