//! Numbers as Python gives them: any int, which need not fit.

use std::fmt;

use myrmidon::Pid;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

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
        given.extract::<u64>().map(Self).or_else(|error| nobody(given, error))
    }
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
    let hint = if given.hasattr("pid")? { ": use its pid" } else { "" };
    Err(PyTypeError::new_err(format!("what is named by its number is an int, not {kind}{hint}")))
}

/// Reads how many of something, from 0 to what `T` holds.
///
/// # Errors
/// `ValueError` for what `T` does not hold.
pub(crate) fn count<'py, T>(given: &Bound<'py, PyAny>) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    given.extract().map_err(|error: PyErr| match error.is_instance_of::<PyOverflowError>(given.py()) {
        true => PyValueError::new_err(format!("{} is too small or too large a number here", shown(given))),
        false => error,
    })
}

/// As [`count`], or `None`.
///
/// # Errors
/// As `count`.
pub(crate) fn count_or_none<'py, T>(given: &Bound<'py, PyAny>) -> PyResult<Option<T>>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    if given.is_none() { Ok(None) } else { count(given).map(Some) }
}

/// A number, which may have thousands of digits.
fn shown(given: &Bound<'_, PyAny>) -> String {
    let text = given.to_string();
    if text.len() <= 40 { text } else { format!("{}…", text.chars().take(40).collect::<String>()) }
}
