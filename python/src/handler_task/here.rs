//! Serving on the spot: a task that asks an actor of its own loop has the handler run inside its own step.
//!
//! To the handler it is as if its own task ran, which is the current one meanwhile, in its own context. If it waits for
//! something, its task goes on with it; else that is not touched, and goes on waiting for messages.

use std::cell::Cell;
use std::mem;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use super::HandlerTask;
use super::state::Stage;
use super::step::Step;
use crate::call::{enter, is_at_most_in, is_handling_exception};
use crate::current_task::Aside;

/// Handlers that may run inside each other. Each takes some of the thread's stack.
const MOST: u8 = 8;
/// Functions of Python in which one may run. Deeper, it would find less of the stack than in its own task.
const DEEPEST: usize = 32;

thread_local! {
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// Whether a handler may run inside what this thread runs, and finds what it would find in its own task: most of the stack, and
/// no exception that somebody is handling.
pub(crate) fn may_serve_here(py: Python<'_>) -> bool {
    DEPTH.get() < MOST && !is_handling_exception(py) && is_at_most_in(py, DEEPEST)
}

/// What came of a message that was to be handled on the spot.
enum Served {
    Handled,
    /// The handler waits, which its own task is to do for it.
    Waits,
    /// Everything else is for its own task, also how that is to end.
    Left,
}

impl HandlerTask {
    /// Handles the message of which it was told, inside another task of its loop, or leaves it to its own.
    ///
    /// # Errors
    /// What comes where the tasks are told apart or the handler's is woken, from a signal at most.
    pub(crate) fn serve_here(this: &Bound<'_, Self>) -> PyResult<()> {
        let (py, server) = (this.py(), this.get());
        let (task, door) = server.task_and_door(py);
        let door = door.filter(|door| door.get().is_done());
        let context = door.as_ref().and_then(|door| door.get().context(py));
        let (Some(task), Some(door), Some(context)) = (task, door, context) else {
            Self::leave(this);
            return Ok(());
        };
        let Some(aside) = Aside::new(server.bell.event_loop(py)?, &task)? else {
            Self::leave(this);
            return Ok(());
        };
        DEPTH.set(DEPTH.get() + 1);
        // Where somebody is in the context already, nothing has run.
        let served = enter(&context, || server.serve_one(py)).unwrap_or(Served::Left);
        DEPTH.set(DEPTH.get() - 1);
        let done = match served {
            Served::Handled if !door.get().has_refused() => {
                server.handled.store(0, Ordering::Relaxed);
                door.get().reopen();
                server.code.shelf.await_next(this.clone().unbind());
                Ok(())
            }
            // The task runs no code of the handler's then, but takes over what that waits for.
            Served::Waits if !door.get().has_refused() => aside.leave().and_then(|()| Self::wake(this)),
            _ => {
                Self::leave(this);
                Ok(())
            }
        };
        aside.end().and(done)
    }

    /// Has its own task go on when the bell is answered: behind who asks, where that has an outcome.
    fn leave(this: &Bound<'_, Self>) {
        this.get().bell.serve(this.clone().unbind());
    }

    /// Takes one message, and handles it up to where that waits.
    fn serve_one(&self, py: Python<'_>) -> Served {
        let stage = self.begin();
        if !matches!(stage, Stage::Idle) {
            self.state().stage = stage;
            return Served::Left;
        }
        let _seen = self.seen();
        let step = match self.take(py) {
            Ok(Some(message)) => self.handle(py, &message),
            Ok(None) => {
                self.state().stage = Stage::Idle;
                return Served::Left;
            }
            Err(error) => self.raised(py, error).map(Some),
        };
        match step {
            Ok(None) => Served::Handled,
            Ok(Some(Step::Waits(awaited))) => {
                let mut state = self.state();
                state.stage = match mem::replace(&mut state.stage, Stage::Running) {
                    Stage::Handling(coroutine) => Stage::Suspended(coroutine, awaited),
                    other => other,
                };
                Served::Waits
            }
            Ok(Some(Step::Over)) => Served::Left,
            Err(error) => {
                let error = error.into_value(py).into_any();
                self.state().stage = Stage::Ended(error);
                Served::Left
            }
        }
    }
}
