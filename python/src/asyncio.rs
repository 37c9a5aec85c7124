//! The bridge to event loops: a request runs on the I/O threads and its answer is handed to the loop
//! from a thread of ours, so no loop ever waits and no I/O thread ever touches the interpreter.

use std::sync::Arc;

use pyo3::prelude::*;
use tokio::task::AbortHandle;

use crate::lane::Crew;
use crate::mesh;
use crate::runtime::Runtime;

/// A request under way.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Request(AbortHandle);

#[pymethods]
impl Request {
    /// Gives the request up. Does nothing if it has been answered.
    fn cancel(&self) {
        self.0.abort();
    }
}

#[pymethods]
impl Runtime {
    /// Starts a resolve; `settle(value, error)` is called once from a thread of the runtime.
    fn _resolve_later(&self, addr: &str, name: String, settle: Py<PyAny>) -> PyResult<Request> {
        let core = self.core()?;
        let addr = mesh::address(addr)?;
        let node = core.node().clone();
        let chores = self.shared().chores.clone();
        let task = core.io().spawn(async move {
            let answer = node.resolve(&addr, &name).await;
            answer_later(&chores, settle, move || match answer {
                Ok(pid) => Ok(pid.map(myrmidon::Pid::as_u64)),
                Err(error) => Err(mesh::unresolved(&error)),
            });
        });
        Ok(Request(task.abort_handle()))
    }
}

/// Has `settle` called with what `answer` gives.
fn answer_later(
    chores: &Arc<Crew>,
    settle: Py<PyAny>,
    answer: impl FnOnce() -> PyResult<Option<u64>> + Send + 'static,
) {
    chores.lane().submit(Box::new(move || {
        Python::attach(|py| {
            let called = match answer() {
                Ok(value) => settle.call1(py, (value, py.None())),
                Err(error) => settle.call1(py, (py.None(), error.into_value(py))),
            };
            // A loop that was closed in the meantime has nobody who waits for the answer.
            drop(called);
        });
    }));
}
