//! Which actor's code runs here: in a turn of the actor, on a thread of its own, or in a task.

use std::cell::Cell;

use myrmidon::Pid;
use myrmidon::actor;
use pyo3::prelude::*;

use crate::call::value_of;
use crate::known;
use crate::number::Id;

thread_local! {
    /// The actor to whose function this thread belongs.
    static OWNER: Cell<Option<Pid>> = const { Cell::new(None) };
}

/// The PID of the actor whose code calls this; `None` elsewhere.
#[pyfunction]
pub(crate) fn current(py: Python<'_>) -> PyResult<Option<u64>> {
    Ok(current_actor(py)?.map(Pid::as_u64))
}

pub(crate) fn current_actor(py: Python<'_>) -> PyResult<Option<Pid>> {
    if let Some(pid) = actor::current().or(OWNER.get()) {
        return Ok(Some(pid));
    }
    let task = value_of(known::CURRENT.get(py)?)?.filter(|pid| !pid.is_none());
    Ok(task.map(|pid| pid.extract::<Id>()).transpose()?.and_then(Id::pid))
}

/// Says to which actor this thread belongs, for all its life.
pub(crate) fn own_thread(pid: Option<Pid>) {
    OWNER.set(pid);
}
