//! Who waits for an answer, for when the runtime goes down under it: a handler that never returns would keep
//! them waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use myrmidon::Pid;
use myrmidon::actor::ExitReason;
use pyo3::prelude::*;

use crate::outcome::{Lost, Outcome};
use crate::promise::Promise;
use crate::seat::Seat;

/// Those of one runtime.
#[derive(Default)]
pub(crate) struct Waiters(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last: u64,
    threads: HashMap<u64, (Pid, Arc<Seat>)>,
    loops: HashMap<u64, (Pid, Py<Promise>)>,
    closed: bool,
}

/// A thread that waits; not any more when dropped.
pub(crate) struct Place<'a>(&'a Waiters, u64);

/// A promise that is waited for; not any more when dropped.
pub(crate) struct Remembered(Weak<Mutex<State>>, u64);

impl Waiters {
    /// Remembers a thread that waits for `asked`.
    pub(crate) fn enter(&self, asked: Pid, seat: &Arc<Seat>) -> Place<'_> {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        if state.closed {
            drop(state);
            seat.give(over(asked));
        } else {
            state.threads.insert(number, (asked, seat.clone()));
        }
        Place(self, number)
    }

    /// Remembers what a loop waits for. To be called on the loop's thread.
    pub(crate) fn remember(&self, asked: Pid, promise: &Bound<'_, Promise>) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            Promise::give(promise.clone().unbind(), over(asked));
            return;
        }
        state.last += 1;
        let number = state.last;
        state.loops.insert(number, (asked, promise.clone().unbind()));
        drop(state);
        promise.get().is_remembered(Remembered(Arc::downgrade(&self.0), number));
    }

    /// As [`remember`](Self::remember), for a promise that is late at `deadline`.
    pub(crate) fn watch(
        &self,
        asked: Pid,
        promise: &Bound<'_, Promise>,
        deadline: Option<Instant>,
    ) -> PyResult<()> {
        if let Some(at) = deadline {
            Promise::wait_until(promise, at, Outcome::Lost(asked, Lost::Late))?;
        }
        self.remember(asked, promise);
        Ok(())
    }

    /// Tells all of them that their actors are gone, and whoever comes later at once.
    pub(crate) fn close(&self) {
        let (threads, loops) = {
            let mut state = self.state();
            state.closed = true;
            (std::mem::take(&mut state.threads), std::mem::take(&mut state.loops))
        };
        for (asked, seat) in threads.into_values() {
            seat.give(over(asked));
        }
        for (asked, promise) in loops.into_values() {
            Promise::give(promise, over(asked));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Remembered {
    fn drop(&mut self) {
        let Some(waiters) = self.0.upgrade() else { return };
        let gone = waiters.lock().unwrap_or_else(PoisonError::into_inner).loops.remove(&self.1);
        drop(gone);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let gone = self.0.state().threads.remove(&self.1);
        drop(gone);
    }
}

fn over(asked: Pid) -> Outcome {
    Outcome::Lost(asked, Lost::ended(ExitReason::Killed))
}
