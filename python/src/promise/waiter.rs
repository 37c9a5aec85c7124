//! Who waits for a promise: what is to be called, as a rule of a task of asyncio.

use std::iter::Chain;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{option, vec};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Promise;
use crate::call::{self, native};
use crate::known;

/// What is called, in its context.
pub(super) struct Waiter {
    pub(super) callback: Py<PyAny>,
    pub(super) context: Option<Py<PyAny>>,
}

/// Those who wait for one promise, in the order in which they came. As a rule it is one, which needs no list.
#[derive(Default)]
pub(super) struct Callbacks {
    first: Option<Waiter>,
    others: Vec<Waiter>,
}

impl Callbacks {
    pub(super) fn push(&mut self, waiter: Waiter) {
        if self.first.is_none() && self.others.is_empty() {
            self.first = Some(waiter);
        } else {
            self.others.push(waiter);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.first.iter().chain(&self.others)
    }

    /// The one who waits, if it is one.
    pub(super) fn only(&self) -> Option<&Waiter> {
        let mut waiters = self.iter();
        waiters.next().filter(|_| waiters.next().is_none())
    }

    /// Takes out those for whom `is_gone` says so.
    pub(super) fn extract(&mut self, mut is_gone: impl FnMut(&mut Waiter) -> bool) -> Vec<Waiter> {
        let first = self.first.take_if(&mut is_gone);
        first.into_iter().chain(self.others.extract_if(.., is_gone)).collect()
    }
}

impl IntoIterator for Callbacks {
    type Item = Waiter;
    type IntoIter = Chain<option::IntoIter<Waiter>, vec::IntoIter<Waiter>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
    }
}

impl Waiter {
    /// Calls it with `promise`; or, if that is to be `quiet` and it is a task of asyncio, with a future that is done, of which it
    /// learns so at once.
    pub(super) fn call(self, promise: &Bound<'_, Promise>, quiet: bool) -> PyResult<()> {
        let py = promise.py();
        let callback = self.callback.bind(py);
        let argument = match quiet && is_task(callback)? {
            true => known::DONE.get(py)?,
            false => promise.as_any(),
        };
        match &self.context {
            Some(context) => call::in_context(context.bind(py), callback, argument),
            None => call::with_argument(callback, argument).map(drop),
        }
    }

    /// Leaves it to the loop.
    pub(super) fn call_soon(self, promise: &Bound<'_, Promise>) -> PyResult<()> {
        let py = promise.py();
        let options = PyDict::new(py);
        if let Some(context) = self.context {
            options.set_item(intern!(py, "context"), context)?;
        }
        let event_loop = promise.get().bell.event_loop(py)?;
        event_loop.call_method(intern!(py, "call_soon"), (self.callback, promise), Some(&options)).map(drop)
    }
}

/// The function behind a task's callback, once one was seen.
static WAKEUP: AtomicUsize = AtomicUsize::new(0);

/// Whether `callback` has a task of asyncio go on, one that is written in C. That asks what it is called with for its result, and
/// ours by a name that it looks up anew each time.
fn is_task(callback: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Some(function) = native(callback) else { return Ok(false) };
    let seen = WAKEUP.load(Ordering::Relaxed);
    if seen != 0 {
        return Ok(seen == function);
    }
    let py = callback.py();
    let owner = callback.getattr(intern!(py, "__self__"))?;
    let wakes = owner.get_type().is(known::TASK.get(py)?)
        && callback.getattr(intern!(py, "__name__"))?.eq(intern!(py, "task_wakeup"))?;
    if wakes {
        WAKEUP.store(function, Ordering::Relaxed);
    }
    Ok(wakes)
}
