//! How far a promise has come, and who waits for it.

use pyo3::prelude::*;

use super::waiter::Waiter;
use crate::loop_bell::Ticket;
use crate::outcome::Outcome;
use crate::waiters::Remembered;

/// Who awaits it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Code of Python, to which its outcome is given as it goes on.
    Plain,
    /// An ask, which takes the outcome itself.
    Ask,
    /// A task that serves a handler.
    Door,
}

pub(super) struct State {
    pub(super) stage: Stage,
    /// Whether the bell is rung when something is given.
    pub(super) rings: bool,
    /// Whether it has been: nobody else is called.
    pub(super) rung: bool,
    pub(super) waiters: Vec<Waiter>,
    pub(super) deadline: Option<Ticket>,
    pub(super) remembered: Option<Remembered>,
}

pub(super) enum Stage {
    Open,
    Given(Outcome),
    Value(Py<PyAny>),
    /// An error, which is not kept: raised, it holds the frames that hold this.
    Raised,
    /// With the message that was given along.
    Cancelled(Option<Py<PyAny>>),
}
