//! Methods of `Runtime` about local actors.

use myrmidon::Pid;
use myrmidon::actor::{Behaviour, SpawnOptions};
use myrmidon::timer::TimerId;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::behaviour::AsyncOptions;
use crate::errors;
use crate::giver::Giver;
use crate::number::{self, Id};
use crate::options::Options;
use crate::payload;
use crate::runtime::Runtime;
use crate::wait::period;

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
        #[pyo3(from_py_with = number::budget)] budget: u32,
        name: Option<&str>,
        mailbox: Option<Bound<'_, PyAny>>,
        priority: &str,
        trap_exit: bool,
        blocking: bool,
        release_gil: bool,
        #[pyo3(from_py_with = number::concurrency)] concurrency: usize,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let blocking = blocking || release_gil;
        let bounded = mailbox.is_some();
        let (concurrency, given_budget) = (Some(concurrency), Some(budget));
        let asynchronous =
            AsyncOptions { event_loop: r#loop, concurrency, budget: given_budget, blocking, bounded };
        self.start(
            self.called(handler, &asynchronous)?.into_behaviour(),
            Options { budget, mailbox, priority, trap_exit, blocking, guarded: false },
            name,
        )
    }

    /// Sends `data` to an actor: `bytes` as they are, a `Buffer` by moving it, and of anything else that
    /// offers its memory as a buffer a copy. Returns whether the actor took it; not if it is dead, or its
    /// full mailbox rejects it. A `Buffer` that was not taken, or could not be sent, stays as it is.
    ///
    /// It never waits, unless `pid` stands for an actor of another node (`remote`) and the queue to that is
    /// full: then at most `send_timeout` seconds.
    ///
    /// Raises `TypeError` for what is no message, `BufferError` for a `Buffer` that was sent before. Only for an
    /// actor of another node also `Busy` if there is still no room, `NodeDown` if the node cannot be reached,
    /// and `PayloadTooLarge`.
    fn send(&self, py: Python<'_>, pid: Id, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let core = self.core()?;
        let pid = pid.pid();
        if payload::is_wasted(data, core, pid) {
            return Ok(false);
        }
        let payload = payload::local(data)?;
        let Some(pid) = pid else { return Ok(false) };
        match core.send(pid, payload) {
            Ok(()) => Ok(true),
            Err(error) => self.unsent(py, error, data),
        }
    }

    /// Sends each of `items` to an actor: in order, with none of another sender between them, and for the price of one
    /// wake-up. To an actor of another node each goes as by `send`, which waits for room. Nothing is sent if one of them
    /// is no message.
    ///
    /// Returns how many were sent: fewer than all if the actor was dead, or its full mailbox rejected one
    /// and thereby those behind it, or one cannot be sent to another node. What `send` would raise for that one is
    /// raised if it is the first of `items`. A `Buffer` that was not sent stays as it is.
    fn send_many(&self, py: Python<'_>, pid: Id, items: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.core()?;
        let items = items.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        let mut payloads = Vec::with_capacity(items.len());
        for item in &items {
            match payload::local(item) {
                Ok(payload) => payloads.push(payload),
                Err(error) => {
                    items[..payloads.len()].iter().for_each(payload::give_back);
                    return Err(error);
                }
            }
        }
        let (sent, why) = pid.pid().map_or((0, Ok(false)), |pid| self.send_each(py, pid, payloads));
        items[sent..].iter().for_each(payload::give_back);
        match why {
            // What was sent is told first: who goes on with the rest hears of it then.
            Err(error) if sent == 0 || !error.is_instance_of::<errors::MyrmidonError>(py) => Err(error),
            _ => Ok(sent),
        }
    }

    /// Sends `data` to the local actor that has `name`. Returns whether there was one alive.
    fn send_named(&self, py: Python<'_>, name: &str, data: &Bound<'_, PyAny>) -> PyResult<bool> {
        let pid = self.core()?.names().whereis(name);
        self.send(py, Id(pid.map_or(0, Pid::as_u64)), data)
    }

    /// Asks an actor to end once it has handled what was sent before. Returns whether it was alive.
    fn stop(&self, pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        Ok(pid.pid().is_some_and(|pid| core.stop(pid)))
    }

    /// Ends an actor before its next message; what waits in its mailbox is lost. Returns whether it
    /// was alive.
    fn kill(&self, pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        Ok(pid.pid().is_some_and(|pid| core.kill(pid)))
    }

    /// Whether a local actor lives.
    fn is_alive(&self, pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        Ok(pid.pid().is_some_and(|pid| core.is_alive(pid)))
    }

    /// How many messages wait for an actor; `None` if it is not alive.
    fn mailbox_size(&self, pid: Id) -> PyResult<Option<usize>> {
        let core = self.core()?;
        Ok(pid.pid().and_then(|pid| core.mailbox_size(pid)))
    }

    /// Has a PING sent to `pid` on behalf of `from_pid`, which gets the PONG. Returns whether `pid`
    /// was alive.
    fn ping(&self, pid: Id, from_pid: Id) -> PyResult<bool> {
        let core = self.core()?;
        let pids = pid.pid().zip(from_pid.pid());
        Ok(pids.is_some_and(|(pid, from)| core.ping(pid, from)))
    }

    /// Gives a living local actor a name, under which other nodes find it too.
    ///
    /// Raises `RegisterError` if another living actor has the name or it is no legal name,
    /// `NoProcess` if the actor is dead.
    fn register(&self, name: &str, pid: Id) -> PyResult<()> {
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
    /// The actor goes on running as it was started: an `async def` in the place of another has its loop, its
    /// `concurrency` and its budget unless told otherwise. In the place of a plain handler it runs in the loop that is
    /// running where it is swapped in, or the runtime's own, one message after another.
    ///
    /// Raises `NoProcess` if the actor is dead, `TypeError` if `handler` cannot be called, and `Unsupported` for an actor of
    /// another node, and for a supervisor.
    #[pyo3(signature = (pid, handler, *, now=false, concurrency=None, r#loop=None))]
    fn hot_swap(
        &self,
        pid: Id,
        handler: Bound<'_, PyAny>,
        now: bool,
        #[pyo3(from_py_with = number::or_none::concurrency)] concurrency: Option<usize>,
        r#loop: Option<Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let core = self.core()?;
        let pid = living(pid)?;
        let bounded = core.mailbox_capacity(pid).is_some();
        let options =
            AsyncOptions { event_loop: r#loop, concurrency, budget: None, blocking: false, bounded };
        let handler = self.called(handler, &options)?.into_behaviour();
        let version = if now { core.hot_swap_now(pid, handler) } else { core.hot_swap(pid, handler) };
        version.map_err(|error| errors::swap(&error))
    }

    /// Goes back to the code before the last swap. Never waits. Returns the number of the new version.
    ///
    /// Raises `NoProcess`, and `NoHistory` if the code was never swapped. Whether an earlier version is left shows when its
    /// turn has come: if not, the code stays, and `myrmidon.actor` logs a warning. `bonds` tells what is left.
    fn rollback(&self, pid: Id) -> PyResult<u64> {
        self.core()?.rollback(living(pid)?).map_err(|error| errors::swap(&error))
    }

    /// The version of an actor's code once all swaps so far are done, but for those that have failed: 1 at spawn; `None` if it is
    /// not alive. `bonds` tells the one that runs.
    fn version(&self, pid: Id) -> PyResult<Option<u64>> {
        let core = self.core()?;
        Ok(pid.pid().and_then(|pid| core.version(pid)))
    }

    /// Sends `data` once, in `delay` seconds. Returns the timer's number; 0 if the actor has ended, where a `Buffer` stays
    /// as it was.
    fn send_after(&self, pid: Id, delay: f64, data: &Bound<'_, PyAny>) -> PyResult<u64> {
        let (core, delay, pid) = (self.core()?, period("delay", delay)?, living(pid)?);
        Ok(begun(core.timers().send_after(delay, pid, payload::remote(data)?), data))
    }

    /// Sends `data` every `interval` seconds until cancelled or the actor ends. Returns the timer's
    /// number, as `send_after`.
    fn send_interval(&self, pid: Id, interval: f64, data: &Bound<'_, PyAny>) -> PyResult<u64> {
        let (core, interval, pid) = (self.core()?, period("interval", interval)?, living(pid)?);
        if interval.is_zero() {
            return Err(PyValueError::new_err("an interval is longer than 0 seconds"));
        }
        Ok(begun(core.timers().send_interval(interval, pid, payload::remote(data)?), data))
    }

    /// Cancels a timer. Returns whether it was still to fire.
    fn cancel_timer(&self, timer: Id) -> PyResult<bool> {
        Ok(self.core()?.timers().cancel(TimerId::from_u64(timer.0)))
    }
}

impl Runtime {
    /// Starts an actor and gives it its name.
    ///
    /// # Errors
    /// `ValueError` for options that make no sense, `RegisterError` if the name is taken.
    pub(crate) fn start(
        &self,
        mut behaviour: Box<dyn Behaviour>,
        options: Options<'_>,
        name: Option<&str>,
    ) -> PyResult<u64> {
        let core = self.core()?;
        let options = options.build()?;
        let lane = behaviour.lane(options.lane);
        let ties = behaviour.state().and_then(|state| Giver::behind(state)).map(Giver::ties);
        let pid = core.spawn_behaviour(behaviour, SpawnOptions { lane, ..options });
        if let Some(ties) = ties {
            ties.bind(pid);
        }
        if let Some(name) = name
            && let Err(error) = core.names().register(name, pid)
        {
            core.kill(pid);
            return Err(errors::register(&error));
        }
        Ok(pid.as_u64())
    }
}

/// The number of a timer that sends `data`, which the caller has back where there is none.
fn begun(timer: TimerId, data: &Bound<'_, PyAny>) -> u64 {
    if timer.as_u64() == 0 {
        payload::give_back(data);
    }
    timer.as_u64()
}

/// A PID that can name an actor.
pub(crate) fn living(pid: Id) -> PyResult<Pid> {
    pid.pid().ok_or_else(|| errors::no_process(pid.0))
}
