//! Wakers of actors that wait for a future. One is the address of the actor's slot and owns nothing:
//! no allocation, no count.
//!
//! A slot is never freed, so a waker may outlive its actor and its runtime. It then reaches at most a
//! later actor of the slot, as a wake without a cause, which every future has to bear.
#![allow(unsafe_code, reason = "a raw waker; every block says why it is sound")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ptr::{self, NonNull};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard, Weak};
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::System;
use super::slot::Slot;

/// The runtimes of this process by number.
static SYSTEMS: RwLock<BTreeMap<u32, Weak<System>>> = RwLock::new(BTreeMap::new());

/// Lets wakers find the runtime with this number.
pub(super) fn register(runtime: u32, system: &Arc<System>) {
    SYSTEMS.write().unwrap_or_else(PoisonError::into_inner).insert(runtime, Arc::downgrade(system));
}

pub(super) fn unregister(runtime: u32) {
    SYSTEMS.write().unwrap_or_else(PoisonError::into_inner).remove(&runtime);
}

/// The runtime with this number, if it still runs.
pub(super) fn system(runtime: u32) -> Option<Arc<System>> {
    SYSTEMS.read().unwrap_or_else(PoisonError::into_inner).get(&runtime).and_then(Weak::upgrade)
}

/// The register of runtimes, which nobody else can look at meanwhile.
pub(super) type HeldSystems = RwLockWriteGuard<'static, BTreeMap<u32, Weak<System>>>;

pub(super) fn hold() -> HeldSystems {
    SYSTEMS.write().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// The runtime whose actors this thread runs.
    static SERVED: Cell<Option<NonNull<System>>> = const { Cell::new(None) };
}

/// Calls `f`, in which this thread runs actors of `system`: wakes among them need not look for it.
pub(crate) fn serving<R>(system: &System, f: impl FnOnce() -> R) -> R {
    struct Before(Option<NonNull<System>>);
    impl Drop for Before {
        fn drop(&mut self) {
            SERVED.set(self.0);
        }
    }
    let _before = Before(SERVED.replace(Some(NonNull::from(system))));
    f()
}

/// The waker of the actor that lives in `slot`.
pub(super) fn of(slot: &'static Slot) -> Waker {
    // SAFETY: the vtable takes the data for a `&'static Slot`, which this is; `Slot` is `Sync`, and
    // a waker that owns nothing may be cloned and dropped in any number.
    unsafe { Waker::from_raw(raw(slot)) }
}

/// Whether it is the waker of an actor, which owns nothing.
pub(super) fn is_actors(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &VTABLE)
}

fn raw(slot: &'static Slot) -> RawWaker {
    RawWaker::new(ptr::from_ref(slot).cast(), &VTABLE)
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(
    // SAFETY: only `raw` makes wakers with this vtable.
    |data| raw(unsafe { slot(data) }),
    // SAFETY: likewise.
    |data| wake(unsafe { slot(data) }),
    // SAFETY: likewise.
    |data| wake(unsafe { slot(data) }),
    |_| {},
);

/// # Safety
/// `data` must come from [`raw`].
unsafe fn slot(data: *const ()) -> &'static Slot {
    // SAFETY: it was made of a `&'static Slot`.
    unsafe { &*data.cast::<Slot>() }
}

fn wake(slot: &'static Slot) {
    if !slot.wake() {
        return;
    }
    // Found before the token is taken, which must not be lost. While the runtime is held its slots
    // are its own.
    if let Some(served) = SERVED.get() {
        // SAFETY: `serving` borrows it for as long as it is there.
        let served = unsafe { served.as_ref() };
        if served.runtime() == slot.runtime() {
            return served.schedule(slot.rouse());
        }
    }
    if let Some(system) = system(slot.runtime()) {
        system.schedule(slot.rouse());
    }
}
