//! Tasks of an event loop that serve an `async def` handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use myrmidon::Pid;
use pyo3::prelude::*;

use crate::code::Code;
use crate::known;
use crate::loop_bell::Bell;
use crate::promise::Promise;
use crate::shelf::Found;

/// An `async def` handler, and where it runs.
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
        if !code.shelf.hire(self.concurrency) {
            return;
        }
        let (handler, code) = (self.clone(), code.clone());
        self.bell.run(Box::new(move |py| {
            let started = handler.start(py, &code);
            if let Err(error) = started {
                code.failed(py, error, None);
            }
            Ok(())
        }));
    }

    fn start(self: &Arc<Self>, py: Python<'_>, code: &Arc<Code>) -> PyResult<()> {
        let server = HandlerTask {
            code: code.clone(),
            handler: self.clone(),
            handled: AtomicU32::new(0),
            asked: AtomicU64::new(IDLE),
        };
        let arguments = (server, &self.handler, &self.context, self.bell.event_loop(py)?);
        let task = known::START_HANDLER.get(py)?.call1(arguments)?;
        code.shelf.run_in(self.bell.clone(), task.unbind());
        Ok(())
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
    handler: Arc<AsyncHandler>,
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
        if self.handled.fetch_add(1, Ordering::Relaxed) >= self.handler.budget {
            return Ok(None);
        }
        // Busy before it is taken: there is no moment in which the actor could think that all is done.
        self.code.shelf.begin();
        match self.code.shelf.take(py, None) {
            Ok(Found::Item((message, asked))) => {
                self.asked.store(asked.unwrap_or(UNASKED), Ordering::Relaxed);
                // Others may be needed for what lies behind it.
                self.handler.serve(&self.code);
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
        let spent = self.handled.swap(0, Ordering::Relaxed) > self.handler.budget;
        let promise = Promise::new(py, self.handler.bell.clone())?;
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
