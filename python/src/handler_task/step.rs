//! The steps of a task that serves a handler: it takes messages, and steps what the handler returns for them.

use std::sync::atomic::Ordering;

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::exceptions::{PyKeyboardInterrupt, PyStopIteration, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;

use super::state::Stage;
use super::{HandlerTask, busy};
use crate::call::{Sent, send_none, with_argument};
use crate::known;
use crate::promise::Promise;

/// How far it has come.
pub(super) enum Step {
    /// The task is to wait for this.
    Waits(Py<PyAny>),
    Over,
}

impl HandlerTask {
    /// Goes on until it has to wait, or is over.
    pub(super) fn step(this: &Bound<'_, Self>) -> PyResult<Step> {
        let (py, server) = (this.py(), this.get());
        let seen = server.seen();
        loop {
            let step = match server.begin() {
                Stage::Idle => match server.take(py) {
                    Ok(Some(message)) => {
                        if let Some(seen) = &seen {
                            seen.again();
                        }
                        server.handle(py, &message)?
                    }
                    Ok(None) => Self::wait(this),
                    Err(error) => Some(server.raised(py, error)?),
                },
                Stage::Handling(coroutine) => server.go_on(py, coroutine.into_bound(py))?,
                Stage::Suspended(coroutine, awaited) => {
                    server.state().stage = Stage::Handling(coroutine);
                    Some(Step::Waits(awaited))
                }
                Stage::Ended(error) => return server.end_with(py, error),
                Stage::Running => return Err(busy()),
                Stage::Over => Some(server.over()),
            };
            if let Some(step) = step {
                return Ok(step);
            }
        }
    }

    /// Takes the next message; `None` if there is none, or others of the loop are to have their turn.
    pub(super) fn take(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if self.handled.fetch_add(1, Ordering::Relaxed) >= self.budget {
            return Ok(None);
        }
        let Some(((message, asked), hired)) = self.code.shelf.serve(py, self.concurrency)? else {
            return Ok(None);
        };
        let mut state = self.state();
        (state.handling, state.asked) = (true, asked);
        drop(state);
        if hired && let Some(handler) = self.serves.upgrade() {
            handler.add(&self.code);
        }
        Ok(Some(message))
    }

    /// Calls the handler, and steps what it returns.
    pub(super) fn handle(&self, py: Python<'_>, message: &Py<PyAny>) -> PyResult<Option<Step>> {
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

    pub(super) fn raise_in(
        &self,
        py: Python<'_>,
        coroutine: Py<PyAny>,
        error: PyErr,
    ) -> PyResult<Option<Step>> {
        match coroutine.call_method1(py, intern!(py, "throw"), (error.into_value(py),)) {
            Ok(awaited) => {
                self.state().stage = Stage::Handling(coroutine);
                Ok(Some(Step::Waits(awaited)))
            }
            Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
                match error.value(py).getattr(intern!(py, "value")) {
                    Ok(value) => {
                        self.finish(&value);
                        Ok(None)
                    }
                    Err(error) => self.raised(py, error).map(Some),
                }
            }
            Err(error) => self.raised(py, error).map(Some),
        }
    }

    /// The message is handled, and `value` is what the handler returned.
    fn finish(&self, value: &Bound<'_, PyAny>) {
        let mut state = self.state();
        (state.stage, state.handling) = (Stage::Idle, false);
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

    /// The handler raised `error`, or something was raised between two messages: the actor ends, whatever else fails here.
    /// All that ends the stage `Running` with an error comes by.
    ///
    /// # Errors
    /// What the task is to end with.
    pub(super) fn raised(&self, py: Python<'_>, error: PyErr) -> PyResult<Step> {
        let asked = self.state().asked.take();
        self.over();
        // Code of Python, which may be at the end of its stack.
        let is_cancelled = || known::IS_CANCELLED.get(py)?.call0()?.is_truthy();
        if error.is_instance_of::<CancelledError>(py) && is_cancelled().unwrap_or(false) {
            self.code.cancelled();
            return Err(error);
        }
        self.code.failed(py, error.clone_ref(py), asked);
        let ends_loop = || known::IS_CTRL_C.get(py)?.call1((error.value(py),))?.is_truthy();
        if error.is_instance_of::<PyKeyboardInterrupt>(py) && ends_loop().unwrap_or(false) {
            return Err(error);
        }
        Ok(Step::Over)
    }

    /// Ends the task with the error that came elsewhere.
    pub(super) fn end_with(&self, py: Python<'_>, error: Py<PyAny>) -> PyResult<Step> {
        self.over();
        Err(PyErr::from_value(error.into_bound(py)))
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
