//! Serving on the spot: a task that asks an actor of its own loop has the handler run inside its own step.
//!
//! To the handler it is as if its own task ran, which is the current one meanwhile, in its own context. If it waits for
//! something, its task goes on with it; else that is not touched, and goes on waiting for messages.

use std::cell::Cell;
use std::mem;
use std::sync::atomic::Ordering;

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::prelude::*;

use super::{HandlerTask, Stage, Step};
use crate::call::enter;
use crate::current_task::Aside;

/// Handlers that may run inside each other. Each takes some of the thread's stack.
const MOST: u8 = 8;

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// Whether one more handler may run inside what this thread runs.
pub(crate) fn has_room() -> bool {
    DEPTH.get() < MOST
}

impl HandlerTask {
    /// Handles the message of which it was told, inside another task of its loop, or leaves it to its own.
    ///
    /// # Errors
    /// What came while the handler ran and ends the loop, as `KeyboardInterrupt` does.
    pub(crate) fn serve_here(this: &Bound<'_, Self>) -> PyResult<()> {
        let (py, server) = (this.py(), this.get());
        let task = server.state().task.as_ref().map(|task| task.bind(py).clone());
        let door = server.door(py).filter(|door| door.get().is_done());
        let context = door.as_ref().and_then(|door| door.get().context(py));
        let (Some(task), Some(door), Some(context)) = (task, door, context) else {
            server.bell.serve(this.clone().unbind());
            return Ok(());
        };
        let Some(aside) = Aside::new(server.bell.event_loop(py)?, &task)? else {
            server.bell.serve(this.clone().unbind());
            return Ok(());
        };
        DEPTH.set(DEPTH.get() + 1);
        let served = enter(&context, || server.serve_one(py));
        DEPTH.set(DEPTH.get() - 1);
        let Ok(served) = served else {
            // Somebody is in the context already, and nothing has run.
            server.bell.serve(this.clone().unbind());
            return aside.end();
        };
        let done = matches!(served, Ok(true)) && !door.get().has_refused();
        let woken = if done {
            server.handled.store(0, Ordering::Relaxed);
            door.get().reopen();
            server.code.shelf.await_next(this.clone().unbind());
            Ok(())
        } else {
            aside.leave().and_then(|()| Self::wake(this))
        };
        aside.end()?;
        match served {
            // It is for the handler's own task.
            Err(error) if error.is_instance_of::<CancelledError>(py) => woken,
            Err(error) => Err(error),
            Ok(_) => woken,
        }
    }

    /// Takes one message; whether it is handled, and no more is to be done for it.
    fn serve_one(&self, py: Python<'_>) -> PyResult<bool> {
        let stage = self.begin();
        if !matches!(stage, Stage::Idle) {
            self.state().stage = stage;
            return Ok(false);
        }
        let step = match self.take(py) {
            Ok(Some(message)) => self.handle(py, &message)?,
            Ok(None) => {
                self.state().stage = Stage::Idle;
                return Ok(false);
            }
            Err(error) => Some(self.raised(py, error)?),
        };
        let Some(Step::Waits(awaited)) = step else { return Ok(step.is_none()) };
        let mut state = self.state();
        state.stage = match mem::replace(&mut state.stage, Stage::Running) {
            Stage::Handling(coroutine) => Stage::Suspended(coroutine, awaited),
            other => other,
        };
        Ok(false)
    }
}
