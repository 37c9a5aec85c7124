//! Calls that wait, as event loops have them: each blocking one has a twin to be awaited, its name followed by `_py`.
//!
//! What such a call waits for happens on the I/O threads or on a thread beside the pool for blocking work, and the loop's
//! bell brings what comes of it, so no loop ever waits and no I/O thread ever touches the interpreter.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::True;
use pyo3::{PyClass, intern};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time;

use crate::errors;
use crate::known;
use crate::loop_bell::Bell;
use crate::outcome::{Make, Outcome};
use crate::promise::Promise;
use crate::runtime::Runtime;

/// A call under way.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Request {
    /// What does it, where that can be given up in the middle.
    task: Option<AbortHandle>,
    /// What is awaited: it says that the result is there.
    #[pyo3(get)]
    done: Py<Promise>,
    result: Kept,
}

/// What comes of a call, until who awaits it takes it. Not in the promise, which a task looks at in any case: what is
/// there when its task is cancelled shall be dropped and not made.
type Kept = Arc<Mutex<Option<Make>>>;

#[pymethods]
impl Request {
    /// The result, once, when it is done; or what is raised for it.
    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let make = locked(&self.result).take();
        make.ok_or_else(|| PyRuntimeError::new_err("there is no result, or it was taken"))?(py)
    }

    /// Gives the call up. Does nothing if it is done.
    fn cancel(&self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Request {
    /// Starts the task that `work` makes, which settles what it is given.
    pub(crate) fn start<W: Future<Output = ()> + Send + 'static>(
        py: Python<'_>,
        io: &Handle,
        work: impl FnOnce(Open) -> W,
    ) -> PyResult<Self> {
        let (request, open) = Self::promised(py)?;
        let task = io.spawn(work(open)).abort_handle();
        Ok(Self { task: Some(task), ..request })
    }

    /// Has `work`, which blocks and cannot be given up, done on a thread beside the pool.
    pub(crate) fn beside(
        py: Python<'_>,
        core: &myrmidon::Runtime,
        work: impl FnOnce(Open) + Send + 'static,
    ) -> PyResult<Self> {
        let (request, open) = Self::promised(py)?;
        core.spawn_beside(move || work(open)).map(drop).map_err(|error| errors::busy(&error))?;
        Ok(request)
    }

    /// Has `work` begun by the caller, which settles what it is given in its own time.
    pub(crate) fn elsewhere(py: Python<'_>, work: impl FnOnce(Open) -> PyResult<()>) -> PyResult<Self> {
        let (request, open) = Self::promised(py)?;
        work(open)?;
        Ok(request)
    }

    fn promised(py: Python<'_>) -> PyResult<(Self, Open)> {
        let done = Promise::new(py, Bell::of_running(py)?)?.unbind();
        let result = Kept::default();
        let open = Open(Some((done.clone_ref(py), result.clone())));
        Ok((Self { task: None, done, result }, open))
    }
}

/// A promise that is kept in any case: a task that is dropped has been given up, or its runtime has.
pub(crate) struct Open(Option<(Py<Promise>, Kept)>);

impl Open {
    /// Has `answer` called where the call is awaited. If nobody awaits it any more, it is dropped.
    pub(crate) fn settle(mut self, answer: impl FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static) {
        self.keep(Box::new(answer));
    }

    fn keep(&mut self, make: Make) {
        let Some((promise, result)) = self.0.take() else { return };
        *locked(&result) = Some(make);
        if !Promise::give(promise, Outcome::Sign) {
            let unwanted = locked(&result).take();
            drop(unwanted);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.keep(Box::new(|_| Err(errors::closed_meanwhile())));
    }
}

fn locked(result: &Kept) -> MutexGuard<'_, Option<Make>> {
    result.lock().unwrap_or_else(PoisonError::into_inner)
}

type BeginCall = Box<dyn FnOnce(Python<'_>) -> PyResult<Request> + Send>;

/// A call that begins when its coroutine first runs.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Begin(Mutex<Option<BeginCall>>);

#[pymethods]
impl Begin {
    fn __call__(&self, py: Python<'_>) -> PyResult<Request> {
        let begin = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        begin.ok_or_else(|| PyRuntimeError::new_err("this call was begun before"))?(py)
    }
}

/// The coroutine of the method `name` of `this`: it does what `begin` begins. If its task is cancelled, that is given up.
pub(crate) fn coroutine<'py, T: PyClass<Frozen = True> + Sync>(
    this: &Bound<'py, T>,
    name: &'static str,
    begin: impl FnOnce(&T, Python<'_>) -> PyResult<Request> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    let (py, own) = (this.py(), this.clone().unbind());
    let begin: BeginCall = Box::new(move |py| begin(own.get(), py));
    let coroutine = known::AWAITED.get(py)?.call1((Begin(Mutex::new(Some(begin))),))?;
    coroutine.setattr(intern!(py, "__name__"), name)?;
    coroutine.setattr(intern!(py, "__qualname__"), format!("{}.{name}", this.as_any().get_type().name()?))?;
    Ok(coroutine)
}

/// Waits for `work`, at most for `limit` if there is one; `None` if it has not come in time.
pub(crate) async fn within<W: Future>(limit: Option<Duration>, work: W) -> Option<W::Output> {
    match limit {
        Some(limit) => time::timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

impl Runtime {
    /// The runtime below, for a call that a loop waits for.
    ///
    /// # Errors
    /// As [`core`](Self::core), and in a simulation, where nobody would move the clock meanwhile.
    pub(crate) fn core_for_loop(&self) -> PyResult<&myrmidon::Runtime> {
        if self.shared().simulated {
            return Err(PyTypeError::new_err(
                "this waits in an event loop, whose time no simulation decides: use the call without _py, which runs the \
                 actors meanwhile",
            ));
        }
        self.core()
    }
}
