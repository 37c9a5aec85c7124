//! What a callable becomes: the behaviour of an actor.

use std::sync::Arc;

use myrmidon::actor::Behaviour;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::async_handler::AsyncHandler;
use crate::code::Code;
use crate::giver::{Giver, Kind as Given, Unsaid};
use crate::handler::{Handler, Kind, kind};
use crate::known;
use crate::loop_bell::Bell;
use crate::options::{Options, USUAL_BUDGET, starting_in};
use crate::pull::{Function, PullTask, PullThread};
use crate::runtime::Runtime;
use crate::shelf::{Allowance, Shelf};

/// How an `async def` handler runs. What is not said is that of the async code which it replaces, or the default.
pub(crate) struct AsyncOptions<'py> {
    /// The event loop; by default the running one, or else the runtime's own.
    pub(crate) event_loop: Option<Bound<'py, PyAny>>,
    /// How many messages it may handle at a time; by default 1.
    pub(crate) concurrency: Option<usize>,
    /// How many it may handle before others of the loop have their turn.
    pub(crate) budget: Option<u32>,
    /// Whether it was said to block.
    pub(crate) blocking: bool,
    /// Whether the actor's mailbox has a bound.
    pub(crate) bounded: bool,
}

/// Code that is called with the messages of an actor.
pub(crate) enum Called {
    /// In the turns of the actor.
    InTurns(Box<Handler>),
    /// In an event loop.
    InLoop(Box<Giver>),
}

impl Called {
    pub(crate) fn into_behaviour(self) -> Box<dyn Behaviour> {
        match self {
            Self::InTurns(handler) => handler,
            Self::InLoop(giver) => giver,
        }
    }
}

#[pymethods]
impl Runtime {
    /// Starts an actor whose code is `function`, which is called once with the actor's mailbox and takes
    /// the messages from there itself.
    ///
    /// An `async def` gets an `AsyncMailbox` and runs as a task of `loop`: the running loop unless told
    /// otherwise, or the runtime's own where none runs. Any other function gets a `Mailbox` and runs on a
    /// thread of its own, of which there may be 256.
    ///
    /// The actor ends when the function returns or raises. When it is stopped, the mailbox ends behind
    /// what was sent before, and the actor ends once the function has returned.
    ///
    /// `mailbox`, `priority` and `trap_exit` are as in `spawn`.
    ///
    /// Returns the PID.
    ///
    /// Raises as `spawn`, and `Busy` if no more threads may run.
    #[pyo3(signature = (function, *, name=None, mailbox=None, priority="normal", trap_exit=false,
        r#loop=None))]
    fn spawn_with_mailbox(
        &self,
        function: Bound<'_, PyAny>,
        name: Option<&str>,
        mailbox: Option<Bound<'_, PyAny>>,
        priority: &str,
        trap_exit: bool,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        self.core()?;
        let behaviour = self.function(function, r#loop.as_ref(), mailbox.is_some())?;
        let (budget, blocking, guarded) = (USUAL_BUDGET, false, false);
        let options = Options { budget, mailbox, priority, trap_exit, blocking, guarded };
        self.start(behaviour, options, name)
    }
}

impl Runtime {
    /// The behaviour around a handler, plain or async.
    pub(crate) fn called(&self, handler: Bound<'_, PyAny>, options: &AsyncOptions<'_>) -> PyResult<Called> {
        if kind(&handler)? == Kind::Plain {
            options.refuse_for_plain()?;
            return Ok(Called::InTurns(Box::new(Handler::new(handler, self.shared().actors.deal()))));
        }
        self.refuse_if_simulated("an async def")?;
        if options.blocking {
            let text = "blocking is for plain functions: an async def awaits what it waits for";
            return Err(PyTypeError::new_err(text));
        }
        if options.concurrency == Some(0) {
            return Err(PyValueError::new_err("concurrency is at least 1 message at a time"));
        }
        let py = handler.py();
        let handler = AsyncHandler {
            bell: self.bell(py, options.event_loop.as_ref())?,
            context: context(py)?,
            handler: handler.unbind(),
            concurrency: options.concurrency.unwrap_or(1),
            budget: options.budget.unwrap_or(USUAL_BUDGET),
        };
        let unsaid = Unsaid {
            event_loop: options.event_loop.is_none(),
            concurrency: options.concurrency.is_none(),
            budget: options.budget.is_none(),
        };
        let allowance = if options.bounded { Allowance::Free(handler.concurrency) } else { Allowance::Ahead };
        Ok(Called::InLoop(self.giver(Given::Handler(Arc::new(handler), unsaid), allowance)))
    }

    fn function(
        &self,
        function: Bound<'_, PyAny>,
        event_loop: Option<&Bound<'_, PyAny>>,
        bounded: bool,
    ) -> PyResult<Box<dyn Behaviour>> {
        let py = function.py();
        self.refuse_if_simulated("a pull actor")?;
        let function = match kind(&function)? {
            Kind::Plain if event_loop.is_some() => return Err(no_loop_for_plain()),
            Kind::Plain => Function::Thread(PullThread::new(function.unbind(), &self.shared().pull)?),
            Kind::Coroutine => Function::Task(Arc::new(PullTask {
                bell: self.bell(py, event_loop)?,
                context: context(py)?,
                function: function.unbind(),
            })),
        };
        let allowance = if bounded { Allowance::Wanted } else { Allowance::Ahead };
        Ok(self.giver(Given::Function(function), allowance))
    }

    fn refuse_if_simulated(&self, what: &str) -> PyResult<()> {
        match self.shared().simulated {
            false => Ok(()),
            true => Err(PyTypeError::new_err(format!(
                "{what} runs in a time and an order of its own, which no simulation decides: test it with a Runtime"
            ))),
        }
    }

    fn giver(&self, kind: Given, allowance: Allowance) -> Box<Giver> {
        let code = Code::new(Shelf::new(allowance), self.shared().clone());
        Box::new(Giver::new(Arc::new(code), kind))
    }

    /// The bell of the loop for async code.
    fn bell(&self, py: Python<'_>, event_loop: Option<&Bound<'_, PyAny>>) -> PyResult<Bell> {
        match (event_loop, Bell::running(py)?) {
            (Some(event_loop), running) => match running {
                Some(bell) if bell.is_of(event_loop) => Ok(bell),
                _ if !event_loop.is_instance(known::EVENT_LOOP.get(py)?)? => Err(no_loop(event_loop)),
                _ => Bell::of(event_loop),
            },
            (None, Some(bell)) => Ok(bell),
            (None, None) => match starting_in() {
                Some(bell) if !bell.is_over() => Ok(bell),
                _ => self.shared().own_loop.bell(py),
            },
        }
    }
}

impl AsyncOptions<'_> {
    fn refuse_for_plain(&self) -> PyResult<()> {
        if self.event_loop.is_some() {
            return Err(no_loop_for_plain());
        }
        if self.concurrency.is_some_and(|concurrency| concurrency != 1) {
            let text = "concurrency is for async def handlers: a plain one handles one message at a time";
            return Err(PyTypeError::new_err(text));
        }
        Ok(())
    }
}

/// A context for one actor: a copy of its spawner's.
fn context(py: Python<'_>) -> PyResult<Py<PyAny>> {
    Ok(known::COPY_CONTEXT.get(py)?.call0()?.unbind())
}

fn no_loop(given: &Bound<'_, PyAny>) -> PyErr {
    PyTypeError::new_err(format!(
        "loop is an event loop, as asyncio.get_running_loop() or asyncio.new_event_loop() gives it, not {given:?}"
    ))
}

fn no_loop_for_plain() -> PyErr {
    PyTypeError::new_err("loop is for async def functions: a plain one does not run in an event loop")
}
