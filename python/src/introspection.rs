//! Methods of `Runtime` that look at actors and names.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use myrmidon::Pid;
use myrmidon::actor::{ActorBonds as Bonds, ActorInfo as Info, SpawnOptions, TopBy};
use myrmidon::runtime::InspectError;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokio::time;

use crate::actors::living;
use crate::asyncio::{Request, coroutine};
use crate::errors::{self, Timeout};
use crate::number::{self, Id};
use crate::options::priority_name;
use crate::runtime::Runtime;
use crate::wait::{period, receive, wait_for};

#[pymethods]
impl Runtime {
    /// The PIDs of the actors that live now.
    fn actors(&self) -> PyResult<Vec<u64>> {
        Ok(self.core()?.actors().into_iter().map(Pid::as_u64).collect())
    }

    /// What can be seen of an actor without asking it; `None` if it is not alive.
    ///
    /// Raises `Unsupported` for an actor of another node.
    fn info(&self, pid: Id) -> PyResult<Option<ActorInfo>> {
        let core = self.core()?;
        if let Some(pid) = pid.pid() {
            errors::refuse_remote(core, pid, "nothing of it can be seen here; ask there")?;
        }
        Ok(pid.pid().and_then(|pid| core.info(pid)).map(|info| self.seen(info)))
    }

    /// The `limit` actors that have most of what `by` names, most first: "mailbox_size" (messages that wait),
    /// "reductions" (messages handled, and the like) or "run_time" (seconds for which the code ran). See
    /// `ActorInfo` for what the last two count.
    ///
    /// With `within`, in seconds, it waits so long, and goes by what was done meanwhile; only that stands in the
    /// `reductions` and `run_time` of the result.
    ///
    /// Raises `ValueError` for anything else in `by`, and for `within` with "mailbox_size".
    #[pyo3(signature = (limit=10, by="mailbox_size", *, within=None))]
    fn top(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = number::limit)] limit: usize,
        by: &str,
        within: Option<f64>,
    ) -> PyResult<Vec<ActorInfo>> {
        let (core, (by, window)) = (self.core()?.clone(), ranking(by, within)?);
        let infos = match window {
            None => py.detach(|| core.top(by, limit)),
            Some(window) => {
                let before = py.detach(|| core.load());
                wait_for(py, &core, Some(window), sleep)?;
                py.detach(|| core.top_since(&before, by, limit))
            }
        };
        Ok(infos.into_iter().map(|info| self.seen(info)).collect())
    }

    /// As `top`, without blocking the event loop for the time of `within`.
    #[pyo3(signature = (limit=10, by="mailbox_size", *, within=None))]
    fn top_py<'py>(
        this: &Bound<'py, Self>,
        #[pyo3(from_py_with = number::limit)] limit: usize,
        by: &str,
        within: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (runtime, by) = (this.clone().unbind(), by.to_owned());
        coroutine(this, "top_py", move |this, py| {
            let (core, (by, window)) = (this.core_for_loop()?.clone(), ranking(&by, within)?);
            let io = core.io().clone();
            Request::start(py, &io, move |open| async move {
                let infos = match window {
                    None => core.top(by, limit),
                    Some(window) => {
                        let before = core.load();
                        time::sleep(window).await;
                        core.top_since(&before, by, limit)
                    }
                };
                open.settle(move |py| {
                    let infos: Vec<_> = infos.into_iter().map(|info| runtime.get().seen(info)).collect();
                    Ok(infos.into_pyobject(py)?.into_any().unbind())
                });
            })
        })
    }

    /// How many answers came when nobody waited for them any more: the time of the ask was up, or its `await` was
    /// cancelled. They are dropped. For actors of other nodes, those that came here.
    fn late_replies(&self) -> PyResult<u64> {
        Ok(self.core()?.late_replies())
    }

    /// Asks an actor for its links, monitors and versions. It answers before its next message, without
    /// its handler.
    ///
    /// Raises `NoProcess`, `Timeout` if its handler does not return within `timeout` seconds, and `Unsupported` for an
    /// actor of another node.
    #[pyo3(signature = (pid, timeout=5.0))]
    fn bonds(&self, py: Python<'_>, pid: Id, timeout: f64) -> PyResult<ActorBonds> {
        let core = self.core()?;
        let look = look_at_bonds(core.clone(), pid, timeout)?;
        let (done, told) = sync_channel(1);
        let ask = move || drop(done.try_send(look()));
        core.spawn_beside(ask).map(drop).map_err(|error| errors::busy(&error))?;
        wait_for(py, core, None, receive(told))?.flatten().unwrap_or_else(|| Err(errors::no_process(pid.0)))
    }

    /// As `bonds`, without blocking the event loop.
    #[pyo3(signature = (pid, timeout=5.0))]
    fn bonds_py<'py>(this: &Bound<'py, Self>, pid: Id, timeout: f64) -> PyResult<Bound<'py, PyAny>> {
        coroutine(this, "bonds_py", move |this, py| {
            let core = this.core_for_loop()?;
            let look = look_at_bonds(core.clone(), pid, timeout)?;
            Request::beside(py, core, move |open| {
                let bonds = look();
                open.settle(move |py| Ok(Py::new(py, bonds?)?.into_any()));
            })
        })
    }

    /// Waits until no actor runs and what there was to report has been logged, at most `timeout` seconds.
    fn _settle(&self, py: Python<'_>, timeout: f64) -> PyResult<()> {
        let (core, chores) = (self.core()?.clone(), self.shared().chores.clone());
        let limit = period("timeout", timeout)?;
        let (done, told) = sync_channel(1);
        py.detach(|| core.wait_quiet(limit));
        chores.lane().submit(Box::new(move || _ = done.try_send(())));
        wait_for(py, self.core()?, Some(limit), receive(told)).map(drop)
    }

    /// The names that begin with `prefix`, with the PIDs of their owners, in alphabetical order.
    #[pyo3(signature = (prefix=""))]
    fn names(&self, prefix: &str) -> PyResult<BTreeMap<String, u64>> {
        Ok(by_name(self.core()?.names().list(prefix)))
    }

    /// The names one step below `path`, with the PIDs of their owners: of "/svc/pay" that is
    /// "/svc/pay/1", and neither "/svc/pay/1/log" nor "/svc/payment".
    fn names_below(&self, path: &str) -> PyResult<BTreeMap<String, u64>> {
        Ok(by_name(self.core()?.names().children(path)))
    }
}

impl Runtime {
    /// An actor that has given messages to its code has something to do.
    fn seen(&self, info: Info) -> ActorInfo {
        let idle = info.idle && self.shared().codes.unhandled_of(info.pid) == 0;
        ActorInfo { idle, ..ActorInfo::from(info) }
    }
}

/// What `top` goes by, and for how long it waits.
fn ranking(by: &str, within: Option<f64>) -> PyResult<(TopBy, Option<Duration>)> {
    let (by, window) = (top_by(by)?, within.map(|within| period("within", within)).transpose()?);
    if window.is_some() && by == TopBy::MailboxSize {
        return Err(PyValueError::new_err(
            "within goes with by=\"reductions\" or \"run_time\": what waits is counted at one moment",
        ));
    }
    Ok((by, window))
}

/// A look at the bonds of an actor, which blocks its thread.
fn look_at_bonds(
    core: myrmidon::Runtime,
    pid: Id,
    timeout: f64,
) -> PyResult<impl FnOnce() -> PyResult<ActorBonds> + Send + 'static> {
    let (target, limit) = (living(pid)?, period("timeout", timeout)?);
    if core.is_remote(target) {
        return Err(errors::Unsupported::new_err(format!(
            "actor {pid} is one of another node, which alone knows its bonds: ask there"
        )));
    }
    Ok(move || match core.bonds(target, limit) {
        Ok(bonds) => Ok(ActorBonds::from(bonds)),
        Err(error @ InspectError::Timeout(_)) => Err(Timeout::new_err(error.to_string())),
        Err(_) => Err(errors::no_process(pid.0)),
    })
}

/// A step for `wait_for` that waits for nothing else.
fn sleep(limit: Option<Duration>) -> Option<()> {
    limit.into_iter().for_each(thread::sleep);
    None
}

fn top_by(name: &str) -> PyResult<TopBy> {
    match name {
        "mailbox_size" => Ok(TopBy::MailboxSize),
        "reductions" => Ok(TopBy::Reductions),
        "run_time" => Ok(TopBy::RunTime),
        _ => Err(PyValueError::new_err(format!(
            "{name:?} is no order: write \"mailbox_size\", \"reductions\" or \"run_time\""
        ))),
    }
}

fn by_name(names: Vec<(String, Pid)>) -> BTreeMap<String, u64> {
    names.into_iter().map(|(name, pid)| (name, pid.as_u64())).collect()
}

/// An actor as its senders see it. A moment later it may be another.
#[pyclass(frozen, eq, get_all, module = "myrmidon")]
#[derive(PartialEq)]
pub(crate) struct ActorInfo {
    /// The actor.
    pid: u64,
    /// Its names.
    names: Vec<String>,
    /// Whether it has nothing to do. What a pull actor does with a message that it has taken is not seen.
    idle: bool,
    /// Messages that wait; not those that were given to an event loop or a pull actor, up to 64.
    mailbox_size: usize,
    /// How many may wait; `None` where there is no bound.
    mailbox_capacity: Option<usize>,
    /// The version of its code once all swaps so far are done, but for those that have failed; `bonds` tells the one that runs.
    version: u64,
    /// "high", "normal" or "low".
    priority: &'static str,
    /// What runs it: "workers" (Rust actors), "lane" (Python handlers) or "blocking".
    runs_on: &'static str,
    /// Whether a supervisor has started it.
    supervised: bool,
    /// What it has done: one for each message and signal. A turn counts when it is over; what an event loop or
    /// a thread does for a message counts as one.
    reductions: u64,
    /// Seconds for which its code ran, as a look every few milliseconds finds it on a lane; waiting in calls of
    /// Myrmidon apart. With `blocking=True` the time of its turns, waiting included. What a pull actor
    /// does is not seen.
    run_time: f64,
}

#[pymethods]
impl ActorInfo {
    fn __repr__(&self) -> String {
        let names = if self.names.is_empty() { String::new() } else { format!(" {}", self.names.join(" ")) };
        let state = if self.idle { "idle" } else { "busy" };
        let Self { pid, mailbox_size, reductions, run_time, .. } = self;
        format!(
            "<ActorInfo {pid}{names} {state} mailbox_size={mailbox_size} reductions={reductions} run_time={run_time:.3}>"
        )
    }
}

impl From<Info> for ActorInfo {
    fn from(info: Info) -> Self {
        Self {
            pid: info.pid.as_u64(),
            names: info.names,
            idle: info.idle,
            mailbox_size: info.mailbox_size,
            mailbox_capacity: info.mailbox_capacity,
            version: info.version,
            priority: priority_name(info.priority),
            runs_on: match info.lane {
                0 => "workers",
                SpawnOptions::BLOCKING => "blocking",
                _ => "lane",
            },
            supervised: info.supervised,
            reductions: info.reductions,
            run_time: info.run_time.as_secs_f64(),
        }
    }
}

/// Whom an actor will tell of its end, and of whose it will hear.
#[pyclass(frozen, eq, get_all, module = "myrmidon")]
#[derive(PartialEq)]
pub(crate) struct ActorBonds {
    /// Linked actors.
    links: Vec<u64>,
    /// The actors that it monitors, as often as it does.
    monitors: Vec<u64>,
    /// The actors that monitor it, as often as they do.
    monitored_by: Vec<u64>,
    /// Whether exits of linked actors come as messages.
    trap_exit: bool,
    /// The version that runs.
    version: u64,
    /// The versions to which a rollback can go back, oldest first.
    history: Vec<u64>,
}

#[pymethods]
impl ActorBonds {
    fn __repr__(&self) -> String {
        let Self { links, monitors, monitored_by, version, .. } = self;
        format!(
            "<ActorBonds links={links:?} monitors={monitors:?} monitored_by={monitored_by:?} version={version}>"
        )
    }
}

impl From<Bonds> for ActorBonds {
    fn from(bonds: Bonds) -> Self {
        let numbers = |pids: Vec<Pid>| pids.into_iter().map(Pid::as_u64).collect();
        Self {
            links: numbers(bonds.links),
            monitors: numbers(bonds.monitors),
            monitored_by: numbers(bonds.monitored_by),
            trap_exit: bonds.trap_exit,
            version: bonds.version,
            history: bonds.history,
        }
    }
}
