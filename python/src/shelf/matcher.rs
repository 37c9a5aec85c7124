//! What a selective receive picks out.

use std::sync::Mutex;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use super::item::{Item, Kind};
use crate::call::with_argument;

/// The conditions of one selective receive, all of which a message must meet.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Matcher {
    prefix: Option<PyBackedBytes>,
    kind: Option<Kind>,
    predicate: Option<Py<PyAny>>,
    /// Messages set aside that are known not to match, and how many had been taken of those set aside when
    /// that was so.
    pub(super) checked: Mutex<(usize, u64)>,
}

#[pymethods]
impl Matcher {
    /// `kind` is one of "message", "ask" and "system", and `predicate` can be called.
    #[new]
    #[pyo3(signature = (predicate=None, prefix=None, kind=None))]
    pub(crate) fn new(
        py: Python<'_>,
        predicate: Option<Py<PyAny>>,
        prefix: Option<PyBackedBytes>,
        kind: Option<&str>,
    ) -> PyResult<Self> {
        if let Some(predicate) = &predicate
            && !predicate.bind(py).is_callable()
        {
            let kind = predicate.bind(py).get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "predicate is called with a message, and {kind} cannot be"
            )));
        }
        let kind = match kind {
            None => None,
            Some("message") => Some(Kind::Message),
            Some("ask") => Some(Kind::Ask),
            Some("system") => Some(Kind::System),
            Some(other) => {
                let text = format!("kind is \"message\", \"ask\" or \"system\", not {other:?}");
                return Err(PyValueError::new_err(text));
            }
        };
        Ok(Self { prefix, kind, predicate, checked: Mutex::default() })
    }
}

impl Matcher {
    /// Whether it picks out this message. The predicate is asked last.
    pub(super) fn picks(&self, py: Python<'_>, item: &mut Item) -> PyResult<bool> {
        if self.kind.is_some_and(|kind| kind != item.kind) {
            return Ok(false);
        }
        if let Some(prefix) = &self.prefix {
            let object = item.object(py)?;
            let starts = object.cast::<PyBytes>().is_ok_and(|bytes| bytes.as_bytes().starts_with(prefix));
            if !starts {
                return Ok(false);
            }
        }
        match &self.predicate {
            Some(predicate) => with_argument(predicate.bind(py), &item.object(py)?)?.is_truthy(),
            None => Ok(true),
        }
    }
}
