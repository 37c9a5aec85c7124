//! Requests to other nodes on behalf of event loops. They run on the I/O threads, and the loop's bell
//! brings the answer, so no loop ever waits and no I/O thread ever touches the interpreter.

use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::errors::RuntimeClosed;
use crate::loop_bell::Bell;
use crate::mesh;
use crate::outcome::Outcome;
use crate::promise::Promise;
use crate::runtime::Runtime;

/// A request under way.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Request {
    task: AbortHandle,
    /// What is awaited.
    #[pyo3(get)]
    answer: Py<Promise>,
}

#[pymethods]
impl Request {
    /// Gives the request up. Does nothing if it has been answered.
    fn cancel(&self) {
        self.task.abort();
    }
}

#[pymethods]
impl Runtime {
    /// Starts a resolve on behalf of the running loop.
    fn _resolve(&self, py: Python<'_>, addr: &str, name: String) -> PyResult<Request> {
        let core = self.core()?;
        let addr = mesh::address(addr)?;
        let node = core.node().clone();
        Request::start(py, Bell::of_running(py)?, core.io(), move |open| async move {
            let found = node.resolve(&addr, &name).await;
            open.settle(move |py| match found {
                Ok(pid) => Ok(pid.map(myrmidon::Pid::as_u64).into_pyobject(py)?.unbind()),
                Err(error) => Err(mesh::unresolved(&error)),
            });
        })
    }
}

impl Request {
    /// Starts the task that `work` makes, which settles what it is given.
    pub(crate) fn start<W: Future<Output = ()> + Send + 'static>(
        py: Python<'_>,
        bell: Bell,
        io: &Handle,
        work: impl FnOnce(Open) -> W,
    ) -> PyResult<Self> {
        let answer = Promise::new(py, bell)?.unbind();
        let task = io.spawn(work(Open(Some(answer.clone_ref(py)))));
        Ok(Self { task: task.abort_handle(), answer })
    }
}

/// A promise that is kept in any case: a task that is dropped has been given up, or its runtime has.
pub(crate) struct Open(Option<Py<Promise>>);

impl Open {
    pub(crate) fn settle(mut self, answer: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) {
        if let Some(promise) = self.0.take() {
            Promise::give(promise, Outcome::Later(Box::new(answer)));
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(promise) = self.0.take() {
            let text = "the Runtime was shut down during the call: make a new one";
            Promise::give(promise, Outcome::Later(Box::new(move |_| Err(RuntimeClosed::new_err(text)))));
        }
    }
}
