//! The slot by which `await` and a task step a coroutine, which PyO3 does not offer.
//!
//! Without it they take the answer out of a `StopIteration` that was raised for it, at every ask.
#![allow(unsafe_code, reason = "a slot of a class; every block says why it is sound")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use pyo3::ffi::{self, PyObject, PySendResult};
use pyo3::prelude::*;

use super::Asking;

/// How a step of `__next__` is to give an answer.
pub(super) struct Delivery(AtomicU8);

/// As an iterator does.
const RAISED: u8 = 0;
/// It is returned, and that is said here.
const RETURNED: u8 = 1;
/// It was.
const DONE: u8 = 2;

impl Delivery {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(RAISED))
    }

    /// Whether the answer is to be returned as it is.
    pub(super) fn is_direct(&self) -> bool {
        let direct = self.0.load(Ordering::Relaxed) == RETURNED;
        if direct {
            self.0.store(DONE, Ordering::Relaxed);
        }
        direct
    }
}

/// `__next__` as PyO3 made it.
static NEXT: OnceLock<ffi::iternextfunc> = OnceLock::new();

/// Gives the class the slot. To be called once, before there are asks.
pub(super) fn install(py: Python<'_>) {
    let class = py.get_type::<Asking>().as_type_ptr();
    // SAFETY: the thread is attached, nobody has an object of the class yet, and it has no subclasses. As it has
    // `__await__`, it has a table of such slots.
    unsafe {
        let (Some(next), Some(table)) = ((*class).tp_iternext, (*class).tp_as_async.as_mut()) else { return };
        NEXT.get_or_init(|| next);
        table.am_send = Some(send);
        ffi::PyType_Modified(class);
    }
}

/// What is sent is `None`, as a rule, and means nothing.
unsafe extern "C" fn send(this: *mut PyObject, _: *mut PyObject, result: *mut *mut PyObject) -> PySendResult {
    let Some(next) = NEXT.get() else { return PySendResult::PYGEN_ERROR };
    // SAFETY: the interpreter calls this on an attached thread, with an object of the class, which it keeps until this
    // returns, and with a place for the result.
    unsafe {
        let asking = Borrowed::from_ptr(Python::assume_attached(), this).cast_unchecked::<Asking>();
        let delivery = &asking.get().delivery.0;
        // Put back, as the code that runs in a step can try to step this too.
        let before = delivery.load(Ordering::Relaxed);
        delivery.store(RETURNED, Ordering::Relaxed);
        *result = next(this);
        let returned = delivery.load(Ordering::Relaxed) == DONE;
        delivery.store(before, Ordering::Relaxed);
        match ((*result).is_null(), returned) {
            (true, _) => PySendResult::PYGEN_ERROR,
            (false, true) => PySendResult::PYGEN_RETURN,
            (false, false) => PySendResult::PYGEN_NEXT,
        }
    }
}
