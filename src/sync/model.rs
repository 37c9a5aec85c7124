//! Loom's primitives, with the interface of those in `standard`.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use loom::alloc::{alloc, dealloc};
pub(crate) use loom::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use loom::thread::{Thread, current, park, yield_now};

/// Parks for ever: what must happen may not depend on a time running out.
pub(crate) fn park_timeout(_: Duration) {
    park();
}

/// In place of the fences of `asymmetric`: both sides fence.
pub(crate) fn has_heavy_fence() -> bool {
    true
}

pub(crate) fn heavy_fence() -> bool {
    fence(Ordering::SeqCst);
    true
}

pub(crate) fn light_fence() {
    fence(Ordering::SeqCst);
}

pub(crate) struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    /// Counts as a write here and now: loom fails if an earlier use did not happen before it.
    pub(crate) fn get(&self) -> *mut T {
        self.0.with_mut(|value| value)
    }
}

pub(crate) struct Witness(loom::cell::UnsafeCell<()>);

impl Witness {
    pub(crate) fn new() -> Self {
        Self(loom::cell::UnsafeCell::new(()))
    }

    pub(crate) fn shared(&self) {
        self.0.with(|_| ());
    }

    pub(crate) fn exclusive(&self) {
        self.0.with_mut(|_| ());
    }
}

/// A queue that promises no more than what a lock-free one must: a pop happens after the push of
/// what it takes, and who merely looks may see an old state.
pub(crate) struct SegQueue<T> {
    /// Not loom's: no thread is switched while it is held, and it orders no memory.
    items: std::sync::Mutex<VecDeque<T>>,
    /// At most the length of `items`.
    len: AtomicUsize,
}

impl<T> SegQueue<T> {
    pub(crate) fn new() -> Self {
        Self { items: std::sync::Mutex::default(), len: AtomicUsize::new(0) }
    }

    pub(crate) fn push(&self, item: T) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).push_back(item);
        self.len.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.len.fetch_update(Ordering::AcqRel, Ordering::Acquire, |len| len.checked_sub(1)).ok()?;
        self.items.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }
}

/// Loom's, which knows no `const` before the first value.
macro_rules! thread_local_of_loom {
    ($(#[$attribute:meta])* static $name:ident: $kind:ty = const $first:block $(;)?) => {
        loom::thread_local! {
            $(#[$attribute])* static $name: $kind = $first;
        }
    };
}
pub(crate) use thread_local_of_loom as thread_local;
