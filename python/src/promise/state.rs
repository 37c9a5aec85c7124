//! How far a promise has come, and who waits for it.

use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::prelude::*;

use super::waiter::Callbacks;
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
    pub(super) waiters: Callbacks,
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

impl Stage {
    /// What it holds for all who ask.
    ///
    /// # Errors
    /// `CancelledError` if it was cancelled, `InvalidStateError` if there is nothing yet, or no more.
    pub(super) fn look(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Value(value) => Ok(value.clone_ref(py)),
            Self::Raised => Err(InvalidStateError::new_err("its error was raised before")),
            Self::Cancelled(Some(message)) => Err(CancelledError::new_err((message.clone_ref(py),))),
            Self::Cancelled(None) => Err(CancelledError::new_err(())),
            Self::Open | Self::Given(_) => Err(InvalidStateError::new_err("it has not come yet: await it")),
        }
    }
}
