//! Actors whose code and state is an object: what the runtime calls on it besides its handler.

use std::any::Any;

use myrmidon::actor::{Behaviour, Context, ExitReason as Reason, Flow, SystemMessage};
use myrmidon::mailbox::Payload;
use pyo3::intern;
use pyo3::prelude::*;

use crate::actors::living;
use crate::behaviour::{AsyncOptions, Called};
use crate::errors;
use crate::exit_reason::{ExitReason, from_exception, traceback};
use crate::giver::Giver;
use crate::handler::failed;
use crate::number::{self, Id};
use crate::options::Options;
use crate::runtime::Runtime;

#[pymethods]
impl Runtime {
    /// Starts an actor with hooks: an object with the methods `started(pid)`, `stopped(reason)` and
    /// `upgrade(old_hooks, version)`. What `started` returns, if it is not `None`, an async handler is given before any
    /// message. With `guarded`, only nodes that prove who they are can send to it. The
    /// rest is as in `spawn`.
    #[pyo3(signature = (hooks, handler, *, budget, name, mailbox, priority, trap_exit, blocking, guarded, concurrency,
        r#loop))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn _start_actor(
        &self,
        hooks: Bound<'_, PyAny>,
        handler: Bound<'_, PyAny>,
        #[pyo3(from_py_with = number::budget)] budget: u32,
        name: Option<&str>,
        mailbox: Option<Bound<'_, PyAny>>,
        priority: &str,
        trap_exit: bool,
        blocking: bool,
        guarded: bool,
        #[pyo3(from_py_with = number::concurrency)] concurrency: usize,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let bounded = mailbox.is_some();
        let (concurrency, given_budget) = (Some(concurrency), Some(budget));
        let asynchronous =
            AsyncOptions { event_loop: r#loop, concurrency, budget: given_budget, blocking, bounded };
        let actor = ClassActor::new(hooks, self.called(handler, &asynchronous)?, self.shared().actors.deal());
        self.start(actor, Options { budget, mailbox, priority, trap_exit, blocking, guarded }, name)
    }

    /// Whether what the actor answers comes from this process or from a node that has proved who it is.
    fn _is_trusted(&self, pid: Id) -> PyResult<bool> {
        Ok(self.core()?.is_trusted(living(pid)?))
    }

    /// Whether what is sent to the actor comes from this process or from a node that has proved who it is.
    fn _is_guarded(&self, pid: Id) -> PyResult<bool> {
        Ok(self.core()?.is_guarded(living(pid)?))
    }

    /// Replaces the code and state of an actor by an object with hooks, whose `upgrade` may take over what
    /// it needs of the one before; what that raises keeps the old. What is `None` stays as it was.
    #[pyo3(signature = (pid, hooks, handler, *, budget, concurrency, r#loop))]
    fn _upgrade_actor(
        &self,
        pid: Id,
        hooks: Bound<'_, PyAny>,
        handler: Bound<'_, PyAny>,
        #[pyo3(from_py_with = number::or_none::budget)] budget: Option<u32>,
        #[pyo3(from_py_with = number::or_none::concurrency)] concurrency: Option<usize>,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let (core, pid) = (self.core()?, living(pid)?);
        let bounded = core.mailbox_capacity(pid).is_some();
        let asynchronous = AsyncOptions { event_loop: r#loop, concurrency, budget, blocking: false, bounded };
        let actor = ClassActor::new(hooks, self.called(handler, &asynchronous)?, self.shared().actors.deal());
        core.hot_swap(pid, actor).map_err(|error| errors::swap(&error))
    }
}

/// A handler with hooks.
pub(crate) struct ClassActor {
    handler: Called,
    /// Where the hooks that the handler is not given run if that runs no Python in its turns, as async ones do.
    lane: u32,
    hooks: Py<PyAny>,
}

impl ClassActor {
    fn new(hooks: Bound<'_, PyAny>, handler: Called, lane: u32) -> Box<Self> {
        Box::new(Self { handler, lane, hooks: hooks.unbind() })
    }

    /// Its handler, if that runs in an event loop.
    pub(crate) fn in_loop(&self) -> Option<&Giver> {
        match &self.handler {
            Called::InTurns(_) => None,
            Called::InLoop(giver) => Some(giver),
        }
    }

    fn handler(&mut self) -> &mut dyn Behaviour {
        match &mut self.handler {
            Called::InTurns(handler) => handler.as_mut(),
            Called::InLoop(giver) => giver.as_mut(),
        }
    }
}

impl Behaviour for ClassActor {
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        let started = Python::try_attach(|py| {
            let called = self.hooks.call_method1(py, intern!(py, "started"), (cx.pid().as_u64(),));
            called.map(|first| (!first.is_none(py)).then_some(first)).map_err(|error| failed(py, &error))
        });
        let first = match started {
            Some(Ok(first)) => first,
            Some(Err(reason)) => return Flow::Stop(reason),
            None => return Flow::Stop(Reason::Killed),
        };
        match (&mut self.handler, first) {
            (Called::InTurns(handler), _) => handler.started(cx),
            (Called::InLoop(giver), None) => giver.started(cx),
            (Called::InLoop(giver), Some(first)) => giver.started_with(first, cx),
        }
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        self.handler().handle(message, cx)
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Flow {
        self.handler().resume(cx)
    }

    fn conclude(&mut self, cx: &mut Context<'_>) -> Flow {
        self.handler().conclude(cx)
    }

    fn cancel(&mut self) {
        self.handler().cancel();
    }

    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        self.handler().system(message, cx)
    }

    fn wind_up(&mut self, reason: &Reason, cx: &mut Context<'_>) -> Flow {
        self.handler().wind_up(reason, cx)
    }

    fn stopping(&mut self, reason: Reason, cx: &mut Context<'_>) -> Flow {
        self.handler().stopping(reason, cx)
    }

    fn stopped(&mut self, reason: &Reason) {
        self.handler().stopped(reason);
        Python::try_attach(|py| {
            let stopped = intern!(py, "stopped");
            if let Err(error) = self.hooks.call_method1(py, stopped, (ExitReason::from(reason),)) {
                error.write_unraisable(py, Some(self.hooks.bind(py)));
            }
        });
    }

    fn lane(&self, lane: u32) -> u32 {
        match &self.handler {
            Called::InTurns(handler) => handler.lane(lane),
            Called::InLoop(_) => self.lane,
        }
    }

    fn state(&mut self) -> Option<&mut dyn Any> {
        Some(self)
    }

    fn upgrade(&mut self, mut old: Option<&mut dyn Any>, version: u64) -> Result<(), String> {
        self.handler().upgrade(old.as_deref_mut(), version)?;
        let upgraded = Python::try_attach(|py| {
            let old = old.and_then(|old| old.downcast_ref::<Self>()).map(|old| old.hooks.clone_ref(py));
            let called = self.hooks.call_method1(py, intern!(py, "upgrade"), (old, version));
            called.map(drop).map_err(|error| {
                let reason = from_exception(py, &error);
                format!("{reason}\n{}", traceback(&reason).unwrap_or_default().trim_end())
            })
        });
        upgraded.unwrap_or_else(|| Err("the interpreter is ending".to_owned()))
    }
}

/// What a handler returns in place of an answer to have who asked raise `error`, while the actor lives on.
#[pyclass(frozen, module = "myrmidon._core")]
pub(crate) struct Failure(Py<PyAny>);

#[pymethods]
impl Failure {
    #[new]
    fn new(error: Py<PyAny>) -> Self {
        Self(error)
    }
}

impl Failure {
    pub(crate) fn error(&self, py: Python<'_>) -> PyErr {
        PyErr::from_value(self.0.bind(py).clone())
    }
}
