//! Which task of asyncio is the current one, for who steps a coroutine of one task inside the step of another.
//!
//! From Python 3.12 asyncio has a function for that; before, there is the dictionary behind `current_task`.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::known;

/// A task that is not the current one for a while, though it runs.
pub(crate) struct Aside<'py> {
    event_loop: Bound<'py, PyAny>,
    task: Bound<'py, PyAny>,
}

impl<'py> Aside<'py> {
    /// Makes `task` the current one of `event_loop`, which runs on this thread; `None` if none was, or this Python offers no way.
    pub(crate) fn new(event_loop: Bound<'py, PyAny>, task: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let Some(before) = swap(&event_loop, Some(task))? else { return Ok(None) };
        if before.is_none() {
            swap(&event_loop, None)?;
            return Ok(None);
        }
        Ok(Some(Self { event_loop, task: before }))
    }

    /// No task is the current one.
    pub(crate) fn leave(&self) -> PyResult<()> {
        swap(&self.event_loop, None).map(drop)
    }

    /// The one that was is again.
    pub(crate) fn end(self) -> PyResult<()> {
        swap(&self.event_loop, Some(&self.task)).map(drop)
    }
}

/// The task that was the current one, or Python's `None`; nothing has changed where it is `None` of Rust.
fn swap<'py>(
    event_loop: &Bound<'py, PyAny>,
    task: Option<&Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = event_loop.py();
    let none = py.None().into_bound(py);
    let function = known::SWAP_TASK.get(py)?;
    if !function.is_none() {
        return function.call1((event_loop, task.unwrap_or(&none))).map(Some);
    }
    let Ok(tasks) = known::CURRENT_TASKS.get(py)?.cast::<PyDict>() else { return Ok(None) };
    let before = tasks.get_item(event_loop)?;
    match task {
        Some(task) => tasks.set_item(event_loop, task)?,
        None if before.is_some() => tasks.del_item(event_loop)?,
        None => {}
    }
    Ok(Some(before.unwrap_or(none)))
}
