//! What a loop keeps of its bell, and calls.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::{Bell, Inner};

/// What the loop calls when the bell was rung. Only the loop keeps it, until it is closed. There is one for each bell.
#[pyclass(frozen, module = "myrmidon._core")]
pub(super) struct Ringer(Bell);

impl Bell {
    /// Shows the collector what is left for the loop. That leads back to it, by the tasks that wait and the code of actors.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if !self.is_here() {
            return Ok(());
        }
        // The collector looks more than once, and takes for garbage what it sees at first and then no more. So it waits for
        // the locks, which nobody holds for long, nor while he makes objects or waits for the interpreter.
        self.waiting().traverse(visit)?;
        self.deadlines().traverse(visit)
    }
}

impl Ringer {
    pub(super) fn new(bell: Bell) -> Self {
        Self(bell)
    }
}

#[pymethods]
impl Ringer {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.0.answer(py)
    }

    /// Only this says so, as each reference counts once; before there is one, `Listen`.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }

    fn __clear__(&self) {
        self.0.close();
    }
}

/// Who closes a loop by hand need not have ended its async generators before, and a loop that nobody refers to is
/// closed when it is collected.
impl Drop for Ringer {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What a loop of another thread is asked to call first. One that never ran and is closed drops it uncalled.
#[pyclass(frozen, module = "myrmidon._core")]
pub(super) struct Listen {
    bell: Bell,
    called: AtomicBool,
}

impl Listen {
    pub(super) fn new(bell: Bell) -> Self {
        Self { bell, called: AtomicBool::new(false) }
    }
}

#[pymethods]
impl Listen {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        self.called.store(true, Ordering::Relaxed);
        self.bell.listen(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if self.called.load(Ordering::Relaxed) { Ok(()) } else { self.bell.traverse(&visit) }
    }

    fn __clear__(&self) {
        if !self.called.load(Ordering::Relaxed) {
            self.bell.close();
        }
    }
}

impl Drop for Listen {
    fn drop(&mut self) {
        if !self.called.load(Ordering::Relaxed) {
            self.bell.close();
        }
    }
}

/// What is called when the loop ends. It does not keep the bell, which keeps it.
#[pyclass(frozen, module = "myrmidon._core")]
pub(super) struct End(Weak<Inner>);

impl End {
    pub(super) fn new(bell: Weak<Inner>) -> Self {
        Self(bell)
    }
}

#[pymethods]
impl End {
    fn __call__(&self) {
        if let Some(inner) = self.0.upgrade() {
            Bell(inner).end();
        }
    }
}
