//! Supervisors as Python writes and sees them.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use myrmidon::Pid;
use myrmidon::runtime::SupervisorRef;
use myrmidon::supervision::{
    AutoShutdown, ChildError as CoreChildError, ChildInfo as Info, ChildSpec, Restart, Scope, Shutdown,
    SupervisorSpec,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::ask::holds_own_loop;
use crate::asyncio::{Request, coroutine};
use crate::call::with_argument;
use crate::child_info::ChildInfo;
use crate::errors::{self, ChildError, NoProcess, SpecError, Timeout};
use crate::exit_reason::{from_exception, traceback};
use crate::loop_bell::Bell;
use crate::options::StartingFor;
use crate::runtime::Runtime;
use crate::wait::{period, receive, seconds, wait_for};

/// A number of seconds after which Python means "without a limit".
const NO_LIMIT: Duration = Duration::from_secs(3600 * 24 * 365);

/// `myrmidon.SupervisorSpec`, by its attributes.
#[derive(FromPyObject)]
struct Spec<'py> {
    strategy: String,
    children: Vec<Bound<'py, PyAny>>,
    max_restarts: usize,
    within: f64,
    auto_shutdown: String,
    max_children: Option<usize>,
}

/// `myrmidon.Child`, by its attributes.
#[derive(FromPyObject)]
struct Child<'py> {
    start: Bound<'py, PyAny>,
    id: String,
    restart: String,
    shutdown: Option<f64>,
    significant: bool,
}

#[pymethods]
impl Runtime {
    /// Starts a supervisor. The second argument is the runtime that start functions are given.
    fn _supervise(
        &self,
        py: Python<'_>,
        spec: &Bound<'_, PyAny>,
        runtime: &Bound<'_, PyAny>,
    ) -> PyResult<Supervisor> {
        let (core, spec) = (self.core()?.clone(), build(spec, runtime)?);
        let started = blocking(py, self.core()?, move || core.supervise(spec))?;
        let supervisor = started.map_err(|error| not_started(&error))?;
        Ok(Supervisor { core: self.core()?.clone(), supervisor, runtime: runtime.clone().unbind() })
    }

    /// As `supervise`, without blocking the event loop. If the task is cancelled, the supervisor is stopped as soon as its
    /// children run.
    fn supervise_py<'py>(this: &Bound<'py, Self>, spec: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let runtime = this.clone().into_any().unbind();
        coroutine(this, "supervise_py", move |this, py| {
            let core = this.core_for_loop()?;
            let spec = build(spec.bind(py), runtime.bind(py))?;
            let below = core.clone();
            Request::beside(py, core, move |open| {
                let started = below.supervise(spec).map(|supervisor| Started(below, Some(supervisor)));
                open.settle(move |py| {
                    let (core, supervisor) = started.map_err(|error| not_started(&error))?.into_parts()?;
                    Ok(Py::new(py, Supervisor { core, supervisor, runtime })?.into_any())
                });
            })
        })
    }
}

/// A supervisor that nobody has yet: it is stopped if nobody comes for it.
struct Started(myrmidon::Runtime, Option<SupervisorRef>);

impl Started {
    fn into_parts(mut self) -> PyResult<(myrmidon::Runtime, SupervisorRef)> {
        let supervisor = self.1.take().ok_or_else(errors::closed_meanwhile)?;
        Ok((self.0.clone(), supervisor))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(supervisor) = &self.1 {
            self.0.stop(supervisor.pid());
        }
    }
}

/// A running supervisor. `rt.supervise(spec)` starts one.
///
/// Its calls wait at most `timeout` seconds and raise `Timeout` then, and `NoProcess` once it has ended.
#[pyclass(frozen, module = "myrmidon")]
pub(crate) struct Supervisor {
    core: myrmidon::Runtime,
    supervisor: SupervisorRef,
    runtime: Py<PyAny>,
}

#[pymethods]
impl Supervisor {
    /// Its PID. `rt.stop(pid)` stops its children, last first, and then itself.
    #[getter]
    fn pid(&self) -> u64 {
        self.supervisor.pid().as_u64()
    }

    /// The children, in the order of their starts.
    #[pyo3(signature = (timeout=5.0))]
    fn children(&self, py: Python<'_>, timeout: f64) -> PyResult<Vec<ChildInfo>> {
        let children = self.call(py, timeout, |supervisor, limit| supervisor.children(limit))?;
        Ok(children.into_iter().map(ChildInfo::from).collect())
    }

    /// As `children`, without blocking the event loop.
    #[pyo3(signature = (timeout=5.0))]
    fn children_py<'py>(this: &Bound<'py, Self>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "children_py", move |this, py| {
            let seen = |py: Python<'_>, children: Vec<Info>| {
                let children: Vec<_> = children.into_iter().map(ChildInfo::from).collect();
                Ok(children.into_pyobject(py)?.into_any().unbind())
            };
            this.begin(py, timeout, |supervisor, limit| supervisor.children(limit), seen)
        })
    }

    /// Adds a `Child` and starts it; an empty id becomes a number. Returns its PID.
    ///
    /// Raises `ChildError` if the id is taken, there are as many children as may be, or it does not start.
    #[pyo3(signature = (child, timeout=5.0))]
    fn start_child(&self, py: Python<'_>, child: &Bound<'_, PyAny>, timeout: f64) -> PyResult<u64> {
        let child = build_child(child, self.runtime.bind(py))?;
        let pid = self.call(py, timeout, move |supervisor, limit| supervisor.start_child(child, limit))?;
        Ok(pid.as_u64())
    }

    /// As `start_child`, without blocking the event loop. Cancelling the task gives the wait up, as the end of `timeout`
    /// does; the child may start all the same.
    #[pyo3(signature = (child, timeout=5.0))]
    fn start_child_py<'py>(
        this: &Bound<'py, Self>,
        child: Py<PyAny>,
        timeout: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "start_child_py", move |this, py| {
            let child = build_child(child.bind(py), this.runtime.bind(py))?;
            this.begin(py, timeout, move |supervisor, limit| supervisor.start_child(child, limit), number)
        })
    }

    /// Stops a child and waits for its end. It stays in the list, unless it is temporary or the supervisor
    /// dynamic.
    ///
    /// Raises `ChildError` if there is no such child, and `Busy` where it would hold up the event loop in which the child has
    /// messages to handle.
    #[pyo3(signature = (id, timeout=10.0))]
    fn stop_child(&self, py: Python<'_>, id: String, timeout: f64) -> PyResult<()> {
        self.refuse_in_loop_of(py, &id, timeout)?;
        self.call(py, timeout, move |supervisor, limit| supervisor.stop_child(&id, limit))
    }

    /// As `stop_child`, without blocking the event loop. If the task is cancelled, the child is stopped all the same.
    #[pyo3(signature = (id, timeout=10.0))]
    fn stop_child_py<'py>(this: &Bound<'py, Self>, id: String, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "stop_child_py", move |this, py| {
            this.begin(py, timeout, move |supervisor, limit| supervisor.stop_child(&id, limit), nothing)
        })
    }

    /// Starts a child that was stopped or has ended. Returns its PID.
    ///
    /// Raises `ChildError` if there is no such child, it runs, or it does not start.
    #[pyo3(signature = (id, timeout=5.0))]
    fn restart_child(&self, py: Python<'_>, id: String, timeout: f64) -> PyResult<u64> {
        let pid = self.call(py, timeout, move |supervisor, limit| supervisor.restart_child(&id, limit))?;
        Ok(pid.as_u64())
    }

    /// As `restart_child`, without blocking the event loop. If the task is cancelled, the child may start all the same.
    #[pyo3(signature = (id, timeout=5.0))]
    fn restart_child_py<'py>(
        this: &Bound<'py, Self>,
        id: String,
        timeout: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "restart_child_py", move |this, py| {
            this.begin(py, timeout, move |supervisor, limit| supervisor.restart_child(&id, limit), number)
        })
    }

    /// Forgets a child that was stopped or has ended.
    ///
    /// Raises `ChildError` if there is no such child, or it runs.
    #[pyo3(signature = (id, timeout=5.0))]
    fn delete_child(&self, py: Python<'_>, id: String, timeout: f64) -> PyResult<()> {
        self.call(py, timeout, move |supervisor, limit| supervisor.delete_child(&id, limit))
    }

    /// As `delete_child`, without blocking the event loop.
    #[pyo3(signature = (id, timeout=5.0))]
    fn delete_child_py<'py>(
        this: &Bound<'py, Self>,
        id: String,
        timeout: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "delete_child_py", move |this, py| {
            this.begin(py, timeout, move |supervisor, limit| supervisor.delete_child(&id, limit), nothing)
        })
    }

    /// Stops the children, last first, and then itself; without waiting. Returns whether it was alive.
    fn stop(&self) -> bool {
        self.core.stop(self.supervisor.pid())
    }

    fn __repr__(&self) -> String {
        let state = if self.core.is_alive(self.supervisor.pid()) { "running" } else { "ended" };
        format!("<Supervisor {} {state}>", self.pid())
    }
}

impl Supervisor {
    /// # Errors
    /// `Busy` where the loop that runs on this thread has something to do before the child can end in good order.
    fn refuse_in_loop_of(&self, py: Python<'_>, id: &str, timeout: f64) -> PyResult<()> {
        let Some(bell) = Bell::running(py)? else { return Ok(()) };
        let children = self.call(py, timeout, |supervisor, limit| supervisor.children(limit))?;
        let child = children.into_iter().find(|child| child.id == id).and_then(|child| child.pid);
        let runtime = self.runtime.bind(py).cast::<Runtime>()?.get().shared();
        match child.filter(|pid| bell.unhandled(runtime, *pid).is_some_and(|left| left > 0)) {
            Some(pid) => Err(holds_own_loop(pid, "await supervisor.stop_child_py(id)")),
            None => Ok(()),
        }
    }

    fn call<T: Send + 'static>(
        &self,
        py: Python<'_>,
        timeout: f64,
        call: impl FnOnce(&SupervisorRef, Duration) -> Result<T, CoreChildError> + Send + 'static,
    ) -> PyResult<T> {
        let limit = seconds("timeout", timeout)?.unwrap_or(NO_LIMIT);
        let supervisor = self.supervisor.clone();
        blocking(py, &self.core, move || call(&supervisor, limit))?.map_err(|error| refused(&error))
    }

    /// As `call`, for the running loop; `show` makes what is awaited of the result.
    fn begin<T: Send + 'static>(
        &self,
        py: Python<'_>,
        timeout: f64,
        call: impl FnOnce(&SupervisorRef, Duration) -> Result<T, CoreChildError> + Send + 'static,
        show: impl FnOnce(Python<'_>, T) -> PyResult<Py<PyAny>> + Send + 'static,
    ) -> PyResult<Request> {
        let limit = seconds("timeout", timeout)?.unwrap_or(NO_LIMIT);
        let supervisor = self.supervisor.clone();
        Request::beside(py, &self.core, move |open| {
            let done = call(&supervisor, limit);
            open.settle(move |py| done.map_err(|error| refused(&error)).and_then(|done| show(py, done)));
        })
    }
}

fn number(py: Python<'_>, pid: Pid) -> PyResult<Py<PyAny>> {
    Ok(pid.as_u64().into_pyobject(py)?.into_any().unbind())
}

fn nothing(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
    Ok(py.None())
}

/// Runs what blocks on a thread beside the pool, so that Ctrl-C gets through and other handlers go on.
fn blocking<T: Send + 'static>(
    py: Python<'_>,
    core: &myrmidon::Runtime,
    call: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let (done, told) = sync_channel(1);
    core.spawn_beside(move || drop(done.send(call()))).map(drop).map_err(|error| errors::busy(&error))?;
    wait_for(py, core, None, receive(told))?.flatten().ok_or_else(errors::closed_meanwhile)
}

/// Why a tree does not run.
fn not_started(error: &CoreChildError) -> PyErr {
    match error {
        CoreChildError::Ending => ChildError::new_err(
            "the supervisor ended before all children ran: they ended as soon as they had started, more often than \
             max_restarts allows, or somebody stopped it",
        ),
        _ => refused(error),
    }
}

fn refused(error: &CoreChildError) -> PyErr {
    let text = error.to_string();
    match error {
        CoreChildError::ShuttingDown => errors::closed_meanwhile(),
        CoreChildError::Spec(_) => SpecError::new_err(text),
        CoreChildError::Ending => NoProcess::new_err(text),
        CoreChildError::Timeout => Timeout::new_err(text),
        _ => ChildError::new_err(text),
    }
}

fn build(spec: &Bound<'_, PyAny>, runtime: &Bound<'_, PyAny>) -> PyResult<SupervisorSpec> {
    let spec: Spec<'_> = spec.extract().map_err(|error| {
        PyTypeError::new_err(format!("a supervisor's spec is made by one_for_one and its like: {error}"))
    })?;
    let scope = match spec.strategy.as_str() {
        "one_for_one" => Scope::OneForOne,
        "one_for_all" => Scope::OneForAll,
        "rest_for_one" => Scope::RestForOne,
        "dynamic" => Scope::Dynamic,
        other => return Err(unknown("strategy", other, "one_for_one, one_for_all, rest_for_one, dynamic")),
    };
    let auto_shutdown = match spec.auto_shutdown.as_str() {
        "never" => AutoShutdown::Never,
        "any_significant" => AutoShutdown::AnySignificant,
        "all_significant" => AutoShutdown::AllSignificant,
        other => return Err(unknown("auto_shutdown", other, "never, any_significant, all_significant")),
    };
    let children = spec.children.iter().map(|child| build_child(child, runtime));
    let built = SupervisorSpec::new(scope)
        .max_restarts(spec.max_restarts, period("within", spec.within)?)
        .auto_shutdown(auto_shutdown)
        .max_children(spec.max_children.unwrap_or(usize::MAX));
    children.into_iter().try_fold(built, |built, child| Ok(built.child(child?)))
}

fn build_child(child: &Bound<'_, PyAny>, runtime: &Bound<'_, PyAny>) -> PyResult<ChildSpec> {
    let Child { start, id, restart, shutdown, significant } = child.extract().map_err(|error| {
        PyTypeError::new_err(format!("a child of a supervisor is a Child, or made by worker: {error}"))
    })?;
    let restart = match restart.as_str() {
        "permanent" => Restart::Permanent,
        "transient" => Restart::Transient,
        "temporary" => Restart::Temporary,
        other => return Err(unknown("restart", other, "permanent, transient, temporary")),
    };
    let py = start.py();
    let spec = if start.is_callable() {
        start_function(id, start.unbind(), runtime.clone().unbind(), Bell::running(py)?)
    } else if start.hasattr(intern!(py, "strategy"))? {
        ChildSpec::supervisor(id, build(&start, runtime)?)
    } else {
        let text =
            format!("start of child {id:?} is a function of the runtime, or a SupervisorSpec, not {start:?}");
        return Err(PyTypeError::new_err(text));
    };
    let spec = match shutdown {
        None => spec,
        Some(shutdown) => spec.shutdown(match seconds("shutdown", shutdown)? {
            Some(Duration::ZERO) => Shutdown::Brutal,
            Some(time) => Shutdown::After(time),
            None => Shutdown::Infinity,
        }),
    };
    Ok(spec.restart(restart).significant(significant))
}

/// Calls `start(runtime)`, which returns a PID or something with one.
fn start_function(id: String, start: Py<PyAny>, runtime: Py<PyAny>, event_loop: Option<Bell>) -> ChildSpec {
    ChildSpec::new(id, move |starter| {
        let _linked = StartingFor::of(starter.supervisor(), event_loop.clone());
        let made = Python::try_attach(|py| {
            with_argument(start.bind(py), runtime.bind(py)).and_then(pid).map_err(|error| {
                let reason = from_exception(py, &error);
                format!("{reason}\n{}", traceback(&reason).unwrap_or_default().trim_end())
            })
        });
        made.unwrap_or_else(|| Err("the interpreter is ending".to_owned()))
    })
}

fn pid(made: Bound<'_, PyAny>) -> PyResult<Pid> {
    let number = match made.getattr_opt(intern!(made.py(), "pid"))? {
        Some(pid) => pid.extract::<u64>(),
        None => made.extract::<u64>(),
    };
    number.ok().and_then(Pid::from_u64).ok_or_else(|| {
        PyTypeError::new_err(format!("a start function returns a PID or an ActorRef, not {made:?}"))
    })
}

fn unknown(what: &str, given: &str, known: &str) -> PyErr {
    PyValueError::new_err(format!("{given:?} is no {what}: write one of {known}"))
}
