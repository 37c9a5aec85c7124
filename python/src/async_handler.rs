//! An `async def` handler, and the tasks that it needs.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::code::Code;
use crate::handler_task::HandlerTask;
use crate::loop_bell::{Bell, Errand};

/// An `async def` handler, and where it runs. The actor keeps it, and whoever is to start a task for it.
pub(crate) struct AsyncHandler {
    pub(crate) bell: Bell,
    pub(crate) handler: Py<PyAny>,
    /// Of the actor alone: what a handler sets there it finds again at its next message.
    pub(crate) context: Py<PyAny>,
    /// How many messages it may handle at a time.
    pub(crate) concurrency: usize,
    /// Messages without a pause for others of the loop.
    pub(crate) budget: u32,
}

impl AsyncHandler {
    /// Has one more task serve the handler, if that is due.
    pub(crate) fn serve(self: &Arc<Self>, code: &Arc<Code>) {
        if code.shelf.hire(self.concurrency) {
            self.clone().add(code);
        }
    }

    /// Has a task take the place that was given.
    pub(crate) fn add(self: Arc<Self>, code: &Arc<Code>) {
        let bell = self.bell.clone();
        bell.run(Box::new(Start { handler: self, code: code.clone() }));
    }
}

/// Has a task start that serves a handler. There is one at most for each handler, as the next place is given when the task
/// of this one is busy.
struct Start {
    handler: Arc<AsyncHandler>,
    code: Arc<Code>,
}

impl Errand for Start {
    fn run(self: Box<Self>, py: Python<'_>) {
        if let Err(error) = HandlerTask::start(py, &self.handler, &self.code) {
            self.code.failed(py, error, None);
        }
    }

    /// The shelf holds nothing of an actor that has ended.
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        if Arc::strong_count(&self.handler) > 1 {
            return Ok(());
        }
        visit.call(&self.handler.handler)?;
        visit.call(&self.handler.context)
    }
}
