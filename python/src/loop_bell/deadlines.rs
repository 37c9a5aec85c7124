//! The deadlines of what a loop waits for: one timer of the loop for all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use myrmidon::Pid;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::Bell;
use crate::outcome::Outcome;
use crate::promise::Promise;
use crate::runtime::Shared;

/// A place among the deadlines of a loop.
pub(crate) type Ticket = (Instant, u64);

/// Promises, and what each becomes when its time comes.
type Waiting = BTreeMap<Ticket, (Py<Promise>, Outcome)>;

/// An ask that was put in this round of the loop. It is nowhere on a list yet, as the answers to most come in the same round.
pub(crate) struct Young {
    pub(crate) promise: Py<Promise>,
    pub(crate) asked: Pid,
    pub(crate) deadline: Option<Instant>,
    pub(crate) runtime: Arc<Shared>,
}

#[derive(Default)]
pub(super) struct Deadlines {
    waiting: Waiting,
    young: Vec<Young>,
    last: u64,
    /// When the loop looks next.
    armed: Option<Instant>,
}

impl Deadlines {
    /// All that wait, to be dropped under no lock: the time of none will come.
    pub(super) fn take(&mut self) -> (Waiting, Vec<Young>) {
        (std::mem::take(&mut self.waiting), std::mem::take(&mut self.young))
    }

    /// Shows the collector what it refers to.
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.young.iter().try_for_each(|young| visit.call(&young.promise))?;
        self.waiting.values().try_for_each(|(promise, _)| visit.call(promise))
    }
}

/// What the loop calls at a deadline.
#[pyclass(frozen, module = "myrmidon._core")]
struct Look(Bell, Instant);

#[pymethods]
impl Look {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        // Another has taken its place if an earlier deadline came.
        if self.0.deadlines().armed == Some(self.1) { self.0.expire(py) } else { Ok(()) }
    }
}

impl Bell {
    /// Has `promise` become `late` at `at`. To be called on the loop's thread.
    pub(crate) fn wait_until(
        &self,
        at: Instant,
        promise: Py<Promise>,
        late: Outcome,
        py: Python<'_>,
    ) -> PyResult<Ticket> {
        let mut deadlines = self.deadlines();
        deadlines.last += 1;
        let ticket = (at, deadlines.last);
        deadlines.waiting.insert(ticket, (promise, late));
        let due = deadlines.armed.is_none_or(|armed| at < armed);
        drop(deadlines);
        if due {
            self.arm(py, at)?;
        }
        Ok(ticket)
    }

    /// Has `young` put on the lists at the end of this round, unless it is answered by then. To be called on the loop's thread,
    /// after [`linger`](Self::linger).
    pub(crate) fn grow(&self, young: Young) {
        self.deadlines().young.push(young);
    }

    /// Puts what has not been answered in this round on the lists.
    pub(super) fn enlist(&self, py: Python<'_>) -> PyResult<()> {
        let young = std::mem::take(&mut self.deadlines().young);
        young.into_iter().filter(|young| !young.promise.get().is_done()).try_for_each(|young| {
            young.runtime.waiters.watch(young.asked, young.promise.bind(py), young.deadline)
        })
    }

    /// Gives a deadline up.
    pub(crate) fn forget(&self, ticket: Option<Ticket>) {
        let gone = ticket.and_then(|ticket| self.deadlines().waiting.remove(&ticket));
        drop(gone);
    }

    /// Tells those whose time has come, and waits for the next.
    fn expire(&self, py: Python<'_>) -> PyResult<()> {
        let now = Instant::now();
        loop {
            let mut deadlines = self.deadlines();
            let Some(first) = deadlines.waiting.first_entry() else {
                deadlines.armed = None;
                return Ok(());
            };
            let at = first.key().0;
            if at > now {
                drop(deadlines);
                return self.arm(py, at);
            }
            let (promise, late) = first.remove();
            drop(deadlines);
            Promise::give(promise, late);
        }
    }

    /// Has the loop look at `at`. A look that is too early finds nothing, and costs little.
    fn arm(&self, py: Python<'_>, at: Instant) -> PyResult<()> {
        self.deadlines().armed = Some(at);
        // A little more, as a look before the time would be in vain.
        let delay = at.saturating_duration_since(Instant::now()).as_secs_f64() + 0.0005;
        self.event_loop(py)?.call_method1(intern!(py, "call_later"), (delay, Look(self.clone(), at)))?;
        Ok(())
    }

    pub(super) fn deadlines(&self) -> MutexGuard<'_, Deadlines> {
        self.0.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
