//! Calls of user code from threads of ours.
#![allow(unsafe_code, reason = "a function of the interpreter, declared as what it is: able to unwind")]

use std::ptr;
use std::thread;

use pyo3::ffi::{PY_VECTORCALL_ARGUMENTS_OFFSET, PyObject};
use pyo3::prelude::*;

// `pyo3::ffi` has its like, but as functions that never unwind, which is not quite so: see `Stay`.
unsafe extern "C-unwind" {
    fn PyObject_VectorcallDict(
        callable: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        keywords: *mut PyObject,
    ) -> *mut PyObject;
}

/// Calls `callable()`.
pub(crate) fn without_argument<'py>(callable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    call(callable, [ptr::null_mut()])
}

/// Calls `callable(argument)`, without building a tuple.
pub(crate) fn with_argument<'py>(
    callable: &Bound<'py, PyAny>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    call(callable, [ptr::null_mut(), argument.as_ptr()])
}

/// The arguments come after one free place, which spares a bound method from copying them.
fn call<'py, const N: usize>(
    callable: &Bound<'py, PyAny>,
    mut slots: [*mut PyObject; N],
) -> PyResult<Bound<'py, PyAny>> {
    let count = (N - 1) | PY_VECTORCALL_ARGUMENTS_OFFSET;
    let stay = Stay;
    // SAFETY: the thread is attached, and all pointers are borrowed from living references. The
    // array has a first place, which the callee may write to as the flag in `count` says.
    let result = unsafe {
        let arguments = slots.as_mut_ptr().add(1);
        PyObject_VectorcallDict(callable.as_ptr(), arguments, count, ptr::null_mut())
    };
    std::mem::forget(stay);
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(callable.py(), result) }
}

/// Dropped only when the call does not return. Until Python 3.14, a thread that wants the
/// interpreter back after its end is unwound by force, which Rust takes for a fatal error. Here it
/// stays where it is; the process is about to end.
struct Stay;

impl Drop for Stay {
    fn drop(&mut self) {
        loop {
            thread::park();
        }
    }
}
