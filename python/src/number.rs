//! Numbers as Python gives them: any int, which need not fit.
#![allow(unsafe_code, reason = "a function of the interpreter that PyO3 does not wrap")]

use std::ffi::c_int;
use std::fmt;

use myrmidon::Pid;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

/// What names an actor, a timer, a monitor or a buffer. A number that is too small or too large to do so is that
/// of nobody: 0.
#[derive(Clone, Copy)]
pub(crate) struct Id(pub(crate) u64);

impl Id {
    /// The actor, if it can be one.
    #[inline]
    pub(crate) fn pid(self) -> Option<Pid> {
        Pid::from_u64(self.0)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'py> FromPyObject<'_, 'py> for Id {
    type Error = PyErr;

    #[inline]
    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        match small(given) {
            Some(number) => Ok(Self(number)),
            None => given.extract::<u64>().map(Self).or_else(|error| nobody(given, error)),
        }
    }
}

/// A number below 2^63, in less time than PyO3 takes: there a number of more than thirty bits goes through an array of
/// bytes, and a PID is the argument of nearly every call.
#[inline]
pub(crate) fn small(given: Borrowed<'_, '_, PyAny>) -> Option<u64> {
    if !given.is_exact_instance_of::<PyInt>() {
        return None;
    }
    let mut overflow: c_int = 0;
    // SAFETY: the thread is attached, and the object is an int, of which no conversion runs code or fails.
    let read = unsafe { ffi::PyLong_AsLongLongAndOverflow(given.as_ptr(), &raw mut overflow) };
    if overflow == 0 { u64::try_from(read).ok() } else { None }
}

#[cold]
fn nobody(given: Borrowed<'_, '_, PyAny>, error: PyErr) -> PyResult<Id> {
    let py = given.py();
    if error.is_instance_of::<PyOverflowError>(py) {
        return Ok(Id(0));
    }
    if !error.is_instance_of::<PyTypeError>(py) {
        return Err(error);
    }
    let kind = given.get_type().name()?;
    let hint = if given.is_none() {
        ": whereis(), resolve() and their like give None where nobody has the name"
    } else if given.is_instance_of::<PyString>() {
        ": send_named() sends to a name, and whereis() gives the PID of its owner"
    } else if given.hasattr("pid")? {
        ": use its pid"
    } else {
        ""
    };
    Err(PyTypeError::new_err(format!("what is named by its number is an int, not {kind}{hint}")))
}

/// Reads how many of something, which is called `name`, from 0 to what `T` holds.
///
/// # Errors
/// `ValueError` for what `T` does not hold, `TypeError` for what is no int.
fn counted<'py, T>(name: &str, given: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let py = given.py();
    given.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(py) {
            PyValueError::new_err(format!("{name}={} is too small or too large a number", shown(given)))
        } else if error.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err(format!("{name} is an int, not {}", shown(given)))
        } else {
            error
        }
    })
}

/// Functions that read the argument of the same name, as [`counted`].
macro_rules! counts {
    ($($name:ident: $kind:ty),+ $(,)?) => {$(
        pub(crate) fn $name(given: &Bound<'_, PyAny>) -> PyResult<$kind> {
            counted(stringify!($name), given)
        }
    )+};
}

counts!(budget: u32, capacity: usize, concurrency: usize, limit: usize, size: usize, step_limit: usize);

/// As [`counts`], or `None`.
macro_rules! counts_or_none {
    ($($name:ident: $kind:ty),+ $(,)?) => {$(
        pub(crate) fn $name(given: &Bound<'_, PyAny>) -> PyResult<Option<$kind>> {
            if given.is_none() { Ok(None) } else { counted(stringify!($name), given).map(Some) }
        }
    )+};
}

/// Those that may be left out.
pub(crate) mod or_none {
    use pyo3::prelude::*;

    use super::counted;

    counts_or_none!(
        blocking_threads: usize,
        budget: u32,
        concurrency: usize,
        level: u8,
        max_connections: usize,
        max_peers: usize,
        message_lanes: u8,
        outbound_bytes: usize,
        outbound_messages: usize,
        python_threads: usize,
        workers: usize,
    );
}

/// A number, which may have thousands of digits.
fn shown(given: &Bound<'_, PyAny>) -> String {
    let text = given.to_string();
    if text.len() <= 40 { text } else { format!("{}…", text.chars().take(40).collect::<String>()) }
}
