//! Actors whose code and state is an object: what the runtime calls on it besides its handler.

use std::any::Any;

use myrmidon::actor::{Behaviour, Context, ExitReason as Reason, Flow, SystemMessage};
use myrmidon::mailbox::Payload;
use pyo3::intern;
use pyo3::prelude::*;

use crate::actors::living;
use crate::behaviour::AsyncOptions;
use crate::errors;
use crate::exit_reason::{ExitReason, from_exception, traceback};
use crate::handler::failed;
use crate::number::{Id, count};
use crate::options::{Options, USUAL_BUDGET};
use crate::runtime::Runtime;

#[pymethods]
impl Runtime {
    /// Starts an actor with hooks: an object with the methods `started(pid)`, `stopped(reason)` and
    /// `upgrade(old_hooks, version)`. With `guarded`, only nodes that prove who they are can send to it. The
    /// rest is as in `spawn`.
    #[pyo3(signature = (hooks, handler, *, budget, name, mailbox, priority, trap_exit, blocking, guarded, concurrency,
        r#loop))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn _start_actor(
        &self,
        hooks: Bound<'_, PyAny>,
        handler: Bound<'_, PyAny>,
        #[pyo3(from_py_with = count)] budget: u32,
        name: Option<&str>,
        mailbox: Option<Bound<'_, PyAny>>,
        priority: &str,
        trap_exit: bool,
        blocking: bool,
        guarded: bool,
        #[pyo3(from_py_with = count)] concurrency: usize,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let bounded = mailbox.is_some();
        let asynchronous = AsyncOptions { event_loop: r#loop, concurrency, budget, blocking, bounded };
        let actor =
            ClassActor::new(hooks, self.behaviour(handler, &asynchronous)?, self.shared().actors.deal());
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
    /// it needs of the one before; what that raises keeps the old.
    #[pyo3(signature = (pid, hooks, handler, *, concurrency, now))]
    fn _upgrade_actor(
        &self,
        pid: Id,
        hooks: Bound<'_, PyAny>,
        handler: Bound<'_, PyAny>,
        #[pyo3(from_py_with = count)] concurrency: usize,
        now: bool,
    ) -> PyResult<u64> {
        let (core, pid) = (self.core()?, living(pid)?);
        let bounded = core.mailbox_capacity(pid).is_some();
        let asynchronous =
            AsyncOptions { event_loop: None, concurrency, budget: USUAL_BUDGET, blocking: false, bounded };
        let actor =
            ClassActor::new(hooks, self.behaviour(handler, &asynchronous)?, self.shared().actors.deal());
        let version = if now { core.hot_swap_now(pid, actor) } else { core.hot_swap(pid, actor) };
        version.map_err(|error| errors::swap(&error))
    }
}

/// A handler with hooks.
struct ClassActor {
    handler: Box<dyn Behaviour>,
    /// Where the hooks run if the handler runs no Python in its turns, as async ones do.
    lane: u32,
    hooks: Hooks,
}

/// What a later version is shown of this one.
struct Hooks(Py<PyAny>);

impl ClassActor {
    fn new(hooks: Bound<'_, PyAny>, handler: Box<dyn Behaviour>, lane: u32) -> Box<Self> {
        Box::new(Self { handler, lane, hooks: Hooks(hooks.unbind()) })
    }
}

impl Behaviour for ClassActor {
    fn started(&mut self, cx: &mut Context<'_>) -> Flow {
        let started = Python::try_attach(|py| {
            let called = self.hooks.0.call_method1(py, intern!(py, "started"), (cx.pid().as_u64(),));
            called.map_err(|error| failed(py, &error))
        });
        match started {
            Some(Ok(_)) => self.handler.started(cx),
            Some(Err(reason)) => Flow::Stop(reason),
            None => Flow::Stop(Reason::Killed),
        }
    }

    fn handle(&mut self, message: Payload, cx: &mut Context<'_>) -> Flow {
        self.handler.handle(message, cx)
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Flow {
        self.handler.resume(cx)
    }

    fn conclude(&mut self, cx: &mut Context<'_>) -> Flow {
        self.handler.conclude(cx)
    }

    fn cancel(&mut self) {
        self.handler.cancel();
    }

    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        self.handler.system(message, cx)
    }

    fn stopping(&mut self, reason: Reason, cx: &mut Context<'_>) -> Flow {
        self.handler.stopping(reason, cx)
    }

    fn stopped(&mut self, reason: &Reason) {
        self.handler.stopped(reason);
        Python::try_attach(|py| {
            let stopped = intern!(py, "stopped");
            if let Err(error) = self.hooks.0.call_method1(py, stopped, (ExitReason::from(reason),)) {
                error.write_unraisable(py, Some(self.hooks.0.bind(py)));
            }
        });
    }

    fn lane(&self, lane: u32) -> u32 {
        match self.handler.lane(lane) {
            0 => self.lane,
            lane => lane,
        }
    }

    fn state(&mut self) -> Option<&mut dyn Any> {
        Some(&mut self.hooks)
    }

    fn upgrade(&mut self, old: Option<&mut dyn Any>, version: u64) -> Result<(), String> {
        let upgraded = Python::try_attach(|py| {
            let old = old.and_then(|old| old.downcast_ref::<Hooks>()).map(|old| old.0.clone_ref(py));
            let called = self.hooks.0.call_method1(py, intern!(py, "upgrade"), (old, version));
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
