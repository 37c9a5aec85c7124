//! The usual call of `ask`: two arguments in their places, an `int` and `bytes`. To take them apart as PyO3 does for any call costs a
//! third of the call; any other call goes the way that PyO3 made.
#![allow(unsafe_code, reason = "functions in C, which PyO3 does not offer; every block says why it is sound")]

use std::ffi::CStr;
use std::ptr;
use std::sync::OnceLock;

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::Asking;
use crate::number::{Id, small};
use crate::runtime::Runtime;

type Method = ffi::PyCFunctionFastWithKeywords;

/// `ask` as PyO3 made it.
static MADE: OnceLock<Method> = OnceLock::new();

/// Puts the function in the place of that of PyO3. To be called once, before there are runtimes.
///
/// # Errors
/// If the class takes none.
pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    let name = c"ask";
    let class = py.get_type::<Runtime>();
    // SAFETY: the thread is attached. PyO3 gives its classes a list of methods that ends with one without a name, and keeps it
    // for good; which of its function pointers is meant the flags of a method say. The new one is kept for good too.
    unsafe {
        let mut known = (*class.as_type_ptr()).tp_methods;
        while !known.is_null() && !(*known).ml_name.is_null() {
            let method = &*known;
            if CStr::from_ptr(method.ml_name) == name
                && method.ml_flags == ffi::METH_FASTCALL | ffi::METH_KEYWORDS
            {
                MADE.get_or_init(|| method.ml_meth.PyCFunctionFastWithKeywords);
                let new = Box::leak(Box::new(ffi::PyMethodDef {
                    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: ask },
                    ..*method
                }));
                let descriptor = ffi::PyDescr_NewMethod(class.as_type_ptr(), new);
                let descriptor = Bound::from_owned_ptr_or_err(py, descriptor)?;
                return class.setattr("ask", descriptor);
            }
            known = known.add(1);
        }
    }
    Err(PyAttributeError::new_err("Runtime has no ask"))
}

/// The arguments of a call, if they are the usual two.
///
/// # Safety
/// The thread is attached, `this` is a runtime, and there are as many arguments as `count` says, behind them one for each
/// keyword. All of them live for as long as `'a`.
unsafe fn usual<'a>(
    this: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> Option<(Borrowed<'a, 'a, Runtime>, Id, Borrowed<'a, 'a, PyBytes>)> {
    if count != 2 || !keywords.is_null() {
        return None;
    }
    // SAFETY: as the caller says; what is no `bytes` was told apart before.
    unsafe {
        let py = Python::assume_attached();
        let data = *arguments.add(1);
        if ffi::PyBytes_CheckExact(data) == 0 {
            return None;
        }
        let id = small(Borrowed::from_ptr(py, *arguments))?;
        let runtime = Borrowed::from_ptr(py, this).cast_unchecked();
        Some((runtime, Id(id), Borrowed::from_ptr(py, data).cast_unchecked()))
    }
}

unsafe extern "C" fn ask(
    this: *mut PyObject,
    arguments: *const *mut PyObject,
    count: Py_ssize_t,
    keywords: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: what the interpreter calls a method of the class with.
    let Some((runtime, id, data)) = (unsafe { usual(this, arguments, count, keywords) }) else {
        // SAFETY: what this was called with. Nobody calls this before the method is known.
        return MADE.get().map_or(ptr::null_mut(), |made| unsafe { made(this, arguments, count, keywords) });
    };
    let asking = Asking::new(runtime.to_owned().unbind(), id, data.to_owned().into_any().unbind());
    match Bound::new(runtime.py(), asking) {
        Ok(asking) => asking.into_ptr(),
        Err(error) => {
            // PyO3 is told that the thread is attached, as objects are made and dropped.
            Python::attach(|py| error.restore(py));
            ptr::null_mut()
        }
    }
}
