//! Methods of `Runtime` about local actors.

use std::sync::mpsc::sync_channel;

use myrmidon::Pid;
use myrmidon::actor::{Behaviour, ExitReason as Reason, SpawnOptions};
use myrmidon::timer::TimerId;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::behaviour::AsyncOptions;
use crate::current::current_actor;
use crate::errors;
use crate::exit_reason::ExitReason;
use crate::options::{Options, USUAL_BUDGET};
use crate::runtime::Runtime;
use crate::wait::{period, receive, seconds, wait_for};
use crate::{number, payload};

#[pymethods]
impl Runtime {
    /// Starts an actor whose code is `handler`, a callable of one argument: the message, `bytes`.
    ///
    /// `budget` is the number of messages it may handle before others get their turn. With `name`
    /// it is registered at once.
    ///
    /// With `blocking=True` the handler may wait, or compute with the interpreter let go, without
    /// holding up other actors: it runs on a pool of `blocking_threads` threads, still one message
    /// after another and in order. When all of them are busy such actors wait in line.
    /// `release_gil=True` is the same by its older name.
    ///
    /// An `async def` handler runs in `loop`, the event loop that is running unless told otherwise, or the
    /// runtime's own where none runs: one message after another, or up to `concurrency` at a time.
    ///
    /// `mailbox=Bounded(n)` bounds the messages that may wait. `priority` is "high", "normal" or
    /// "low": who runs first where more actors are ready than can run. With `trap_exit=True` the exits
    /// of linked actors come as EXIT messages instead of ending this one.
    ///
    /// Returns its PID.
    ///
    /// Raises `TypeError` if `handler` cannot be called, `ValueError` for options that make no sense,
    /// `RegisterError` if the name is taken.
    #[pyo3(signature = (handler, budget=100, *, name=None, mailbox=None, priority="normal",
        trap_exit=false, blocking=false, release_gil=false, concurrency=1, r#loop=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn spawn(
        &self,
        handler: Bound<'_, PyAny>,
        budget: u32,
        name: Option<&str>,
        mailbox: Option<Bound<'_, PyAny>>,
        priority: &str,
        trap_exit: bool,
        blocking: bool,
        release_gil: bool,
        concurrency: usize,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let blocking = blocking || release_gil;
        let bounded = mailbox.is_some();
        let asynchronous = AsyncOptions { event_loop: r#loop, concurrency, budget, blocking, bounded };
        let behaviour = self.behaviour(handler, &asynchronous)?;
        self.start(
            behaviour,
            Options { budget, mailbox, priority, trap_exit, blocking, guarded: false },
            name,
        )
    }

    /// Sends `data` to an actor: `bytes` as they are, a `Buffer` by moving it, and of anything else that
    /// offers its memory as a buffer a copy. Returns whether the actor was alive to take it; to a dead one
    /// a `Buffer` is not moved.
    ///
    /// It never waits, unless `pid` stands for an actor of another node (`remote`) and the queue to that is
    /// full: then at most `send_timeout` seconds.
    ///
    /// Raises `TypeError` for what is no message, `BufferError` for a `Buffer` that was sent before. Only for an
    /// actor of another node also `Busy` if there is still no room, `NodeDown` if the node cannot be reached,
    /// and `PayloadTooLarge`.
    fn send(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number::pid)] pid: u64,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<bool> {
        let core = self.core()?;
        let pid = Pid::from_u64(pid);
        if payload::is_wasted(data, core, pid) {
            return Ok(false);
        }
        let payload = payload::local(data)?;
        let Some(pid) = pid else { return Ok(false) };
        match core.send(pid, payload) {
            Ok(()) => Ok(true),
            Err(error) => self.unsent(py, error),
        }
    }

    /// Sends each of `items` to a local actor: in order, with none of another sender between them,
    /// and for the price of one wake-up. Nothing is sent if one of them is no message; a `Buffer` in
    /// front of it is lost then.
    ///
    /// Returns how many were sent: fewer than all, none as a rule, if the actor was dead.
    fn send_many(&self, pid: u64, items: &Bound<'_, PyAny>) -> PyResult<usize> {
        let core = self.core()?;
        let payloads = items.try_iter()?.map(|item| payload::local(&item?)).collect::<PyResult<Vec<_>>>()?;
        let Some(pid) = Pid::from_u64(pid) else { return Ok(0) };
        Ok(core.send_many(pid, payloads).unwrap_or_else(|error| error.delivered))
    }

    /// Sends `data` to the local actor that has `name`. Returns whether there was one alive.
    fn send_named(&self, py: Python<'_>, name: &str, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let pid = self.core()?.names().whereis(name);
        self.send(py, pid.map_or(0, Pid::as_u64), data)
    }

    /// Asks an actor to end once it has handled what was sent before. Returns whether it was alive.
    fn stop(&self, pid: u64) -> PyResult<bool> {
        let core = self.core()?;
        Ok(Pid::from_u64(pid).is_some_and(|pid| core.stop(pid)))
    }

    /// Ends an actor before its next message; what waits in its mailbox is lost. Returns whether it
    /// was alive.
    fn kill(&self, pid: u64) -> PyResult<bool> {
        let core = self.core()?;
        Ok(Pid::from_u64(pid).is_some_and(|pid| core.kill(pid)))
    }

    /// Waits until an actor has ended, at most `timeout` seconds. Returns why it ended, "noproc" if
    /// it had ended before.
    ///
    /// Raises `Timeout`.
    #[pyo3(signature = (pid, timeout=None))]
    fn join(&self, py: Python<'_>, pid: u64, timeout: Option<f64>) -> PyResult<ExitReason> {
        let core = self.core()?;
        let timeout = timeout.map(|timeout| seconds("timeout", timeout)).transpose()?.flatten();
        let Some(target) = Pid::from_u64(pid) else {
            return Ok(ExitReason::from(&Reason::NoProcess));
        };
        if current_actor(py)? == Some(target) {
            return Err(errors::MyrmidonError::new_err(
                "an actor cannot wait for its own end: return from the handler",
            ));
        }
        let (tell, told) = sync_channel(1);
        let monitor = core.on_exit(target, move |reason| drop(tell.try_send(ExitReason::from(reason))));
        let reason = wait_for(py, timeout, receive(told));
        if !matches!(reason, Ok(Some(_))) {
            core.forget_exit(target, monitor);
        }
        match reason? {
            Some(Some(reason)) => Ok(reason),
            Some(None) => Ok(ExitReason::from(&Reason::Killed)), // The runtime went down with the actor.
            None => Err(errors::Timeout::new_err(format!(
                "actor {pid} is still alive: give join() more time, or end the actor with stop() or kill()"
            ))),
        }
    }

    /// Whether a local actor lives.
    fn is_alive(&self, pid: u64) -> PyResult<bool> {
        let core = self.core()?;
        Ok(Pid::from_u64(pid).is_some_and(|pid| core.is_alive(pid)))
    }

    /// How many messages wait for an actor; `None` if it is not alive.
    fn mailbox_size(&self, pid: u64) -> PyResult<Option<usize>> {
        let core = self.core()?;
        Ok(Pid::from_u64(pid).and_then(|pid| core.mailbox_size(pid)))
    }

    /// Has a PING sent to `pid` on behalf of `from_pid`, which gets the PONG. Returns whether `pid`
    /// was alive.
    fn ping(&self, pid: u64, from_pid: u64) -> PyResult<bool> {
        let core = self.core()?;
        let pids = Pid::from_u64(pid).zip(Pid::from_u64(from_pid));
        Ok(pids.is_some_and(|(pid, from)| core.ping(pid, from)))
    }

    /// Gives a living local actor a name, under which other nodes find it too.
    ///
    /// Raises `RegisterError` if another living actor has the name or it is no legal name,
    /// `NoProcess` if the actor is dead.
    fn register(&self, name: &str, pid: u64) -> PyResult<()> {
        let core = self.core()?;
        core.names().register(name, living(pid)?).map_err(|error| errors::register(&error))
    }

    /// Frees a name. Returns whether anybody had it.
    fn unregister(&self, name: &str) -> PyResult<bool> {
        Ok(self.core()?.names().unregister(name))
    }

    /// The PID of the local actor that has `name`, or `None`.
    fn resolve(&self, name: &str) -> PyResult<Option<u64>> {
        self.whereis(name)
    }

    /// The PID of the local actor that has `name`, or `None`.
    fn whereis(&self, name: &str) -> PyResult<Option<u64>> {
        Ok(self.core()?.names().whereis(name).map(Pid::as_u64))
    }

    /// Replaces the code of a living actor by `handler`; its mailbox stays.
    ///
    /// The swap takes its place behind the messages sent before it; with `now=True` it acts before
    /// the next message. Never waits. Returns the number of the new version.
    ///
    /// Raises `NoProcess` if the actor is dead, `TypeError` if `handler` cannot be called.
    #[pyo3(signature = (pid, handler, *, now=false, concurrency=1, r#loop=None))]
    fn hot_swap(
        &self,
        pid: u64,
        handler: Bound<'_, PyAny>,
        now: bool,
        concurrency: usize,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let core = self.core()?;
        let pid = living(pid)?;
        let bounded = core.mailbox_capacity(pid).is_some();
        let handler = self.behaviour(
            handler,
            &AsyncOptions { event_loop: r#loop, concurrency, budget: USUAL_BUDGET, blocking: false, bounded },
        )?;
        let version = if now { core.hot_swap_now(pid, handler) } else { core.hot_swap(pid, handler) };
        version.map_err(|error| errors::swap(&error))
    }

    /// Goes back to the code before the last swap. Returns the number of the new version.
    ///
    /// Raises `NoProcess`, and `NoHistory` if the code was never swapped.
    fn rollback(&self, pid: u64) -> PyResult<u64> {
        self.core()?.rollback(living(pid)?).map_err(|error| errors::swap(&error))
    }

    /// The version of an actor's code once all swaps so far are done: 1 at spawn; `None` if it is
    /// not alive.
    fn version(&self, pid: u64) -> PyResult<Option<u64>> {
        let core = self.core()?;
        Ok(Pid::from_u64(pid).and_then(|pid| core.version(pid)))
    }

    /// Sends `data` once, in `delay` seconds. Returns the timer's number.
    fn send_after(&self, pid: u64, delay: f64, data: &Bound<'_, PyAny>) -> PyResult<u64> {
        let core = self.core()?;
        let payload = payload::remote(data)?;
        Ok(core.timers().send_after(period("delay", delay)?, living(pid)?, payload).as_u64())
    }

    /// Sends `data` every `interval` seconds until cancelled or the actor ends. Returns the timer's
    /// number.
    fn send_interval(&self, pid: u64, interval: f64, data: &Bound<'_, PyAny>) -> PyResult<u64> {
        let core = self.core()?;
        let interval = period("interval", interval)?;
        if interval.is_zero() {
            return Err(PyValueError::new_err("an interval is longer than 0 seconds"));
        }
        let payload = payload::remote(data)?;
        Ok(core.timers().send_interval(interval, living(pid)?, payload).as_u64())
    }

    /// Cancels a timer. Returns whether it was still to fire.
    fn cancel_timer(&self, timer: u64) -> PyResult<bool> {
        Ok(self.core()?.timers().cancel(TimerId::from_u64(timer)))
    }
}

impl Runtime {
    /// Starts an actor and gives it its name.
    ///
    /// # Errors
    /// `ValueError` for options that make no sense, `RegisterError` if the name is taken.
    pub(crate) fn start(
        &self,
        behaviour: Box<dyn Behaviour>,
        options: Options<'_>,
        name: Option<&str>,
    ) -> PyResult<u64> {
        let core = self.core()?;
        let options = options.build()?;
        let lane = behaviour.lane(options.lane);
        let pid = core.spawn_behaviour(behaviour, SpawnOptions { lane, ..options });
        if let Some(name) = name
            && let Err(error) = core.names().register(name, pid)
        {
            core.kill(pid);
            return Err(errors::register(&error));
        }
        Ok(pid.as_u64())
    }
}

/// A PID that can name an actor.
pub(crate) fn living(pid: u64) -> PyResult<Pid> {
    Pid::from_u64(pid).ok_or_else(|| errors::no_process(pid))
}
