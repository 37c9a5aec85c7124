//! Calls of user code from threads of ours.
#![allow(unsafe_code, reason = "two functions of the interpreter, declared as what they are: able to unwind")]

use std::thread;

use pyo3::ffi::PyObject;
use pyo3::prelude::*;

// `pyo3::ffi` has them too, but as functions that never unwind, which is not quite so: see `Stay`.
unsafe extern "C-unwind" {
    fn PyObject_CallNoArgs(callable: *mut PyObject) -> *mut PyObject;
    fn PyObject_CallOneArg(callable: *mut PyObject, argument: *mut PyObject) -> *mut PyObject;
}

/// Calls `callable()`.
pub(crate) fn without_argument<'py>(callable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let stay = Stay;
    // SAFETY: the thread is attached and the pointer is borrowed from a living reference.
    let result = unsafe { PyObject_CallNoArgs(callable.as_ptr()) };
    std::mem::forget(stay);
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(callable.py(), result) }
}

/// Calls `callable(argument)` by vectorcall, without building a tuple.
pub(crate) fn with_argument<'py>(
    callable: &Bound<'py, PyAny>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let stay = Stay;
    // SAFETY: the thread is attached and both pointers are borrowed from living references.
    let result = unsafe { PyObject_CallOneArg(callable.as_ptr(), argument.as_ptr()) };
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
