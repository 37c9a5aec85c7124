//! The end of a runtime, asked for or left to the collector.

use std::sync::mpsc::sync_channel;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

use super::Runtime;
use super::arguments::FOREVER;
use crate::asyncio::{Open, Request, coroutine};
use crate::current::current_actor;
use crate::wait::{receive, seconds, wait_for};

/// How far the end of a runtime has come: one caller sees to it, others wait for that.
#[derive(Default)]
pub(super) struct Ending {
    stage: Mutex<Stage>,
    over: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Stage {
    #[default]
    Running,
    Ending,
    Over,
}

impl Ending {
    /// Whether the caller is the first and is to see to it.
    pub(super) fn begin(&self) -> bool {
        let mut stage = self.stage();
        let first = *stage == Stage::Running;
        if first {
            *stage = Stage::Ending;
        }
        first
    }

    pub(super) fn end(&self) {
        *self.stage() = Stage::Over;
        self.over.notify_all();
    }

    /// Waits for the end, at most for `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let waited = self.over.wait_timeout_while(self.stage(), limit, |stage| *stage != Stage::Over);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn has_begun(&self) -> bool {
        *self.stage() != Stage::Running
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Runtime {
    /// Stops listening, lets actors handle what is queued and the network take what is under way,
    /// for at most `timeout` seconds, and ends all actors and threads. An `async def` handler in the middle of a message
    /// is waited for like a plain one, and cancelled when the time is up.
    ///
    /// Returns the number of messages that nobody handled. Calling it again does nothing. Inside a
    /// handler it does not wait and returns 0. In a coroutine use `async with`, or `await rt.shutdown_py()`: a wait that
    /// blocks the loop also waits for the handlers that run in it. A pull actor in the middle of a message is not waited for.
    #[pyo3(signature = (timeout=1.0))]
    fn shutdown(&self, py: Python<'_>, timeout: f64) -> PyResult<usize> {
        self.0.birth.check()?;
        let (done, left) = sync_channel(1);
        self.end(timeout, move |left| done.send(left).unwrap_or(()))?;
        if current_actor(py)?.is_some() {
            return Ok(0); // The end of this very handler is what it waits for.
        }
        let left = wait_for(py, self.0.core(), None, receive(left))?;
        Ok(left.flatten().unwrap_or(0))
    }

    /// As `shutdown`, without blocking the event loop. If the task is cancelled, the runtime goes down all the same.
    #[pyo3(signature = (timeout=1.0))]
    fn shutdown_py<'py>(this: &Bound<'py, Self>, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "shutdown_py", move |this, py| {
            this.0.birth.check()?;
            let own = current_actor(py)?.is_some();
            Request::elsewhere(py, |open| {
                let told = |open: Open, left: usize| {
                    open.settle(move |py| Ok(left.into_pyobject(py)?.into_any().unbind()));
                };
                if own {
                    told(open, 0);
                    return this.end(timeout, drop);
                }
                this.end(timeout, move |left| told(open, left))
            })
        })
    }

    /// What becomes of it now that nobody refers to it any more and nobody has shut it down; `None` if somebody has, or
    /// need not.
    fn _left_open(&self) -> Option<&'static str> {
        let own = self.0.birth.is_here() && !self.0.simulated;
        (own && !self.closed() && !self.0.ending.has_begun()).then(|| match self.0.is_unused() {
            true => "it ends now; use `with`, or call shutdown()",
            false => "it goes on until the interpreter ends, as it has actors or listens; use `with`, or call shutdown()",
        })
    }
}

impl Runtime {
    /// Goes down on a thread of its own, which tells `then` how many messages were left.
    fn end(&self, timeout: f64, then: impl FnOnce(usize) + Send + 'static) -> PyResult<()> {
        let timeout = seconds("timeout", timeout)?.unwrap_or(FOREVER);
        let shared = self.0.clone();
        let thread = thread::Builder::new().name("myrmidon-shutdown".to_owned());
        thread.spawn(move || then(shared.finish(timeout)))?;
        Ok(())
    }
}
