//! Tasks of an event loop that serve an `async def` handler.
//!
//! What such a task runs is a coroutine by its protocol, as `asking` is: it takes messages, steps the handler's coroutines, and
//! waits at its door in between. Whoever asks from another task of the same loop and finds it there has the handler run at
//! once (`here`).

mod here;
mod state;
mod step;

use std::mem;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use myrmidon::Pid;
use myrmidon::scheduler::{Lane, LaneStep};
use pyo3::exceptions::{PyRuntimeError, PyStopIteration};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTraceback;
use pyo3::{PyTraverseError, PyVisit};

pub(crate) use here::may_serve_here;
use state::{Stage, State};
use step::Step;

use crate::asking::thrown;
use crate::async_handler::AsyncHandler;
use crate::call::end_iterator;
use crate::code::Code;
use crate::known;
use crate::loop_bell::Bell;
use crate::outcome::Outcome;
use crate::promise::Promise;

/// What a task that serves a handler runs. It belongs to that task alone.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct HandlerTask {
    code: Arc<Code>,
    /// Not kept: what it needs of it is in `state`, where the collector sees it.
    serves: Weak<AsyncHandler>,
    bell: Bell,
    /// Where the watchdog sees its steps.
    lane: Arc<Lane>,
    concurrency: usize,
    budget: u32,
    handled: AtomicU32,
    state: Mutex<State>,
}

#[pymethods]
impl HandlerTask {
    #[getter]
    fn pid(&self) -> u64 {
        self.code.pid().map_or(0, Pid::as_u64)
    }

    /// The handler's, for who looks at the tasks of a loop.
    #[getter(__qualname__)]
    fn qualname(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Some(handler) = self.handler(py) else {
            return Ok("handler".into_pyobject(py)?.into_any().unbind());
        };
        let name = handler.getattr_opt(intern!(py, "__qualname__"))?;
        Ok(name.unwrap_or_else(|| handler.get_type().into_any()).unbind())
    }

    fn __await__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__(this: &Bound<'_, Self>) -> PyResult<Option<Py<PyAny>>> {
        match Self::step(this)? {
            Step::Waits(awaited) => Ok(Some(awaited)),
            Step::Over => {
                end_iterator(this.py().None().bind(this.py()));
                Ok(None)
            }
        }
    }

    /// A task sends nothing but `None`.
    #[pyo3(signature = (_value, /))]
    fn send(this: &Bound<'_, Self>, _value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        waited(Self::step(this)?)
    }

    /// Cancelled, as a rule: what the handler waits for is over, or the wait for a message is.
    #[pyo3(signature = (kind, value=None, traceback=None, /))]
    fn throw(
        this: &Bound<'_, Self>,
        kind: &Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyTraceback>>,
    ) -> PyResult<Py<PyAny>> {
        let (py, server) = (this.py(), this.get());
        let error = thrown(kind, value, traceback)?;
        let _seen = server.seen();
        let step = match server.begin() {
            Stage::Handling(coroutine) => server.raise_in(py, coroutine, error)?,
            Stage::Suspended(coroutine, awaited) => match is_cancelled_with(awaited.bind(py)) {
                // It learns so when that is over, as in any task.
                Ok(true) => {
                    server.state().stage = Stage::Handling(coroutine);
                    Some(Step::Waits(awaited))
                }
                Ok(false) => server.raise_in(py, coroutine, error)?,
                Err(error) => server.raise_in(py, coroutine, error)?,
            },
            Stage::Idle => Some(server.raised(py, error)?),
            Stage::Ended(error) => return server.end_with(py, error).and_then(waited),
            Stage::Running => return Err(busy()),
            Stage::Over => Some(server.over()),
        };
        waited(match step {
            Some(step) => step,
            None => Self::step(this)?,
        })
    }

    /// Nobody steps it any more.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let before = self.begin();
        self.over();
        self.code.cancelled();
        if let Stage::Handling(coroutine) | Stage::Suspended(coroutine, _) = before {
            coroutine.call_method0(py, intern!(py, "close"))?;
        }
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if !self.bell.is_here() {
            return Ok(());
        }
        // Waited for, as each look of the collector has to see the same. It is never held while objects are made.
        let state = self.state();
        visit.call(&state.task)?;
        visit.call(&state.handler)?;
        visit.call(&state.door)?;
        match &state.stage {
            Stage::Handling(coroutine) => visit.call(coroutine),
            Stage::Ended(error) => visit.call(error),
            Stage::Suspended(coroutine, awaited) => {
                visit.call(coroutine)?;
                visit.call(awaited)
            }
            Stage::Idle | Stage::Running | Stage::Over => Ok(()),
        }
    }

    fn __clear__(&self) {
        if !self.bell.is_here() {
            return;
        }
        self.over();
        let door = self.state().door.take();
        drop(door);
    }
}

impl HandlerTask {
    /// Starts a task that serves `handler`. To be called on the thread of its loop.
    pub(crate) fn start(py: Python<'_>, handler: &Arc<AsyncHandler>, code: &Arc<Code>) -> PyResult<()> {
        let server = Self {
            code: code.clone(),
            serves: Arc::downgrade(handler),
            bell: handler.bell.clone(),
            lane: code.lane_of(&handler.bell),
            concurrency: handler.concurrency,
            budget: handler.budget,
            handled: AtomicU32::new(0),
            state: Mutex::new(State {
                task: None,
                stage: Stage::Idle,
                handling: false,
                asked: None,
                handler: Some(handler.handler.clone_ref(py)),
                door: Some(Promise::of_door(py, handler.bell.clone())?.unbind()),
            }),
        };
        let server = Bound::new(py, server)?;
        let arguments = (&server, &handler.context, handler.bell.event_loop(py)?);
        let task = known::START_HANDLER.get(py)?.call1(arguments)?.unbind();
        server.get().belong(&task, py);
        code.shelf.run_in(handler.bell.clone(), task);
        Ok(())
    }

    /// Tells it, where it waits, that there is a message, or nothing more to wait for. From any thread, attached to the
    /// interpreter or not.
    pub(crate) fn ring(this: Py<Self>) {
        let server = this.get();
        let rings =
            server.state().door.as_ref().is_some_and(|door| door.get().accept(Outcome::Sign).is_some());
        if rings {
            let bell = server.bell.clone();
            bell.serve(this);
        }
    }

    /// Has its task go on.
    ///
    /// # Errors
    /// What a task lets through: `KeyboardInterrupt` and `SystemExit`.
    pub(crate) fn wake(this: &Bound<'_, Self>) -> PyResult<()> {
        // If not, it has gone on by itself since it was told.
        let door = this.get().door(this.py()).filter(|door| door.get().is_done());
        door.map_or(Ok(()), |door| Promise::wake(&door))
    }

    /// As [`wake`](Self::wake), in a later round of the loop.
    ///
    /// # Errors
    /// If the loop is closed.
    pub(crate) fn wake_soon(this: &Bound<'_, Self>) -> PyResult<()> {
        let door = this.get().door(this.py()).filter(|door| door.get().is_done());
        door.map_or(Ok(()), |door| Promise::wake_soon(&door))
    }

    /// Lets go of everything but the door, where its task may still be waiting.
    fn over(&self) -> Step {
        let mut state = self.state();
        let left = (mem::replace(&mut state.stage, Stage::Over), state.handler.take(), state.task.take());
        let handling = mem::take(&mut state.handling);
        drop(state);
        drop(left);
        if handling {
            self.code.shelf.abort();
        }
        Step::Over
    }

    /// Says which task runs it, unless that is over already.
    fn belong(&self, task: &Py<PyAny>, py: Python<'_>) {
        let mut state = self.state();
        if !matches!(state.stage, Stage::Over) {
            state.task = Some(task.clone_ref(py));
        }
    }

    /// Has the watchdog see that it runs, until that is dropped.
    fn seen(&self) -> Option<LaneStep<'_>> {
        self.code.pid().map(|pid| self.lane.step(pid))
    }

    /// Takes its stage, for who steps it.
    fn begin(&self) -> Stage {
        let mut state = self.state();
        match state.stage {
            Stage::Over => Stage::Over,
            _ => mem::replace(&mut state.stage, Stage::Running),
        }
    }

    /// Whether it serves the handler of this actor.
    pub(crate) fn is_of(&self, pid: Pid) -> bool {
        self.code.pid() == Some(pid)
    }

    /// What is called with a message; `None` once it is over.
    fn handler<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state().handler.as_ref().map(|handler| handler.bind(py).clone())
    }

    /// The task that runs it, and its door.
    fn task_and_door<'py>(
        &self,
        py: Python<'py>,
    ) -> (Option<Bound<'py, PyAny>>, Option<Bound<'py, Promise>>) {
        let state = self.state();
        let task = state.task.as_ref().map(|task| task.bind(py).clone());
        (task, state.door.as_ref().map(|door| door.bind(py).clone()))
    }

    fn door<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Promise>> {
        self.state().door.as_ref().map(|door| door.bind(py).clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that is dropped before its end serves nobody any more.
impl Drop for HandlerTask {
    fn drop(&mut self) {
        // In the child of a fork the locks of the actor may be held by a thread that is not there.
        if !self.bell.is_here() {
            return;
        }
        let (over, handling) = {
            let state = self.state();
            (matches!(state.stage, Stage::Over | Stage::Ended(_)), state.handling)
        };
        if handling {
            self.code.shelf.abort();
        }
        if !over {
            self.code.cancelled();
        }
    }
}

/// Cancels `awaited`, which a handler waits for; `false` if that is nothing, or is done.
fn is_cancelled_with(awaited: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(!awaited.is_none() && awaited.call_method0(intern!(awaited.py(), "cancel"))?.is_truthy()?)
}

fn waited(step: Step) -> PyResult<Py<PyAny>> {
    match step {
        Step::Waits(awaited) => Ok(awaited),
        Step::Over => Err(PyStopIteration::new_err(())),
    }
}

fn busy() -> PyErr {
    PyRuntimeError::new_err("the task of a handler is stepped already")
}
