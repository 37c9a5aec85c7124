//! The behaviour around a Python callable.

use std::cell::Cell;

use myrmidon::actor::{Behaviour, Context, ExitCause, ExitReason, Flow, SystemMessage};
use myrmidon::mailbox::Payload;
use pyo3::exceptions::{PyKeyboardInterrupt, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::ask::{self, Question};
use crate::call::with_argument;
use crate::exit_reason::from_exception;
use crate::known;
use crate::payload;
use crate::system_message::PySystemMessage;

thread_local! {
    /// Whether a handler on this thread ended by KeyboardInterrupt.
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
}

/// An actor whose code is a Python callable of one argument. It runs on threads that keep their state
/// of the interpreter: those of a lane, attached for good, or those of the pool for blocking work.
pub(crate) struct Handler {
    handler: Py<PyAny>,
    /// The lane for handlers that do not block.
    lane: u32,
}

impl Handler {
    /// `handler` was looked at by [`kind`]; `lane` is the lane for handlers that do not block.
    pub(crate) fn new(handler: Bound<'_, PyAny>, lane: u32) -> Self {
        Self { handler: handler.unbind(), lane }
    }

    /// What it returns is ignored. What it raises ends the actor.
    fn call<'py>(&self, py: Python<'py>, argument: PyResult<Bound<'py, PyAny>>) -> Flow {
        let call = |argument: Bound<'py, PyAny>| with_argument(self.handler.bind(py), &argument);
        match argument.and_then(call).and_then(|returned| ran(&returned)) {
            Ok(()) => Flow::Continue,
            Err(error) => Flow::Stop(failed(py, &error)),
        }
    }

    /// What it returns is the answer. What it raises is raised by who asked too.
    fn answer(&self, py: Python<'_>, question: Question, cx: &mut Context<'_>) -> Flow {
        let Question { message, answer } = question;
        let Some(answer) = answer.wanted() else { return Flow::Continue };
        let message = match payload::into_python(py, message) {
            Ok(message) => message.into_any(),
            Err(error) => return Flow::Stop(failed(py, &error)),
        };
        match with_argument(self.handler.bind(py), &message) {
            Ok(value) => {
                answer.send_value(&value);
                Flow::Continue
            }
            Err(error) => {
                let reason = failed(py, &error);
                if answer.fail(py, error, &reason) {
                    cx.asker_is_told();
                }
                Flow::Stop(reason)
            }
        }
    }
}

/// Refuses what a plain function around an `async def` returns, as some decorators make one: nobody would run
/// it, and the message would be lost.
#[inline]
pub(crate) fn ran(returned: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = returned.py();
    if returned.is_none() || !returned.get_type().is(known::COROUTINE.get(py)?) {
        return Ok(());
    }
    returned.call_method0(intern!(py, "close"))?;
    Err(PyTypeError::new_err(
        "the handler returned a coroutine, which nobody runs: make what is spawned an async def, also where it is \
         decorated",
    ))
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

    /// Not on the workers, where an actor may have been whose code was not called in its turns.
    fn lane(&self, lane: u32) -> u32 {
        if lane == 0 { self.lane } else { lane }
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        attached(|py| match ask::question(message) {
            Ok(question) => self.answer(py, question, cx),
            Err(message) => self.call(py, payload::into_python(py, message).map(Bound::into_any)),
        })
    }

    /// Exits and nodes that the actor asked to hear of reach its handler. What its supervisor acts on does
    /// not, and neither does the rest.
    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        if !is_for_code(&message, cx) {
            return Flow::Continue;
        }
        attached(|py| {
            let message =
                PySystemMessage::new(py, cx.pid(), message).and_then(|message| Bound::new(py, message));
            self.call(py, message.map(Bound::into_any))
        })
    }
}

/// Whether a system message is shown to the code of a Python actor.
pub(crate) fn is_for_code(message: &SystemMessage, cx: &Context<'_>) -> bool {
    match message {
        SystemMessage::Exit { cause: ExitCause::RemoteMonitor(_), .. } => !cx.is_supervised(),
        SystemMessage::Exit { .. } | SystemMessage::Node(_) => true,
        _ => false,
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

/// What a callable is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    /// An `async def`: a call makes an object that an event loop has to run.
    Coroutine,
}

const CO_GENERATOR: u32 = 0x20;
const CO_COROUTINE: u32 = 0x80;
const CO_ASYNC_GENERATOR: u32 = 0x200;
/// Of a function whose code does not run when it is called.
pub(crate) const DEFERRED: u32 = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR;

/// Looks at what shall be the code of an actor.
///
/// # Errors
/// `TypeError` if it cannot be called, or is a generator, whose code would not run when it is called.
pub(crate) fn kind(callable: &Bound<'_, PyAny>) -> PyResult<Kind> {
    refuse_class_actor(callable)?;
    if !callable.is_callable() {
        return Err(refused(&format!("not {}", callable.get_type().name()?)));
    }
    let flags = flags(callable)?;
    if flags & (CO_GENERATOR | CO_ASYNC_GENERATOR) != 0 {
        return Err(refused("not a generator: use a plain function or an async def without yield"));
    }
    Ok(if flags & CO_COROUTINE != 0 { Kind::Coroutine } else { Kind::Plain })
}

/// Refuses a class actor, whose class would be called for each message, and do nothing.
fn refuse_class_actor(callable: &Bound<'_, PyAny>) -> PyResult<()> {
    let actor = known::ACTOR.get(callable.py())?.cast::<PyType>()?;
    let class = match callable.cast::<PyType>() {
        Ok(class) if class.is_subclass(actor)? => class.clone(),
        Err(_) if callable.is_instance(actor)? && !callable.is_callable() => callable.get_type(),
        _ => return Ok(()),
    };
    let name = class.name()?;
    Err(PyTypeError::new_err(format!(
        "{name} is a class actor: rt.start({name}, ...) starts one, Child.of({name}, ...) is one as a child, and upgrade() of \
         an ActorRef replaces one"
    )))
}

/// The flags of the code that a call runs, also through `functools.partial` and a class's `__call__`.
pub(crate) fn flags(callable: &Bound<'_, PyAny>) -> PyResult<u32> {
    let py = callable.py();
    if let Some(code) = callable.getattr_opt(intern!(py, "__code__"))? {
        return code.getattr(intern!(py, "co_flags"))?.extract();
    }
    if callable.is_instance(known::PARTIAL.get(py)?)? {
        return flags(&callable.getattr(intern!(py, "func"))?);
    }
    let call = callable.get_type().getattr_opt(intern!(py, "__call__"))?;
    let code = call.and_then(|call| call.getattr_opt(intern!(py, "__code__")).transpose()).transpose()?;
    code.map_or(Ok(0), |code| code.getattr(intern!(py, "co_flags"))?.extract())
}

fn refused(why: &str) -> PyErr {
    PyTypeError::new_err(format!("the code of an actor is a callable of one argument, {why}"))
}
