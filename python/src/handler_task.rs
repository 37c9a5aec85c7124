//! Tasks of an event loop that serve an `async def` handler.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use myrmidon::Pid;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::code::Code;
use crate::known;
use crate::loop_bell::{Bell, Errand};
use crate::promise::Promise;
use crate::shelf::Found;

/// An `async def` handler, and where it runs. The actor keeps it, and whoever is to start a task for it.
pub(crate) struct AsyncHandler {
    pub(crate) bell: Bell,
    pub(crate) handler: Py<PyAny>,
    /// Of the actor alone: what a handler sets there it finds again at its next message.
    pub(crate) context: Py<PyAny>,
    /// How many messages it may handle at a time.
    pub(crate) concurrency: usize,
    /// Messages without a pause for others of the loop.
    pub(crate) budget: u32,
}

impl AsyncHandler {
    /// Has one more task serve the handler, if that is due.
    pub(crate) fn serve(self: &Arc<Self>, code: &Arc<Code>) {
        if code.shelf.hire(self.concurrency) {
            self.clone().add(code);
        }
    }

    /// Has a task take the place that was given.
    fn add(self: Arc<Self>, code: &Arc<Code>) {
        let bell = self.bell.clone();
        bell.run(Box::new(Start { handler: self, code: code.clone() }));
    }

    fn start(self: &Arc<Self>, py: Python<'_>, code: &Arc<Code>) -> PyResult<()> {
        let server = HandlerTask {
            code: code.clone(),
            handler: Arc::downgrade(self),
            bell: self.bell.clone(),
            concurrency: self.concurrency,
            budget: self.budget,
            handled: AtomicU32::new(0),
            asked: AtomicU64::new(IDLE),
        };
        let arguments = (server, &self.handler, &self.context, self.bell.event_loop(py)?);
        let task = known::START_HANDLER.get(py)?.call1(arguments)?;
        code.shelf.run_in(self.bell.clone(), task.unbind());
        Ok(())
    }
}

/// Has a task start that serves a handler. There is one at most for each handler, as the next place is given when the task
/// of this one is busy.
struct Start {
    handler: Arc<AsyncHandler>,
    code: Arc<Code>,
}

impl Errand for Start {
    fn run(self: Box<Self>, py: Python<'_>) {
        if let Err(error) = self.handler.start(py, &self.code) {
            self.code.failed(py, error, None);
        }
    }

    /// The shelf holds nothing of an actor that has ended.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if Arc::strong_count(&self.handler) > 1 {
            return Ok(());
        }
        visit.call(&self.handler.handler)?;
        visit.call(&self.handler.context)
    }
}

/// Not in the middle of a message.
const IDLE: u64 = u64::MAX;
/// In the middle of a message that nobody wants an answer to.
const UNASKED: u64 = 0;

/// What a task that serves a handler needs. It belongs to that task alone.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct HandlerTask {
    code: Arc<Code>,
    /// Not kept: the task does so itself, where the collector sees it.
    handler: Weak<AsyncHandler>,
    bell: Bell,
    concurrency: usize,
    budget: u32,
    handled: AtomicU32,
    /// The number of the way back of the message that is being handled, or one of the two above.
    asked: AtomicU64,
}

#[pymethods]
impl HandlerTask {
    #[getter]
    fn pid(&self) -> u64 {
        self.code.pid().map_or(0, Pid::as_u64)
    }

    /// Finishes the last message, for which the handler returned `value`, and takes the next; `None` if
    /// there is none, or others of the loop are to have their turn.
    fn take(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyAny>>> {
        self.finish(value);
        if self.handled.fetch_add(1, Ordering::Relaxed) >= self.budget {
            return Ok(None);
        }
        // Busy before it is taken: there is no moment in which the actor could think that all is done.
        self.code.shelf.begin();
        match self.code.shelf.take(py, None) {
            Ok(Found::Item((message, asked))) => {
                self.asked.store(asked.unwrap_or(UNASKED), Ordering::Relaxed);
                // Others may be needed for what lies behind it.
                if self.code.shelf.hire(self.concurrency)
                    && let Some(handler) = self.handler.upgrade()
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

    /// Something to await that is done when there is a next message, or nothing more to wait for.
    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Promise>> {
        let spent = self.handled.swap(0, Ordering::Relaxed) > self.budget;
        let promise = Promise::new(py, self.bell.clone())?;
        if spent {
            // There may be a next message already, and others of the loop are to have their turn first.
            promise.get().be_polite();
        }
        self.code.shelf.notify(promise.clone().unbind(), None);
        Ok(promise)
    }

    /// Whether the task is needed no more, and may end.
    fn is_over(&self) -> bool {
        self.code.shelf.dismiss()
    }

    /// The handler raised `error`: its actor ends.
    fn failed(&self, py: Python<'_>, error: &Bound<'_, PyAny>) {
        let asked = self.asked.swap(IDLE, Ordering::Relaxed);
        let asked = (asked != IDLE && asked != UNASKED).then_some(asked);
        self.code.failed(py, PyErr::from_value(error.clone()), asked);
    }

    /// The loop goes down: the actor ends.
    fn cancelled(&self) {
        self.code.cancelled();
    }
}

impl HandlerTask {
    fn finish(&self, value: &Bound<'_, PyAny>) {
        let asked = self.asked.swap(IDLE, Ordering::Relaxed);
        if asked == IDLE {
            return;
        }
        if asked != UNASKED
            && let Some(answer) = self.code.shelf.answer(asked)
        {
            answer.send_value(value);
        }
        self.code.shelf.finish();
    }
}
