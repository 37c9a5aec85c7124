//! One value from one place to another, once: the way back of an ask.
//!
//! A cell of one cache line with a state word, taken from a pool of the thread and given back by
//! whichever of the two ends is the last to use it; so an ask allocates nothing in the long run. A
//! cell belongs to its two ends alone, and no counting of references is needed.
//!
//! ```text
//! EMPTY ──poll──► WAITING          the receiver has left its waker
//!   │  ◄──poll──     │             the receiver exchanges it
//!   ├──── send ──────┤
//!   │                ▼
//!   │             SENDING ──► SENT ──► taken by the receiver, who frees the cell
//!   └─ receiver goes ──► CLOSED ──► the sender frees the cell
//! ```
#![allow(unsafe_code, reason = "a cell that two threads share; every block says why it is sound")]

#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod pool;

use std::ptr::NonNull;
use std::task::{Context, Poll, Waker};

use pool::{fetch, give_back};

use crate::mailbox::Value;
use crate::sync::{AtomicU32, Ordering, UnsafeCell, yield_now};

/// Nobody waits, and nothing was sent.
const EMPTY: u32 = 0;
/// There is a waker.
const WAITING: u32 = 1;
/// The sender has the cell alone, for a few instructions.
const SENDING: u32 = 2;
/// The receiver has the cell alone: the sender is gone.
const SENT: u32 = 3;
/// The sender has the cell alone: the receiver is gone.
const CLOSED: u32 = 4;

/// What the two ends share.
#[repr(align(64))]
struct OneShot {
    state: AtomicU32,
    /// The receiver's, but for `WAITING` and `SENDING`, when only who changes the state may touch it.
    waker: UnsafeCell<Option<Waker>>,
    /// The sender's before `SENT`, the receiver's after it. `None` there if the sender was dropped.
    value: UnsafeCell<Option<Value>>,
}

const _: () = assert!(crate::sync::MODEL || size_of::<OneShot>() == 64, "one cache line");

impl OneShot {
    fn new() -> Self {
        Self { state: AtomicU32::new(EMPTY), waker: UnsafeCell::new(None), value: UnsafeCell::new(None) }
    }
}

/// The end that sends.
pub(super) struct Sender(NonNull<OneShot>);

/// The end that waits.
pub(super) struct Receiver(Option<NonNull<OneShot>>);

// SAFETY: the two ends share only a cell, and by its state word never use a part of it at the same
// time; the value and the waker in it are `Send`.
unsafe impl Send for Sender {}
// SAFETY: as above.
unsafe impl Send for Receiver {}

/// Two ends of a cell from the pool.
pub(super) fn one_shot() -> (Sender, Receiver) {
    let cell = NonNull::from(Box::leak(fetch()));
    (Sender(cell), Receiver(Some(cell)))
}

impl Sender {
    /// Sends, or hands the value back if nobody waits any more.
    pub(super) fn send(self, value: Value) -> Result<(), Value> {
        let cell = self.0;
        std::mem::forget(self);
        finish(cell, Some(value)).map_err(|value| value.expect("it comes back as it was given"))
    }

    /// Whether nobody waits any more.
    pub(super) fn is_closed(&self) -> bool {
        // SAFETY: the cell lives until the last end is gone, and this one is not.
        unsafe { self.0.as_ref() }.state.load(Ordering::Acquire) == CLOSED
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = finish(self.0, None);
    }
}

/// The last use of a cell by its sender.
fn finish(cell: NonNull<OneShot>, value: Option<Value>) -> Result<(), Option<Value>> {
    // SAFETY: the receiver frees the cell only after `SENT`, which is the last thing done to it here.
    let OneShot { state, waker: place, value: space } = unsafe { cell.as_ref() };
    let mut seen = state.load(Ordering::Acquire);
    loop {
        if seen == CLOSED {
            // SAFETY: the receiver is gone, so the cell is ours. The read of its state orders its uses
            // before ours.
            unsafe { free(cell) };
            return Err(value);
        }
        match state.compare_exchange_weak(seen, SENDING, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
    // SAFETY: in `SENDING` the receiver touches neither, and after `WAITING` it has written the waker.
    let waker = unsafe {
        *space.get() = value;
        if seen == WAITING { (*place.get()).take() } else { None }
    };
    state.store(SENT, Ordering::Release);
    if let Some(waker) = waker {
        waker.wake();
    }
    Ok(())
}

impl Receiver {
    /// What was sent; `None` if the sender was dropped instead. Not to be called again after that.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Value>> {
        let Some(cell) = self.0 else { return Poll::Ready(None) };
        // SAFETY: the sender frees the cell only after `CLOSED`, which is not yet.
        let OneShot { state, waker: place, .. } = unsafe { cell.as_ref() };
        if state.load(Ordering::Acquire) < SENDING && self.withdraw() {
            // SAFETY: in `EMPTY` the sender does not touch the waker.
            unsafe { *place.get() = Some(cx.waker().clone()) };
            if state.compare_exchange(EMPTY, WAITING, Ordering::Release, Ordering::Relaxed).is_ok() {
                return Poll::Pending;
            }
        }
        if state.load(Ordering::Acquire) == SENDING {
            // It will be there in a moment, and whom the sender wakes may be another.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }

    /// Waits no longer. What was sent before is not lost.
    pub(super) fn close(mut self) -> Option<Value> {
        self.leave()
    }

    /// Takes the waker back; `false` if the sender has come.
    fn withdraw(&self) -> bool {
        let Some(cell) = self.0 else { return false };
        // SAFETY: as in `poll`.
        let OneShot { state, waker: place, .. } = unsafe { cell.as_ref() };
        let seen = state.load(Ordering::Relaxed);
        if seen == WAITING
            && state.compare_exchange(WAITING, EMPTY, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            // SAFETY: as in `poll`.
            drop(unsafe { (*place.get()).take() });
            return true;
        }
        seen == EMPTY
    }

    fn leave(&mut self) -> Option<Value> {
        let cell = self.0?;
        // SAFETY: as in `poll`.
        let state = &unsafe { cell.as_ref() }.state;
        if self.withdraw()
            && state.compare_exchange(EMPTY, CLOSED, Ordering::Release, Ordering::Relaxed).is_ok()
        {
            self.0 = None;
            return None;
        }
        while state.load(Ordering::Acquire) != SENT {
            yield_now();
        }
        self.take()
    }

    /// Takes what was sent, and frees the cell.
    fn take(&mut self) -> Option<Value> {
        let cell = self.0.take()?;
        // SAFETY: in `SENT`, which was read in an acquire, the sender is gone and the cell ours.
        unsafe {
            let value = (*cell.as_ref().value.get()).take();
            free(cell);
            value
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

/// Gives a cell back to the pool.
///
/// # Safety
/// It came from [`one_shot`], and neither end uses it any more.
unsafe fn free(cell: NonNull<OneShot>) {
    // SAFETY: by the contract it is a box that nobody else has.
    let mut cell = unsafe { Box::from_raw(cell.as_ptr()) };
    *cell = OneShot::new();
    give_back(cell);
}
