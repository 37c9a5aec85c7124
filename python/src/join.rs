//! Waiting for the end of an actor.

use std::sync::mpsc::sync_channel;

use myrmidon::Pid;
use myrmidon::actor::{ExitReason as Reason, MonitorRef};
use pyo3::prelude::*;
use tokio::sync::oneshot;

use crate::ask::holds_own_loop;
use crate::asyncio::{Request, coroutine, within};
use crate::current::current_actor;
use crate::errors::{MyrmidonError, Timeout};
use crate::exit_reason::ExitReason;
use crate::loop_bell::Bell;
use crate::number::Id;
use crate::runtime::Runtime;
use crate::wait::{limit, receive, wait_for};

#[pymethods]
impl Runtime {
    /// Waits until an actor has ended, at most `timeout` seconds. Returns why it ended, "noproc" if
    /// it had ended before.
    ///
    /// Raises `Timeout`, and `Busy` where it would hold up the event loop in which the actor has messages to handle.
    #[pyo3(signature = (pid, timeout=None))]
    fn join(&self, py: Python<'_>, pid: Id, timeout: Option<f64>) -> PyResult<ExitReason> {
        let (core, limit) = (self.core()?, limit(timeout)?);
        let Some(target) = pid.pid() else {
            return Ok(ExitReason::from(&Reason::NoProcess));
        };
        refuse_own(py, target)?;
        if Bell::running(py)?
            .and_then(|bell| bell.unhandled(self.shared(), target))
            .is_some_and(|left| left > 0)
        {
            return Err(holds_own_loop(target, "await rt.join_py(pid)"));
        }
        let (tell, told) = sync_channel(1);
        let monitor = core.on_exit(target, move |reason| drop(tell.try_send(ExitReason::from(reason))));
        let reason = wait_for(py, core, limit, receive(told));
        if !matches!(reason, Ok(Some(_))) {
            core.forget_exit(target, monitor);
        }
        match reason? {
            Some(Some(reason)) => Ok(reason),
            Some(None) => Ok(ExitReason::from(&Reason::Killed)), // The runtime went down with the actor.
            None => Err(lives(target)),
        }
    }

    /// As `join`, without blocking the event loop. Cancelling the task gives the wait up, and does nothing to the actor.
    ///
    /// Raises `Timeout`.
    #[pyo3(signature = (pid, timeout=None))]
    fn join_py<'py>(this: &Bound<'py, Self>, pid: Id, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "join_py", move |runtime, py| {
            let (core, limit) = (runtime.core_for_loop()?, limit(timeout)?);
            let end =
                pid.pid().map(|target| refuse_own(py, target).map(|()| End::of(core, target))).transpose()?;
            Request::start(py, core.io(), move |open| async move {
                let reason = match end {
                    Some(mut end) => within(limit, end.reason()).await.ok_or(end.target),
                    None => Ok(Reason::NoProcess),
                };
                open.settle(move |py| match reason {
                    Ok(reason) => Ok(Py::new(py, ExitReason::from(&reason))?.into_any()),
                    Err(target) => Err(lives(target)),
                });
            })
        })
    }
}

/// The end of an actor, for who awaits it. Dropped before, it leaves nothing with the actor.
struct End {
    core: myrmidon::Runtime,
    target: Pid,
    monitor: MonitorRef,
    told: oneshot::Receiver<Reason>,
}

impl End {
    fn of(core: &myrmidon::Runtime, target: Pid) -> Self {
        let (tell, told) = oneshot::channel();
        let monitor = core.on_exit(target, move |reason| drop(tell.send(reason.clone())));
        Self { core: core.clone(), target, monitor, told }
    }

    async fn reason(&mut self) -> Reason {
        // Where nobody is told, the runtime went down with the actor.
        (&mut self.told).await.unwrap_or(Reason::Killed)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.core.forget_exit(self.target, self.monitor);
    }
}

fn refuse_own(py: Python<'_>, target: Pid) -> PyResult<()> {
    if current_actor(py)? == Some(target) {
        return Err(MyrmidonError::new_err("an actor cannot wait for its own end: return from the handler"));
    }
    Ok(())
}

fn lives(target: Pid) -> PyErr {
    Timeout::new_err(format!(
        "actor {target} is still alive: give join() more time, or end the actor with stop() or kill()"
    ))
}
