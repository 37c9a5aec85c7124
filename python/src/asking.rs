//! What `Runtime.ask` returns: a coroutine by its protocol, without code of Python.
//!
//! One that is written in Python costs a frame, and a call for each step of it, at every ask: with a hundred asks under way
//! that was a third of the time. Tasks, `asyncio.run` and `gather` take anything that has the four methods.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyRuntimeWarning, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTraceback, PyType};
use pyo3::{PyTraverseError, PyVisit};

use crate::ask::Asked;
use crate::number::Id;
use crate::promise::Promise;
use crate::runtime::Runtime;

#[pymethods]
impl Runtime {
    /// Asks an actor and waits for its answer, without blocking the event loop.
    ///
    /// As `ask_sync`, which says what an answer is and what is raised. Works in any event loop of
    /// any thread. Cancelling the task gives the question up: if no handler has it yet, none
    /// gets it.
    #[pyo3(signature = (pid, data, timeout=5.0))]
    fn ask(this: Py<Self>, pid: Id, data: Py<PyAny>, timeout: Option<f64>) -> Asking {
        Asking(Mutex::new(Stage::New { runtime: this, pid, data, timeout }))
    }
}

/// An ask that is to be awaited, once. The question is put when somebody begins to.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Asking(Mutex<Stage>);

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
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let before = mem::replace(&mut *self.stage(), Stage::Running);
        let promise = match before {
            Stage::New { runtime, pid, data, timeout } => {
                match runtime.get().ask_for_loop(py, pid, data.bind(py), timeout) {
                    Ok(Asked::Promised(promise)) => promise.unbind(),
                    Ok(Asked::Answered(answer)) => return Err(self.returned(py, answer)),
                    Err(error) => return Err(self.raised(error)),
                }
            }
            Stage::Asked(promise) => promise,
            Stage::Running => return Err(PyRuntimeError::new_err("somebody else awaits this ask")),
            Stage::Over => {
                let error = PyRuntimeError::new_err("this ask was awaited before: ask again");
                return Err(self.raised(error));
            }
        };
        if let Some(awaited) = Promise::next(promise.bind(py)) {
            *self.stage() = Stage::Asked(promise);
            return Ok(awaited);
        }
        match promise.get().outcome(py) {
            Ok(answer) => Err(self.returned(py, answer)),
            Err(error) => Err(self.raised(error)),
        }
    }

    /// A task sends nothing but `None`.
    #[pyo3(signature = (_value, /))]
    fn send(&self, py: Python<'_>, _value: Py<PyAny>) -> PyResult<Py<PyAny>> {
        self.__next__(py)
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
        self.close();
        let error = match value {
            Some(value) if value.is_instance_of::<PyBaseException>() => PyErr::from_value(value),
            Some(value) => PyErr::from_type(kind.cast::<PyType>()?.clone(), value.unbind()),
            None if kind.is_instance_of::<PyBaseException>() || kind.is_instance_of::<PyType>() => {
                PyErr::from_value(kind.clone())
            }
            None => PyTypeError::new_err("what is thrown is an exception"),
        };
        if traceback.is_some() {
            error.set_traceback(py, traceback);
        }
        Err(error)
    }

    /// Gives the ask up.
    fn close(&self) {
        let before = mem::replace(&mut *self.stage(), Stage::Over);
        drop(before);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Held by another thread it is in use, and so alive.
        let Ok(stage) = self.0.try_lock() else { return Ok(()) };
        match &*stage {
            Stage::New { runtime, data, .. } => {
                visit.call(runtime)?;
                visit.call(data)
            }
            Stage::Asked(promise) => visit.call(promise),
            Stage::Running | Stage::Over => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.close();
    }
}

impl Asking {
    /// The answer, as an iterator returns it.
    fn returned(&self, py: Python<'_>, answer: Py<PyAny>) -> PyErr {
        *self.stage() = Stage::Over;
        // A tuple of one would be made into an exception at once, where `bytes` need none.
        match answer.bind(py).is_exact_instance_of::<PyBytes>() {
            true => PyStopIteration::new_err(answer),
            false => PyStopIteration::new_err((answer,)),
        }
    }

    fn raised(&self, error: PyErr) -> PyErr {
        *self.stage() = Stage::Over;
        error
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that nobody has awaited was never put, which is told as it is of coroutines.
impl Drop for Asking {
    fn drop(&mut self) {
        if matches!(*self.stage(), Stage::New { .. }) {
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
