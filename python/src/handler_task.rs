//! Tasks of an event loop that serve an `async def` handler.
//!
//! What such a task runs is a coroutine by its protocol, as `asking` is: it takes messages, steps the handler's coroutines, and
//! waits at its door in between. Whoever asks from another task of the same loop and finds it there has the handler run at
//! once (`here`).

mod here;
mod state;

use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use myrmidon::Pid;
use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyTraceback;
use pyo3::{PyTraverseError, PyVisit};

pub(crate) use here::has_room;
use state::{Stage, State};

use crate::asking::thrown;
use crate::async_handler::AsyncHandler;
use crate::call::{Sent, end_iterator, send_none, with_argument};
use crate::code::Code;
use crate::known;
use crate::loop_bell::Bell;
use crate::outcome::Outcome;
use crate::promise::Promise;
use crate::shelf::Found;

/// What a task that serves a handler runs. It belongs to that task alone.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct HandlerTask {
    code: Arc<Code>,
    /// Not kept: what it needs of it is in `state`, where the collector sees it.
    serves: Weak<AsyncHandler>,
    bell: Bell,
    concurrency: usize,
    budget: u32,
    handled: AtomicU32,
    state: Mutex<State>,
}

/// How far it has come.
enum Step {
    /// The task is to wait for this.
    Waits(Py<PyAny>),
    Over,
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
        let step = match server.begin() {
            Stage::Handling(coroutine) => server.raise_in(py, coroutine, error)?,
            Stage::Suspended(coroutine, awaited) => {
                awaited.call_method0(py, intern!(py, "cancel"))?;
                server.raise_in(py, coroutine, error)?
            }
            Stage::Idle => Some(server.raised(py, error)?),
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
        if let Stage::Handling(coroutine) | Stage::Suspended(coroutine, _) = before {
            coroutine.call_method0(py, intern!(py, "close"))?;
        }
        self.code.cancelled();
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        // Held by another thread it is in use, and so alive.
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        visit.call(&state.task)?;
        visit.call(&state.handler)?;
        visit.call(&state.door)?;
        match &state.stage {
            Stage::Handling(coroutine) => visit.call(coroutine),
            Stage::Suspended(coroutine, awaited) => {
                visit.call(coroutine)?;
                visit.call(awaited)
            }
            Stage::Idle | Stage::Running | Stage::Over => Ok(()),
        }
    }

    fn __clear__(&self) {
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
            concurrency: handler.concurrency,
            budget: handler.budget,
            handled: AtomicU32::new(0),
            state: Mutex::new(State {
                task: None,
                stage: Stage::Idle,
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

    /// Goes on until it has to wait, or is over.
    fn step(this: &Bound<'_, Self>) -> PyResult<Step> {
        let (py, server) = (this.py(), this.get());
        loop {
            let step = match server.begin() {
                Stage::Idle => match server.take(py) {
                    Ok(Some(message)) => server.handle(py, &message)?,
                    Ok(None) => Self::wait(this),
                    Err(error) => Some(server.raised(py, error)?),
                },
                Stage::Handling(coroutine) => server.go_on(py, coroutine.into_bound(py))?,
                Stage::Suspended(coroutine, awaited) => {
                    server.state().stage = Stage::Handling(coroutine);
                    Some(Step::Waits(awaited))
                }
                Stage::Running => return Err(busy()),
                Stage::Over => Some(server.over()),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// Takes the next message; `None` if there is none, or others of the loop are to have their turn.
    fn take(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if self.handled.fetch_add(1, Ordering::Relaxed) >= self.budget {
            return Ok(None);
        }
        // Busy before it is taken: there is no moment in which the actor could think that all is done.
        self.code.shelf.begin();
        match self.code.shelf.take(py, None) {
            Ok(Found::Item((message, asked))) => {
                self.state().asked = asked;
                // Others may be needed for what lies behind it.
                if self.code.shelf.hire(self.concurrency)
                    && let Some(handler) = self.serves.upgrade()
                {
                    handler.add(&self.code);
                }
                Ok(Some(message))
            }
            other => {
                self.code.shelf.finish();
                other.map(|_| None)
            }
        }
    }

    /// Calls the handler, and steps what it returns.
    fn handle(&self, py: Python<'_>, message: &Py<PyAny>) -> PyResult<Option<Step>> {
        let Some(handler) = self.handler(py) else { return Ok(Some(self.over())) };
        let called = with_argument(&handler, message.bind(py)).and_then(awaited);
        match called {
            Ok(coroutine) => self.go_on(py, coroutine),
            Err(error) => self.raised(py, error).map(Some),
        }
    }

    /// Steps what the handler returned; `None` if the message is handled.
    fn go_on(&self, py: Python<'_>, coroutine: Bound<'_, PyAny>) -> PyResult<Option<Step>> {
        match send_none(&coroutine) {
            Ok(Sent::Yielded(awaited)) => {
                self.state().stage = Stage::Handling(coroutine.unbind());
                Ok(Some(Step::Waits(awaited.unbind())))
            }
            Ok(Sent::Returned(value)) => {
                self.finish(&value);
                Ok(None)
            }
            Err(error) => self.raised(py, error).map(Some),
        }
    }

    fn raise_in(&self, py: Python<'_>, coroutine: Py<PyAny>, error: PyErr) -> PyResult<Option<Step>> {
        match coroutine.call_method1(py, intern!(py, "throw"), (error.into_value(py),)) {
            Ok(awaited) => {
                self.state().stage = Stage::Handling(coroutine);
                Ok(Some(Step::Waits(awaited)))
            }
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                self.finish(&error.value(py).getattr(intern!(py, "value"))?);
                Ok(None)
            }
            Err(error) => self.raised(py, error).map(Some),
        }
    }

    /// The message is handled, and `value` is what the handler returned.
    fn finish(&self, value: &Bound<'_, PyAny>) {
        let mut state = self.state();
        state.stage = Stage::Idle;
        let asked = state.asked.take();
        drop(state);
        if let Some(answer) = asked.and_then(|asked| self.code.shelf.answer(asked)) {
            answer.send_value(value);
        }
        self.code.shelf.finish();
    }

    /// There is no message: waits for the next, or ends if there is none to come.
    fn wait(this: &Bound<'_, Self>) -> Option<Step> {
        let (py, server) = (this.py(), this.get());
        if server.code.shelf.dismiss() {
            return Some(server.over());
        }
        server.state().stage = Stage::Idle;
        let door = server.door(py)?;
        let spent = server.handled.swap(0, Ordering::Relaxed) > server.budget;
        door.get().reopen();
        if spent {
            // There may be a next message already, and others of the loop are to have their turn first.
            door.get().be_polite();
        }
        server.code.shelf.await_next(this.clone().unbind());
        Promise::next(&door).map(Step::Waits)
    }

    /// The handler raised `error`, or something was raised between two messages: the actor ends.
    ///
    /// # Errors
    /// What the task is to end with.
    fn raised(&self, py: Python<'_>, error: PyErr) -> PyResult<Step> {
        let asked = self.state().asked.take();
        self.over();
        if error.is_instance_of::<CancelledError>(py) && known::IS_CANCELLED.get(py)?.call0()?.is_truthy()? {
            self.code.cancelled();
            return Err(error);
        }
        let ends_loop = known::IS_CTRL_C.get(py)?.call1((error.value(py),))?.is_truthy()?;
        self.code.failed(py, error.clone_ref(py), asked);
        if ends_loop { Err(error) } else { Ok(Step::Over) }
    }

    /// Lets go of everything but the door, where its task may still be waiting.
    fn over(&self) -> Step {
        let mut state = self.state();
        let left = (mem::replace(&mut state.stage, Stage::Over), state.handler.take(), state.task.take());
        drop(state);
        drop(left);
        Step::Over
    }

    /// Says which task runs it, unless that is over already.
    fn belong(&self, task: &Py<PyAny>, py: Python<'_>) {
        let mut state = self.state();
        if !matches!(state.stage, Stage::Over) {
            state.task = Some(task.clone_ref(py));
        }
    }

    /// Takes its stage, for who steps it.
    fn begin(&self) -> Stage {
        let mut state = self.state();
        match state.stage {
            Stage::Over => Stage::Over,
            _ => mem::replace(&mut state.stage, Stage::Running),
        }
    }

    /// What is called with a message; `None` once it is over.
    fn handler<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state().handler.as_ref().map(|handler| handler.bind(py).clone())
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
        if !matches!(self.state().stage, Stage::Over) {
            self.code.cancelled();
        }
    }
}

/// What an `await` of `returned` steps.
fn awaited(returned: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let py = returned.py();
    if returned.get_type().is(known::COROUTINE.get(py)?) {
        return Ok(returned);
    }
    match returned.getattr_opt(intern!(py, "__await__"))? {
        Some(awaits) => awaits.call0(),
        None => Err(PyTypeError::new_err(format!(
            "the handler returned {}, which cannot be awaited",
            returned.get_type().name()?
        ))),
    }
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
