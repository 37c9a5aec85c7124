//! Where a thread waits for an outcome.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::outcome::Outcome;

/// For one thread and one outcome.
#[derive(Default)]
pub(crate) struct Seat {
    /// Whether `state` holds the outcome; for who only looks.
    given: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    /// Somebody will come for it, or looks.
    #[default]
    Awake,
    /// To be woken, which costs a call of the system.
    Asleep,
    Given(Outcome),
    /// Nobody waits any more.
    Left,
}

impl Seat {
    /// Waits for the outcome, at most for `limit`.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> Option<Outcome> {
        let mut state = self.state();
        if matches!(*state, State::Awake | State::Asleep) {
            *state = State::Asleep;
            state = match limit {
                Some(limit) => {
                    self.changed.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.take()
    }

    /// Whether the outcome is there.
    pub(crate) fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    /// Waits no longer. What was given before is not lost.
    pub(crate) fn leave(&self) -> Option<Outcome> {
        let mut state = self.state();
        let given = state.take();
        *state = State::Left;
        given
    }

    pub(crate) fn is_left(&self) -> bool {
        matches!(*self.state(), State::Left)
    }

    /// Gives the outcome to who waits; it is dropped if nobody does. Whether somebody did.
    pub(crate) fn give(&self, outcome: Outcome) -> bool {
        let mut state = self.state();
        let asleep = matches!(*state, State::Asleep);
        if !asleep && !matches!(*state, State::Awake) {
            drop(state);
            drop(outcome);
            return false;
        }
        *state = State::Given(outcome);
        self.given.store(true, Ordering::Release);
        drop(state);
        if asleep {
            self.changed.notify_one();
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Outcome> {
        match std::mem::take(self) {
            Self::Given(outcome) => Some(outcome),
            other => {
                *self = other;
                None
            }
        }
    }
}
