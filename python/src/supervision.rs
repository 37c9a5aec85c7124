//! Methods of `Runtime` about links, monitors and supervision.

use std::sync::Arc;

use myrmidon::Pid;
use myrmidon::actor::{ExitReason, MonitorRef};
use myrmidon::runtime::SuperviseError;
use myrmidon::supervision::{Factory, Strategy, StrategyError};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::actors::living;
use crate::call::without_argument;
use crate::errors::{NoProcess, RuntimeClosed, Unsupported, refuse_remote};
use crate::exit_reason::{from_exception, traceback};
use crate::number::Id;
use crate::runtime::Runtime;

#[pymethods]
impl Runtime {
    /// Links two actors, here or by `remote`: if one crashes, so does the other, unless it is an observed actor,
    /// which gets an EXIT message. Linking twice is linking once. Returns whether `a` was alive: it is as if `a` had
    /// asked for the link, so that it ends with "noproc" where `b` is dead, and nothing comes of it where `a` is (S33).
    ///
    /// Raises `Unsupported` if one of them lives on a node that speaks only the documented framing, or both on other
    /// nodes.
    fn link(&self, a: Id, b: Id) -> PyResult<bool> {
        let (core, a, b) = (self.core()?, living(a)?, living(b)?);
        if core.is_remote(a) {
            refuse_remote(core, b, "and so is the other; have them linked at one of their nodes")?;
        }
        let linked = core.link(a, b);
        let far = [a, b].into_iter().find(|pid| core.is_remote(*pid));
        match far {
            Some(far) if !linked && a != b && core.is_alive(a) => Err(Unsupported::new_err(format!(
                "the node of actor {far} speaks the documented framing only, which has no links: monitor it"
            ))),
            _ => Ok(linked),
        }
    }

    /// Removes a link in both directions. Returns whether `a` was alive.
    fn unlink(&self, a: Id, b: Id) -> PyResult<bool> {
        Ok(self.core()?.unlink(living(a)?, living(b)?))
    }

    /// Has `watcher` told once, by an EXIT message, when `target` ends; at once if it is dead.
    /// Returns the number of the monitor.
    ///
    /// Raises `Unsupported` if `watcher` is an actor of another node.
    fn monitor(&self, watcher: Id, target: Id) -> PyResult<u64> {
        let (core, watcher, target) = (self.core()?, living(watcher)?, living(target)?);
        refuse_remote(core, watcher, "let it monitor the target by itself, for which a reference is enough")?;
        Ok(core.monitor(watcher, target).as_u64())
    }

    /// Takes a monitor of `watcher` back: no EXIT of it arrives any more. Returns whether `watcher`
    /// was alive.
    fn demonitor(&self, watcher: Id, monitor: Id) -> PyResult<bool> {
        Ok(self.core()?.demonitor(living(watcher)?, MonitorRef::from_u64(monitor.0)))
    }

    /// Whether exits of linked actors come to `pid` as EXIT messages instead of ending it. Returns
    /// whether it was alive.
    ///
    /// Raises `Unsupported` for an actor of another node.
    fn trap_exit(&self, pid: Id, trap: bool) -> PyResult<bool> {
        let (core, pid) = (self.core()?, living(pid)?);
        refuse_remote(core, pid, "that is said over there")?;
        Ok(core.trap_exit(pid, trap))
    }

    /// Sends `pid` an exit signal: it ends with `reason`, or if it traps exits gets an EXIT message. The
    /// reasons "normal", which only a message can be, "shutdown" and "kill", which ends it in any case,
    /// are known to supervisors; any other text is a failure. Returns whether it was alive.
    #[pyo3(signature = (pid, reason="shutdown"))]
    fn exit(&self, pid: Id, reason: &str) -> PyResult<bool> {
        let reason = match reason {
            "normal" => ExitReason::Normal,
            "shutdown" => ExitReason::Shutdown,
            "kill" => ExitReason::Kill,
            other => ExitReason::Other(other.to_owned()),
        };
        Ok(self.core()?.exit(living(pid)?, reason))
    }

    /// Runs `factory` again whenever the child ends, or a node that it monitors is lost.
    ///
    /// `factory` takes nothing and returns the PID of the actor that takes the place; monitors made
    /// while it runs belong to that PID. It runs on a thread of its own and may block; if it raises
    /// or returns `None` it is tried again, with growing pauses. Remote monitors that the calling
    /// thread made just before now belong to `pid`, but for those that fired more than half a second ago; if there are
    /// none, `factory` runs once now and its actor becomes the child. With "RestartAll" the end of one such child restarts
    /// all of them; "RestartOne" is the other strategy; both in any case. `stop(pid)` ends the supervision, also while the
    /// factory fails.
    ///
    /// Raises `TypeError`, and `ValueError` for another strategy.
    #[pyo3(signature = (pid, factory, strategy="RestartOne"))]
    fn supervise_with_factory(&self, pid: Id, factory: Bound<'_, PyAny>, strategy: &str) -> PyResult<()> {
        let core = self.core()?;
        let strategy = parse(strategy)?;
        if !factory.is_callable() {
            return Err(PyTypeError::new_err(
                "a factory is a callable without arguments that returns a PID or None",
            ));
        }
        let factory = wrap(factory.unbind());
        core.supervisor().supervise_with_factory(living(pid)?, factory, strategy).map_err(|e| refused(&e))
    }

    /// Counts the living actor `pid` among the children until it ends. Without a factory it is not
    /// restarted itself; with "RestartAll" its end restarts the other such children, and theirs
    /// ends it.
    ///
    /// Raises `NoProcess`, and `ValueError` for another strategy.
    #[pyo3(signature = (pid, strategy="RestartOne"))]
    fn watch(&self, pid: Id, strategy: &str) -> PyResult<()> {
        let strategy = parse(strategy)?;
        self.core()?.supervisor().watch(living(pid)?, strategy).map_err(|e| refused(&e))
    }

    /// The PIDs that are supervised now by factories and `watch`: of a child that is being restarted the last that it had.
    /// A child that has never run, as its factory has only failed so far, has none. A `Supervisor` tells its own by
    /// `children()`.
    fn child_pids(&self) -> PyResult<Vec<u64>> {
        Ok(self.core()?.supervisor().child_pids().into_iter().map(Pid::as_u64).collect())
    }

    /// How many PIDs there are in `child_pids()`.
    fn children_count(&self) -> PyResult<usize> {
        Ok(self.core()?.supervisor().children_count())
    }
}

fn parse(name: &str) -> PyResult<Strategy> {
    name.parse().map_err(|error: StrategyError| PyValueError::new_err(error.to_string()))
}

fn refused(error: &SuperviseError) -> PyErr {
    match error {
        SuperviseError::NoProcess(_) => NoProcess::new_err(error.to_string()),
        _ => RuntimeClosed::new_err(error.to_string()),
    }
}

fn wrap(factory: Py<PyAny>) -> Factory {
    Arc::new(move || {
        let made = Python::try_attach(|py| {
            without_argument(factory.bind(py)).and_then(pid_or_none).map_err(|error| {
                let reason = from_exception(py, &error);
                format!("{reason}\n{}", traceback(&reason).unwrap_or_default().trim_end())
            })
        });
        made.unwrap_or_else(|| Err("the interpreter is ending".to_owned()))
            .map(|pid| pid.and_then(Pid::from_u64))
    })
}

fn pid_or_none(made: Bound<'_, PyAny>) -> PyResult<Option<u64>> {
    made.extract().map_err(|_| {
        let text = format!("a factory returns the PID of a living actor, or None, not {made:?}");
        PyTypeError::new_err(text)
    })
}
