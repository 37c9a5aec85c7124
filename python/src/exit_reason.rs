//! Why an actor ended, as Python sees it and as an exception becomes it.

use myrmidon::actor::ExitReason as Reason;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::known;
use pyo3::types::{PyString, PyTuple};

/// Why an actor ended.
///
/// `kind` is one of "normal", "shutdown", "kill", "killed", "noproc", "noconnection", "panic",
/// "exception" and "other"; `message` says more where there is more to say; `traceback` is the
/// formatted traceback of an exception.
#[pyclass(frozen, eq, hash, module = "myrmidon")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct ExitReason {
    #[pyo3(get)]
    kind: &'static str,
    #[pyo3(get)]
    message: Option<String>,
    #[pyo3(get)]
    traceback: Option<String>,
}

#[pymethods]
impl ExitReason {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let kind = PyString::new(py, self.kind).repr()?;
        match &self.message {
            Some(message) => Ok(format!("ExitReason({kind}, {})", PyString::new(py, message).repr()?)),
            None => Ok(format!("ExitReason({kind})")),
        }
    }

    /// By pickle and copy, as errors that hold one travel between processes.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let Self { kind, message, traceback } = slf.get();
        let make = py.import("myrmidon._core")?.getattr("_exit_reason")?;
        (make, (*kind, message.as_deref(), traceback.as_deref())).into_pyobject(py)
    }

    fn __str__(&self) -> String {
        match &self.message {
            Some(message) => format!("{}: {message}", self.kind),
            None => self.kind.to_owned(),
        }
    }
}

/// An `ExitReason` as it was elsewhere.
#[pyfunction]
pub(crate) fn _exit_reason(
    kind: &str,
    message: Option<String>,
    traceback: Option<String>,
) -> PyResult<ExitReason> {
    let known = KINDS.into_iter().find(|known| *known == kind);
    let kind = known.ok_or_else(|| PyValueError::new_err(format!("no actor ends for {kind:?}")))?;
    Ok(ExitReason { kind, message, traceback })
}

/// The names of all reasons.
const KINDS: [&str; 9] =
    ["normal", "shutdown", "kill", "killed", "noproc", "noconnection", "panic", "exception", "other"];

impl From<&Reason> for ExitReason {
    fn from(reason: &Reason) -> Self {
        Self { kind: reason.name(), message: message(reason), traceback: traceback(reason) }
    }
}

/// What there is to say beyond the name of the reason.
pub(crate) fn message(reason: &Reason) -> Option<String> {
    match reason {
        Reason::NoConnection(text) | Reason::Panic(text) | Reason::Other(text) => Some(text.clone()),
        Reason::Exception { kind, message, .. } => Some(format!("{kind}: {message}")),
        _ => None,
    }
}

/// The formatted traceback, of an exception.
pub(crate) fn traceback(reason: &Reason) -> Option<String> {
    match reason {
        Reason::Exception { traceback, .. } => Some(traceback.clone()),
        _ => None,
    }
}

/// The reason of an actor whose handler raised `error` (S39).
pub(crate) fn from_exception(py: Python<'_>, error: &PyErr) -> Reason {
    Reason::Exception { kind: kind(py, error), message: text(py, error), traceback: format(py, error) }
}

fn kind(py: Python<'_>, error: &PyErr) -> String {
    let class = error.get_type(py);
    class.fully_qualified_name().map_or_else(|_| "exception".to_owned(), |name| name.to_string())
}

fn text(py: Python<'_>, error: &PyErr) -> String {
    let text = error.value(py).str();
    text.map_or_else(|_| "its text cannot be shown: str() of it raises".to_owned(), |text| text.to_string())
}

fn format(py: Python<'_>, error: &PyErr) -> String {
    let lines = known::FORMAT_EXCEPTION
        .get(py)
        .and_then(|format| format.call1((error.get_type(py), error.value(py), error.traceback(py))));
    let joined = lines.and_then(|lines| PyString::new(py, "").call_method1("join", (lines,)));
    joined.map_or_else(|_| text(py, error), |joined| joined.to_string())
}
