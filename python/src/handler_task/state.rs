//! What a task that serves a handler is in the middle of.

use pyo3::prelude::*;

use crate::promise::Promise;

pub(super) struct State {
    /// The task that runs it; none once it is over.
    pub(super) task: Option<Py<PyAny>>,
    pub(super) stage: Stage,
    /// A message was taken, and is not handled.
    pub(super) handling: bool,
    /// The number of the way back of the message that is being handled, if somebody wants an answer.
    pub(super) asked: Option<u64>,
    /// Its own reference, for the collector; none once it is over.
    pub(super) handler: Option<Py<PyAny>>,
    /// What it waits for between messages; always the same.
    pub(super) door: Option<Py<Promise>>,
}

pub(super) enum Stage {
    /// It takes the next message, or waits for one.
    Idle,
    /// Awaits what the handler returned.
    Handling(Py<PyAny>),
    /// As `Handling`, and what that waits for was not shown to the task yet.
    Suspended(Py<PyAny>, Py<PyAny>),
    /// Its actor has ended, and the task is to end with this error.
    Ended(Py<PyAny>),
    /// On this thread, or on one that has no business here.
    Running,
    Over,
}
