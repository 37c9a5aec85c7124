//! The primitives of every build but those for loom.

pub(crate) use std::alloc::{alloc, dealloc};
pub(crate) use std::cell::UnsafeCell;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard};
pub(crate) use std::thread::{Thread, current, park, park_timeout, yield_now};
pub(crate) use std::thread_local;

pub(crate) use crossbeam_queue::SegQueue;

pub(crate) use super::asymmetric::{has_heavy_fence, heavy_fence, light_fence};

/// Tells loom of each use of memory that it cannot see itself. Nothing in this build.
pub(crate) struct Witness;

impl Witness {
    pub(crate) const fn new() -> Self {
        Self
    }

    /// The memory is used, and others may use other parts of it at the same time.
    pub(crate) const fn shared(&self) {}

    /// The memory is used, and every earlier use must have happened before.
    pub(crate) const fn exclusive(&self) {}
}
