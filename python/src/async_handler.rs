//! An `async def` handler, and the tasks that it needs.

use std::sync::Arc;

use pyo3::prelude::*;

use crate::code::Code;
use crate::handler_task::HandlerTask;
use crate::loop_bell::Bell;

/// An `async def` handler, and where it runs.
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
        if !code.shelf.hire(self.concurrency) {
            return;
        }
        let (handler, code) = (self.clone(), code.clone());
        self.bell.run(Box::new(move |py| {
            let started = HandlerTask::start(py, &handler, &code);
            if let Err(error) = started {
                code.failed(py, error, None);
            }
            Ok(())
        }));
    }
}
