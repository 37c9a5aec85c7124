//! The behaviour around a Python callable.

use std::cell::Cell;

use myrmidon::actor::{Behaviour, Context, ExitCause, ExitReason, Flow, SystemMessage};
use myrmidon::mailbox::Payload;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;

use crate::ask::{self, Question};
use crate::call::with_argument;
use crate::exit_reason::from_exception;
use crate::outcome::Outcome;
use crate::payload;
use crate::system_message::PySystemMessage;

thread_local! {
    /// Whether a handler on this thread ended by KeyboardInterrupt.
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// An actor whose code is a Python callable of one argument. It runs on threads that keep their state
/// of the interpreter: those of a lane, attached for good, or those of the pool for blocking work.
pub(crate) struct Handler(Py<PyAny>);

impl Handler {
    /// # Errors
    /// `TypeError` if `handler` cannot be called, or is an `async def` or a generator, whose
    /// code would not run when it is called.
    pub(crate) fn new(handler: Bound<'_, PyAny>) -> PyResult<Self> {
        let refused = if !handler.is_callable() {
            format!("not {}", handler.get_type().name()?)
        } else if is_deferred(&handler)? {
            "not an async def or a generator: use a plain function".to_owned()
        } else {
            return Ok(Self(handler.unbind()));
        };
        Err(PyTypeError::new_err(format!("a handler is a callable of one argument, the message, {refused}")))
    }

    /// What it returns is ignored. What it raises ends the actor.
    fn call<'py>(&self, py: Python<'py>, argument: PyResult<Bound<'py, PyAny>>) -> Flow {
        let call = |argument: Bound<'py, PyAny>| with_argument(self.0.bind(py), &argument);
        match argument.and_then(call) {
            Ok(_) => Flow::Continue,
            Err(error) => Flow::Stop(failed(py, &error)),
        }
    }

    /// What it returns is the answer. What it raises is raised by who asked too.
    fn answer(&self, py: Python<'_>, question: Question) -> Flow {
        let Question { message, answer } = question;
        let returned = answer.wanted(py).and_then(|answer| match answer {
            None => Ok(None),
            Some(answer) => {
                let message = message.into_pyobject(py)?;
                Ok(Some((answer, with_argument(self.0.bind(py), &message))))
            }
        });
        match returned {
            Ok(None) => Flow::Continue,
            Ok(Some((answer, Ok(value)))) => {
                answer.send_value(&value);
                Flow::Continue
            }
            Ok(Some((answer, Err(error)))) => {
                let reason = failed(py, &error);
                let asked = answer.asked();
                answer.send(Outcome::raised(py, asked, error, &reason));
                Flow::Stop(reason)
            }
            Err(error) => Flow::Stop(failed(py, &error)),
        }
    }
}

/// The end of an actor whose handler raised `error`, `SystemExit` and `KeyboardInterrupt` included; the
/// process lives (S39).
pub(crate) fn failed(py: Python<'_>, error: &PyErr) -> ExitReason {
    if error.is_instance_of::<PyKeyboardInterrupt>(py) {
        INTERRUPTED.set(true);
    }
    from_exception(py, error)
}

impl Behaviour for Handler {
    fn starts(&self) -> bool {
        false
    }

    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        attached(|py| match ask::question(message) {
            Ok(question) => self.answer(py, question),
            Err(message) => self.call(py, payload::into_python(py, message).map(Bound::into_any)),
        })
    }

    /// Exits and nodes that the actor asked to hear of reach its handler. What its supervisor acts on does
    /// not, and neither does the rest.
    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        match message {
            SystemMessage::Exit { cause: ExitCause::RemoteMonitor(_), .. } if cx.is_supervised() => {
                return Flow::Continue;
            }
            SystemMessage::Exit { .. } | SystemMessage::Node(_) => {}
            _ => return Flow::Continue,
        }
        attached(|py| {
            let message =
                PySystemMessage::new(py, cx.pid(), message).and_then(|message| Bound::new(py, message));
            self.call(py, message.map(Bound::into_any))
        })
    }
}

/// Calls `f` unless the interpreter is at its end, where only threads of the pool can still be: their
/// handlers were left behind by the shutdown.
fn attached(f: impl FnOnce(Python<'_>) -> Flow) -> Flow {
    Python::try_attach(f).unwrap_or(Flow::Stop(ExitReason::Killed))
}

/// Whether Ctrl-C ended a handler on this thread since the last call.
pub(crate) fn take_interrupt() -> bool {
    INTERRUPTED.take()
}

/// Whether a call only makes an object that somebody else would have to run.
fn is_deferred(handler: &Bound<'_, PyAny>) -> PyResult<bool> {
    const CO_GENERATOR: u32 = 0x20;
    const CO_COROUTINE: u32 = 0x80;
    const CO_ASYNC_GENERATOR: u32 = 0x200;
    let py = handler.py();
    let Some(code) = handler.getattr_opt(intern!(py, "__code__"))? else { return Ok(false) };
    let flags = code.getattr(intern!(py, "co_flags"))?.extract::<u32>()?;
    Ok(flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR) != 0)
}
