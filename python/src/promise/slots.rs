//! What a task of asyncio asks each promise for which it waits, answered without a way through PyO3.
//!
//! For a class of futures that is not its own, a task reads and writes `_asyncio_future_blocking`, and calls
//! `get_loop` and `add_done_callback`. Looked up as attributes and called with arguments that PyO3 takes apart, these
//! four cost more than all else that an ask does with its promise. Whatever else is asked for, and whoever else asks, comes to the
//! class as PyO3 made it.
#![allow(
    unsafe_code,
    reason = "slots of a class and a function in C, which PyO3 does not offer; every block says why it is sound"
)]

use std::ffi::c_int;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::Promise;
use super::waiter::Waiter;

/// The names, as the interpreter keeps them: whoever asks by such a name asks with this very object, as a rule.
struct Names {
    blocking: Py<PyString>,
    get_loop: Py<PyString>,
    add_done_callback: Py<PyString>,
    context: Py<PyString>,
    /// The function behind `add_done_callback`. It is kept for good, as the objects made of it expect.
    add: Definition,
}

struct Definition(&'static mut ffi::PyMethodDef);

// SAFETY: it is written before it is shared, and only read after.
unsafe impl Sync for Definition {}
// SAFETY: as above; its name and its function are of the whole process.
unsafe impl Send for Definition {}

static NAMES: OnceLock<Names> = OnceLock::new();

/// Has the class answer so. To be called once, before there are promises.
pub(crate) fn install(py: Python<'_>) {
    let name = |name| PyString::intern(py, name).unbind();
    NAMES.get_or_init(|| Names {
        blocking: name("_asyncio_future_blocking"),
        get_loop: name("get_loop"),
        add_done_callback: name("add_done_callback"),
        context: name("context"),
        add: Definition(Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: c"add_done_callback".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: add_done_callback },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc: ptr::null(),
        }))),
    });
    let class = py.get_type::<Promise>().as_type_ptr();
    // SAFETY: the thread is attached, nobody has an object of the class yet, and it has no subclasses. The slots take what the
    // interpreter gives to such slots.
    unsafe {
        (*class).tp_getattro = Some(getattr);
        (*class).tp_setattro = Some(setattr);
        ffi::PyType_Modified(class);
    }
}

/// The promise behind a pointer to one.
///
/// # Safety
/// The thread is attached, and it points to a living promise for as long as `'a`.
unsafe fn promise<'a>(this: *mut PyObject) -> &'a Promise {
    // SAFETY: as the caller says.
    unsafe { Borrowed::from_ptr(Python::assume_attached(), this).cast_unchecked::<Promise>() }.get()
}

unsafe extern "C" fn getattr(this: *mut PyObject, name: *mut PyObject) -> *mut PyObject {
    if let Some(names) = NAMES.get() {
        // SAFETY: the interpreter calls this on an attached thread, with an object of the class.
        let promise = unsafe { promise(this) };
        if ptr::eq(name, names.blocking.as_ptr()) {
            // SAFETY: the thread is attached.
            return unsafe { ffi::PyBool_FromLong(promise.blocking.load(Ordering::Relaxed).into()) };
        }
        if ptr::eq(name, names.get_loop.as_ptr()) {
            // SAFETY: the thread is attached, and the object lives as long as the bell, which the promise keeps.
            return unsafe { ffi::Py_NewRef(promise.bell.get_loop().as_ptr()) };
        }
        if ptr::eq(name, names.add_done_callback.as_ptr()) {
            // SAFETY: the thread is attached, and the definition is never changed nor freed.
            return unsafe {
                ffi::PyCFunction_NewEx(ptr::from_ref(names.add.0).cast_mut(), this, ptr::null_mut())
            };
        }
    }
    // SAFETY: what this was called with.
    unsafe { ffi::PyObject_GenericGetAttr(this, name) }
}

unsafe extern "C" fn setattr(this: *mut PyObject, name: *mut PyObject, value: *mut PyObject) -> c_int {
    // SAFETY: the interpreter calls this on an attached thread.
    let known = unsafe { (ffi::Py_True(), ffi::Py_False()) };
    if NAMES.get().is_some_and(|names| ptr::eq(name, names.blocking.as_ptr()))
        && (ptr::eq(value, known.0) || ptr::eq(value, known.1))
    {
        // SAFETY: as above, with an object of the class.
        unsafe { promise(this) }.blocking.store(ptr::eq(value, known.0), Ordering::Relaxed);
        return 0;
    }
    // SAFETY: what this was called with.
    unsafe { ffi::PyObject_GenericSetAttr(this, name, value) }
}

/// `add_done_callback(callback, context=context)` where the loop waits for the promise; any other call is that of the class.
unsafe extern "C" fn add_done_callback(
    this: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    let Some(names) = NAMES.get() else { return ptr::null_mut() };
    // SAFETY: the interpreter calls this on an attached thread, with an object of the class, with as many arguments as it
    // says and behind them one for each keyword.
    unsafe {
        if count == 1
            && !keywords.is_null()
            && ffi::PyTuple_GET_SIZE(keywords) == 1
            && ptr::eq(ffi::PyTuple_GET_ITEM(keywords, 0), names.context.as_ptr())
            && !ptr::eq(*arguments.add(1), ffi::Py_None())
        {
            let py = Python::assume_attached();
            let given = |index| Bound::from_borrowed_ptr(py, *arguments.add(index)).unbind();
            if let Some(mut state) = promise(this).awaited() {
                state.waiters.push(Waiter { callback: given(0), context: Some(given(1)) });
                return ffi::Py_NewRef(ffi::Py_None());
            }
        }
        let method = ffi::PyObject_GenericGetAttr(this, names.add_done_callback.as_ptr());
        if method.is_null() {
            return method;
        }
        let done = ffi::PyObject_Vectorcall(method, arguments, count.cast_unsigned(), keywords);
        ffi::Py_DECREF(method);
        done
    }
}
