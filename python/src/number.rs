//! Reading PIDs, the argument of nearly every call.
#![allow(unsafe_code, reason = "a function of the interpreter that PyO3 does not wrap")]

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyInt;

/// As the conversion of PyO3, of which it is a faster form: numbers of more than thirty bits go through an array of bytes
/// there.
///
/// # Errors
/// `TypeError` and `OverflowError`, as there.
#[inline]
pub(crate) fn pid(number: &Bound<'_, PyAny>) -> PyResult<u64> {
    if number.is_exact_instance_of::<PyInt>() {
        let mut overflow: c_int = 0;
        // SAFETY: the thread is attached, and the object is an int, of which no conversion runs code or fails.
        let read = unsafe { ffi::PyLong_AsLongLongAndOverflow(number.as_ptr(), &raw mut overflow) };
        if let (0, Ok(pid)) = (overflow, u64::try_from(read)) {
            return Ok(pid);
        }
    }
    number.extract()
}
