//! The loop of a bell, which does not keep it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

/// What every promise of one loop gives out as its `get_loop`.
#[pyclass(frozen, module = "myrmidon._core")]
struct GetLoop(Py<PyWeakrefReference>);

#[pymethods]
impl GetLoop {
    fn get_loop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        living(self.0.bind(py))
    }
}

/// Refers to a loop.
pub(super) struct LoopRef {
    event_loop: Py<PyWeakrefReference>,
    get_loop: Py<PyAny>,
}

impl LoopRef {
    pub(super) fn new(event_loop: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = event_loop.py();
        let event_loop = PyWeakrefReference::new(event_loop)?.unbind();
        let owner = Bound::new(py, GetLoop(event_loop.clone_ref(py)))?;
        let get_loop = owner.getattr(intern!(py, "get_loop"))?.unbind();
        Ok(Self { event_loop, get_loop })
    }

    /// The loop; `None` if it was collected.
    pub(super) fn upgrade<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.event_loop.bind(py).upgrade()
    }

    /// The loop.
    ///
    /// # Errors
    /// `RuntimeError` if it was collected.
    pub(super) fn get<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        living(self.event_loop.bind(py))
    }

    /// A function without arguments that returns the loop.
    pub(super) fn get_loop(&self) -> &Py<PyAny> {
        &self.get_loop
    }
}

fn living<'py>(event_loop: &Bound<'py, PyWeakrefReference>) -> PyResult<Bound<'py, PyAny>> {
    event_loop.upgrade().ok_or_else(|| PyRuntimeError::new_err("the event loop is gone: nobody kept it"))
}
