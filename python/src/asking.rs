//! What `Runtime.ask` returns: a coroutine by its protocol, without code of Python.
//!
//! One that is written in Python costs a frame, and a call for each step of it, at every ask. Tasks, `asyncio.run`
//! and `gather` take anything that has the four methods.

mod calling;
mod sending;

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTraceback, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::ask::Asked;
use crate::call::end_iterator;
use crate::number::Id;
use crate::promise::Promise;
use crate::runtime::Runtime;
use sending::Delivery;

#[pymethods]
impl Runtime {
    /// Asks an actor and waits for its answer, without blocking the event loop.
    ///
    /// As `ask_sync`, which says what an answer is and what is raised. Works in any event loop of
    /// any thread. Cancelling the task gives the question up: if no handler of this process has it yet, none
    /// gets it. An actor of another node handles it all the same, unless its time is up by then.
    #[pyo3(signature = (pid, data, timeout=5.0))]
    fn ask(this: Py<Self>, pid: Id, data: Py<PyAny>, timeout: Option<f64>) -> Asking {
        Asking::within(this, pid, data, timeout)
    }
}

/// Has asks be called and stepped in the short ways. To be called once, before there are any.
///
/// # Errors
/// If the class of runtimes takes none.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    sending::install(py);
    calling::install(py)
}

/// How long an ask waits for its answer unless told otherwise, in seconds.
const USUAL_TIMEOUT: f64 = 5.0;

/// An ask that is to be awaited, once. The question is put when somebody begins to.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Asking {
    stage: Mutex<Stage>,
    delivery: Delivery,
}

enum Stage {
    New {
        runtime: Py<Runtime>,
        pid: Id,
        data: Py<PyAny>,
        timeout: Option<f64>,
    },
    Asked(Py<Promise>),
    /// On this or another thread.
    Running,
    Over,
}

#[pymethods]
impl Asking {
    fn __await__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    /// What a task is to wait for; the answer is the value of `StopIteration`.
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let answer = match self.step(py)? {
            Step::Awaits(awaited) => return Ok(Some(awaited)),
            Step::Answered(answer) if self.delivery.is_direct() => return Ok(Some(answer)),
            Step::Answered(answer) => answer.into_bound(py),
        };
        if answer.is_exact_instance_of::<PyBytes>() {
            end_iterator(&answer);
            return Ok(None);
        }
        Err(returned(answer))
    }

    /// A task sends nothing but `None`.
    #[pyo3(signature = (_value, /))]
    fn send(&self, py: Python<'_>, _value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        match self.step(py)? {
            Step::Awaits(awaited) => Ok(awaited),
            Step::Answered(answer) => Err(returned(answer.into_bound(py))),
        }
    }

    /// Ends the wait with this error.
    #[pyo3(signature = (kind, value=None, traceback=None, /))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyTraceback>>,
    ) -> PyResult<Py<PyAny>> {
        let py = kind.py();
        self.close(py);
        Err(thrown(kind, value, traceback)?)
    }

    /// Gives the ask up.
    fn close(&self, py: Python<'_>) {
        let before = mem::replace(&mut *self.stage(), Stage::Over);
        if let Stage::Asked(promise) = before {
            Promise::cancel(promise.bind(py), None);
        }
    }

    /// What a task calls its coroutine.
    #[getter(__name__)]
    fn name(&self) -> &'static str {
        "ask"
    }

    #[getter(__qualname__)]
    fn qualified_name(&self) -> &'static str {
        "Runtime.ask"
    }

    fn __repr__(&self) -> String {
        let state = match &*self.stage() {
            Stage::New { pid, .. } => return format!("<myrmidon.Asking of actor {pid}, not awaited yet>"),
            Stage::Asked(_) => "under way",
            Stage::Running => "running",
            Stage::Over => "over",
        };
        format!("<myrmidon.Asking {state}>")
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Held by another thread it is in use, and so alive.
        let Ok(stage) = self.stage.try_lock() else { return Ok(()) };
        match &*stage {
            Stage::New { runtime, data, .. } => {
                visit.call(runtime)?;
                visit.call(data)
            }
            Stage::Asked(promise) => visit.call(promise),
            Stage::Running | Stage::Over => Ok(()),
        }
    }

    /// Not for the collector to give up: it may have come by on any thread.
    fn __clear__(&self) {
        let before = mem::replace(&mut *self.stage(), Stage::Over);
        drop(before);
    }
}

enum Step {
    Awaits(Py<PyAny>),
    Answered(Py<PyAny>),
}

impl Asking {
    /// One with the usual timeout.
    pub(crate) fn new(runtime: Py<Runtime>, pid: Id, data: Py<PyAny>) -> Self {
        Self::within(runtime, pid, data, Some(USUAL_TIMEOUT))
    }

    fn within(runtime: Py<Runtime>, pid: Id, data: Py<PyAny>, timeout: Option<f64>) -> Self {
        let stage = Stage::New { runtime, pid, data, timeout };
        Self { stage: Mutex::new(stage), delivery: Delivery::new() }
    }

    fn step(&self, py: Python<'_>) -> PyResult<Step> {
        let before = mem::replace(&mut *self.stage(), Stage::Running);
        let step = match before {
            Stage::New { runtime, pid, data, timeout } => {
                match runtime.get().ask_for_loop(py, pid, data.bind(py), timeout) {
                    Ok(Asked::Promised(promise)) => self.look(&promise),
                    Ok(Asked::Answered(answer)) => Ok(Step::Answered(answer)),
                    Err(error) => Err(error),
                }
            }
            Stage::Asked(promise) => self.look(promise.bind(py)),
            Stage::Running => return Err(PyRuntimeError::new_err("somebody else awaits this ask")),
            Stage::Over => Err(PyRuntimeError::new_err("this ask was awaited before: ask again")),
        };
        if !matches!(step, Ok(Step::Awaits(_))) {
            *self.stage() = Stage::Over;
        }
        step
    }

    /// Looks whether what was asked for is there.
    fn look(&self, promise: &Bound<'_, Promise>) -> PyResult<Step> {
        match Promise::next(promise) {
            Some(awaited) => {
                *self.stage() = Stage::Asked(promise.clone().unbind());
                Ok(Step::Awaits(awaited))
            }
            None => promise.get().take(promise.py()).map(Step::Answered),
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error that is thrown into a coroutine with these arguments.
///
/// # Errors
/// If they are no exception.
pub(crate) fn thrown(
    kind: &Bound<'_, PyAny>,
    value: Option<Bound<'_, PyAny>>,
    traceback: Option<Bound<'_, PyTraceback>>,
) -> PyResult<PyErr> {
    let error = match value {
        Some(value) if value.is_instance_of::<PyBaseException>() => PyErr::from_value(value),
        Some(value) => PyErr::from_type(kind.cast::<PyType>()?.clone(), value.unbind()),
        None if kind.is_instance_of::<PyBaseException>() || kind.is_instance_of::<PyType>() => {
            PyErr::from_value(kind.clone())
        }
        None => return Err(PyTypeError::new_err("what is thrown is an exception")),
    };
    if traceback.is_some() {
        error.set_traceback(kind.py(), traceback);
    }
    Ok(error)
}

/// An answer, as a coroutine returns it.
fn returned(answer: Bound<'_, PyAny>) -> PyErr {
    PyStopIteration::new_err((answer.unbind(),))
}

/// A question that nobody has awaited was never put, which is told as it is of coroutines.
impl Drop for Asking {
    fn drop(&mut self) {
        if matches!(self.stage.get_mut(), Ok(Stage::New { .. })) {
            Python::try_attach(warn);
        }
    }
}

#[cold]
fn warn(py: Python<'_>) {
    let before = PyErr::take(py);
    let text = c"an ask was never awaited, and nobody was asked";
    if let Err(error) = PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), text, 1) {
        error.write_unraisable(py, None);
    }
    if let Some(before) = before {
        before.restore(py);
    }
}
