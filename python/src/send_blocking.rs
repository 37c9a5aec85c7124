//! Sending that waits for room in a bounded mailbox.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use myrmidon::Pid;
use myrmidon::actor::current;
use myrmidon::error::SendError;
use myrmidon::mailbox::Payload;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::ask::holds_own_loop;
use crate::asyncio::{Request, coroutine, within};
use crate::current::current_actor;
use crate::errors::Busy;
use crate::loop_bell::Bell;
use crate::number::Id;
use crate::payload;
use crate::remote::{lost, no_room};
use crate::runtime::Runtime;
use crate::wait::{limit, receive, wait_for};

type Sent = Result<(), SendError<Payload>>;

#[pymethods]
impl Runtime {
    /// As `send`, but where the actor's mailbox is bounded with policy "block" waits for room, at most
    /// `timeout` seconds; first come, first served. For an actor of another node it waits so for room on the way there,
    /// and not for `send_timeout`. Returns whether the actor was alive to take it.
    ///
    /// A `Buffer` that was not taken stays as it is.
    ///
    /// Raises `Busy` when the time is up, where another policy rejects the message, and for an actor that
    /// would wait for room in its own mailbox, or hold up the event loop in which the actor runs; for an actor of
    /// another node also `NodeDown` and `PayloadTooLarge`.
    #[pyo3(signature = (pid, data, timeout=None))]
    fn send_blocking(
        &self,
        py: Python<'_>,
        pid: Id,
        data: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<bool> {
        let (core, limit) = (self.core()?, limit(timeout)?);
        let target = pid.pid();
        if payload::is_wasted(data, core, target) {
            return Ok(false);
        }
        let payload = payload::local(data)?;
        let Some(target) = target else { return Ok(false) };
        let sent = match core.send(target, payload) {
            Err(SendError::Full { message, .. }) if current() != Some(target) => {
                if Bell::running(py)?.is_some_and(|bell| bell.runs(self.shared(), target)) {
                    drop(message);
                    payload::give_back(data);
                    return Err(holds_own_loop(target, "await rt.send_blocking_py(pid, data)"));
                }
                self.wait_for_room(py, target, message, limit)
            }
            sent => told(core, sent, target),
        };
        if !matches!(sent, Ok(true)) {
            payload::give_back(data);
        }
        sent
    }

    /// As `send_blocking`, without blocking the event loop; to an actor of another node it waits in the same way for room
    /// in the queue to that node. If the task is cancelled while it waits, nothing is sent. A `Buffer` counts as sent then.
    ///
    /// Raises `Busy` when the time is up, where another policy rejects the message, and for an actor that would wait for
    /// room in its own mailbox; for an actor of another node also `NodeDown` and `PayloadTooLarge`.
    #[pyo3(signature = (pid, data, timeout=None))]
    fn send_blocking_py<'py>(
        this: &Bound<'py, Self>,
        pid: Id,
        data: Py<PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "send_blocking_py", move |runtime, py| {
            let (core, limit) = (runtime.core_for_loop()?.clone(), limit(timeout)?);
            let nobody = payload::is_wasted(data.bind(py), &core, pid.pid());
            let Some(target) = pid.pid().filter(|_| !nobody) else {
                return Request::elsewhere(py, |open| {
                    open.settle(|py| truth(py, Ok(false)));
                    Ok(())
                });
            };
            let is_own = current_actor(py)? == Some(target);
            let sent = core.send(target, payload::local(data.bind(py))?);
            Request::start(py, core.clone().io(), move |open| async move {
                let sent = match sent {
                    Err(SendError::Full { message, .. }) if !is_own => {
                        within(limit, core.send_eventually(target, message)).await
                    }
                    sent => Some(sent),
                };
                open.settle(move |py| {
                    let sent = match sent {
                        Some(sent) => told(&core, sent, target),
                        None => Err(full(&core, target)),
                    };
                    if !matches!(sent, Ok(true)) {
                        payload::give_back(data.bind(py));
                    }
                    truth(py, sent)
                });
            })
        })
    }
}

fn truth(py: Python<'_>, sent: PyResult<bool>) -> PyResult<Py<PyAny>> {
    Ok(PyBool::new(py, sent?).to_owned().into_any().unbind())
}

impl Runtime {
    fn wait_for_room(
        &self,
        py: Python<'_>,
        target: Pid,
        message: Payload,
        limit: Option<Duration>,
    ) -> PyResult<bool> {
        let (rt, (tell, result)) = (self.core()?, sync_channel(1));
        let core = rt.clone();
        let sending =
            rt.io().spawn(async move { drop(tell.send(core.send_eventually(target, message).await)) });
        let mut result = receive(result);
        let waited = wait_for(py, rt, limit, &mut result);
        sending.abort();
        // Given up it sends nothing; if it was done at the last moment, it is done.
        let late = py.detach(|| result(None)).flatten();
        match waited?.flatten().or(late) {
            Some(sent) => told(rt, sent, target),
            None => Err(full(rt, target)),
        }
    }
}

fn told(core: &myrmidon::Runtime, sent: Sent, target: Pid) -> PyResult<bool> {
    match sent {
        Ok(()) => Ok(true),
        Err(SendError::Full { .. }) => Err(full(core, target)),
        Err(error) => lost(&error),
    }
}

fn full(core: &myrmidon::Runtime, target: Pid) -> PyErr {
    match core.is_remote(target) {
        true => no_room(target),
        false => {
            Busy::new_err(format!("the mailbox of actor {target} is full: send later, or give it more room"))
        }
    }
}
