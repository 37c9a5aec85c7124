//! Calls of user code from threads of ours, and the contexts around them.
#![allow(unsafe_code, reason = "a function of the interpreter, taken as what it is: able to unwind")]

use std::hint::black_box;
use std::{mem, ptr, thread};

use pyo3::ffi::{self, PY_VECTORCALL_ARGUMENTS_OFFSET, PyObject, PySendResult};
use pyo3::prelude::*;

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

/// Calls `callable(argument)` in `context`, as `Context.run` does.
///
/// # Errors
/// What it raises; `RuntimeError` if the context is entered already.
pub(crate) fn in_context(
    context: &Bound<'_, PyAny>,
    callable: &Bound<'_, PyAny>,
    argument: &Bound<'_, PyAny>,
) -> PyResult<()> {
    enter(context, || with_argument(callable, argument).map(drop))?
}

/// Runs `inside` in `context`, as `Context.run` does.
///
/// # Errors
/// `RuntimeError` if the context is entered already; nothing has run then.
pub(crate) fn enter<T>(context: &Bound<'_, PyAny>, inside: impl FnOnce() -> T) -> PyResult<T> {
    let py = context.py();
    // SAFETY: the thread is attached; the function checks that it is given a context.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(py));
    }
    let done = inside();
    // SAFETY: as above; it was entered here, and whatever was entered since was left again.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(py));
    }
    Ok(done)
}

/// What came of a step of a coroutine.
pub(crate) enum Sent<'py> {
    /// It waits for this.
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

/// Steps `coroutine`, or another iterator.
///
/// # Errors
/// What it raises.
pub(crate) fn send_none<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Sent<'py>> {
    let py = coroutine.py();
    let mut result = ptr::null_mut();
    let send = unwinding_send();
    let stay = Stay;
    // SAFETY: the thread is attached, and all pointers are of living objects.
    let sent = unsafe { send(coroutine.as_ptr(), ffi::Py_None(), &raw mut result) };
    mem::forget(stay);
    // SAFETY: it has given a new reference, or null with an exception set.
    let result = unsafe { Bound::from_owned_ptr_or_err(py, result) }?;
    Ok(match sent {
        PySendResult::PYGEN_NEXT => Sent::Yielded(result),
        PySendResult::PYGEN_RETURN | PySendResult::PYGEN_ERROR => Sent::Returned(result),
    })
}

/// The address of the function in C behind `callable`, if it is one that is bound or of a module.
pub(crate) fn native(callable: &Bound<'_, PyAny>) -> Option<usize> {
    // SAFETY: the thread is attached, and it is a living object.
    let exact = unsafe { ffi::PyCFunction_CheckExact(callable.as_ptr()) } != 0;
    // SAFETY: as above, and the function was just told apart.
    let function = exact.then(|| unsafe { ffi::PyCFunction_GetFunction(callable.as_ptr()) }).flatten();
    function.map(|function| function as usize)
}

/// What `variable`, one of `contextvars`, is in the context of the caller; `None` if it is nothing there.
///
/// # Errors
/// If it is no such variable.
pub(crate) fn value_of<'py>(variable: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = variable.py();
    let mut value = ptr::null_mut();
    // SAFETY: the thread is attached; the function checks that it is given a variable.
    if unsafe { ffi::PyContextVar_Get(variable.as_ptr(), ptr::null_mut(), &raw mut value) } < 0 {
        return Err(PyErr::fetch(py));
    }
    // SAFETY: it has given a new reference, or null.
    Ok(unsafe { Bound::from_owned_ptr_or_opt(py, value) })
}

/// Whether no more than `most` functions of Python run inside each other on this thread.
pub(crate) fn is_at_most_in(py: Python<'_>, most: usize) -> bool {
    // SAFETY: the thread is attached, and it gives a borrowed reference, or null.
    let mut frame = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
    for _ in 0..most {
        let Some(inner) = frame else { return true };
        // SAFETY: the thread is attached, `inner` is a living frame, and it gives a new reference, or null.
        frame =
            unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyFrame_GetBack(inner.as_ptr().cast()).cast()) };
    }
    frame.is_none()
}

/// Whether this thread is in the middle of handling an exception: what `sys.exc_info()` knows.
pub(crate) fn is_handling_exception(py: Python<'_>) -> bool {
    let (mut kind, mut value, mut traceback) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: the thread is attached, and the three places are there.
    unsafe { ffi::PyErr_GetExcInfo(&raw mut kind, &raw mut value, &raw mut traceback) };
    // SAFETY: it has put new references there, or null.
    let known = [kind, value, traceback].map(|part| unsafe { Bound::from_owned_ptr_or_opt(py, part) });
    known[1].as_ref().is_some_and(|value| !value.is_none())
}

/// Whether this thread is attached to the interpreter with which the process began.
pub(crate) fn is_main_interpreter(_: Python<'_>) -> bool {
    // SAFETY: the thread is attached, so that there is a current interpreter.
    unsafe { ffi::PyInterpreterState_GetID(ffi::PyInterpreterState_Get()) == 0 }
}

/// Ends an iterator whose slot returns `None` to the interpreter after this, with `value`, which is what an `await` gives. As
/// an error of PyO3 the exception would be made each time, where a value that is neither a tuple nor an exception needs none.
pub(crate) fn end_iterator(value: &Bound<'_, PyAny>) {
    // SAFETY: the thread is attached, and both are living objects.
    unsafe { ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr()) }
}

/// The arguments come after one free place, which spares a bound method from copying them.
fn call<'py, const N: usize>(
    callable: &Bound<'py, PyAny>,
    mut slots: [*mut PyObject; N],
) -> PyResult<Bound<'py, PyAny>> {
    let count = (N - 1) | PY_VECTORCALL_ARGUMENTS_OFFSET;
    let vectorcall = unwinding();
    let stay = Stay;
    // SAFETY: the thread is attached, and all pointers are borrowed from living references. The
    // array has a first place, which the callee may write to as the flag in `count` says.
    let result = unsafe {
        let arguments = slots.as_mut_ptr().add(1);
        vectorcall(callable.as_ptr(), arguments, count, ptr::null_mut())
    };
    mem::forget(stay);
    // SAFETY: the call returns a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(callable.py(), result) }
}

type Plain = unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject;
type Unwinding =
    unsafe extern "C-unwind" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject;

/// The vectorcall that `pyo3::ffi` declares as one that never unwinds, which is not quite so: see
/// [`Stay`]. The compiler must not see that it is the same, or it drops the guard.
fn unwinding() -> Unwinding {
    let plain: Plain = ffi::PyObject_VectorcallDict;
    // SAFETY: the two ABIs differ only in that the second may unwind.
    black_box(unsafe { mem::transmute::<Plain, Unwinding>(plain) })
}

type PlainSend = unsafe extern "C" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> PySendResult;
type UnwindingSend =
    unsafe extern "C-unwind" fn(*mut PyObject, *mut PyObject, *mut *mut PyObject) -> PySendResult;

/// As [`unwinding`], for a step of a coroutine.
fn unwinding_send() -> UnwindingSend {
    let plain: PlainSend = ffi::PyIter_Send;
    // SAFETY: the two ABIs differ only in that the second may unwind.
    black_box(unsafe { mem::transmute::<PlainSend, UnwindingSend>(plain) })
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
