//! What a loop's thread does about what was left for it.

use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use myrmidon::Pid;
use pyo3::exceptions::PyException;
use pyo3::intern;
use pyo3::prelude::*;

use super::Bell;
use super::list::Task;
use crate::handler_task::HandlerTask;
use crate::promise::Promise;

/// So long may what is left follow itself before others of the loop have their turn.
const TURN: Duration = Duration::from_micros(100);

thread_local! {
    /// The bell that is at work on this thread.
    static AT_WORK: RefCell<Option<Bell>> = const { RefCell::new(None) };
}

/// The bell that is at work on this thread, if one is. Its loop is the one that runs, which is known without asking asyncio.
pub(super) fn of_this_thread() -> Option<Bell> {
    AT_WORK.with_borrow(Clone::clone).filter(|bell| bell.is_here() && !bell.is_over())
}

impl Bell {
    /// What `send` tells a server of `asked` in this loop is handled on the spot, if that is possible. To be called on the
    /// loop's thread.
    ///
    /// # Errors
    /// That of `send`, or what the loop raises that is to have the server's task go on.
    pub(crate) fn served_here<E>(
        &self,
        py: Python<'_>,
        asked: Pid,
        send: impl FnOnce() -> Result<(), E>,
    ) -> PyResult<Result<(), E>> {
        self.waiting().hold();
        let sent = send();
        let (told, rings) = self.waiting().release(|server| server.is_of(asked));
        if rings {
            self.ring();
        }
        if let Some(server) = told {
            HandlerTask::serve_here(server.bind(py))?;
        }
        Ok(sent)
    }

    /// Does what has been left, and what that leaves, until there is no more or the loop is to have its turn.
    ///
    /// # Errors
    /// What ends the loop: `KeyboardInterrupt` or `SystemExit` of a task. What is left then waits for the next
    /// time.
    pub(super) fn work(&self, py: Python<'_>) -> PyResult<()> {
        let outer = AT_WORK.replace(Some(self.clone()));
        let done = self.work_on(py);
        AT_WORK.set(outer);
        self.rest();
        done
    }

    fn work_on(&self, py: Python<'_>) -> PyResult<()> {
        let begun = Instant::now();
        loop {
            let tasks = self.waiting().take();
            if tasks.is_empty() {
                return Ok(());
            }
            self.work_off(py, tasks)?;
            if begun.elapsed() >= TURN {
                return Ok(());
            }
        }
    }

    fn work_off(&self, py: Python<'_>, tasks: Vec<Task>) -> PyResult<()> {
        let mut tasks = tasks.into_iter();
        while let Some(task) = tasks.next() {
            // Seen to between any two: at the end of the interpreter no thread may be caught in here.
            if self.0.halted.load(Ordering::Acquire) {
                if let Err(error) = self.halt_now(py, std::iter::once(task).chain(tasks)) {
                    error.write_unraisable(py, None);
                }
                return Ok(());
            }
            let done = match task {
                Task::Wake(promise) => Promise::wake(promise.bind(py)),
                Task::Serve(server) => HandlerTask::wake(server.bind(py)),
                Task::Cancel(task) => task.call_method0(py, intern!(py, "cancel")).map(drop),
                Task::Run(errand) => {
                    errand.run(py);
                    Ok(())
                }
                Task::Halt => Ok(()),
            };
            match done {
                Err(error) if !error.is_instance_of::<PyException>(py) => {
                    tasks.for_each(|task| self.leave(task));
                    return Err(error);
                }
                Err(error) => error.write_unraisable(py, None),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Stops the loop, once, with these tasks `left`: who waited for what has come is to be found by who cancels it.
    fn halt_now(&self, py: Python<'_>, left: impl Iterator<Item = Task>) -> PyResult<()> {
        for task in left {
            match task {
                Task::Wake(promise) => Promise::wake_soon(promise.bind(py))?,
                Task::Serve(server) => HandlerTask::wake_soon(server.bind(py))?,
                Task::Cancel(_) | Task::Run(_) | Task::Halt => {}
            }
        }
        if !self.0.stopped.swap(true, Ordering::Relaxed) {
            self.event_loop(py)?.call_method0(intern!(py, "stop"))?;
        }
        Ok(())
    }
}
