//! What is left for a loop, and whether it has to be rung for it.

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::Errand;
use crate::handler_task::HandlerTask;
use crate::promise::Promise;

pub(super) enum Task {
    /// Have those go on who wait for it.
    Wake(Py<Promise>),
    /// Have this go on, which serves a handler and was told that there is a message.
    Serve(Py<HandlerTask>),
    /// Cancel this task of asyncio.
    Cancel(Py<PyAny>),
    Run(Box<dyn Errand>),
    /// There for the loop to see that it is to stop.
    Halt,
}

#[derive(Default)]
pub(super) struct List {
    tasks: Vec<Task>,
    /// Whether the loop is at it.
    working: bool,
    /// Whether it was told to come by.
    announced: bool,
    /// Who asks looks at what is left next.
    held: bool,
    /// It is closed, and takes no more.
    closed: bool,
}

impl List {
    /// Adds a task; whether the loop has to be rung.
    ///
    /// # Errors
    /// The task, to be dropped under no lock, if the loop is closed.
    pub(super) fn add(&mut self, task: Task) -> Result<bool, Task> {
        if self.closed {
            return Err(task);
        }
        self.tasks.push(task);
        Ok(self.tasks.len() == 1 && !self.working && !self.announced && !self.held)
    }

    /// All that is left; nothing is taken any more.
    pub(super) fn close(&mut self) -> Vec<Task> {
        self.closed = true;
        std::mem::take(&mut self.tasks)
    }

    /// Shows the collector what it refers to.
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.tasks.iter().try_for_each(|task| match task {
            Task::Wake(promise) => visit.call(promise),
            Task::Serve(server) => visit.call(server),
            Task::Cancel(task) => visit.call(task),
            Task::Run(errand) => errand.traverse(visit),
            Task::Halt => Ok(()),
        })
    }

    /// The loop will come by; whether that is new.
    pub(super) fn announce(&mut self) -> bool {
        !std::mem::replace(&mut self.announced, true)
    }

    /// It has come, or never will.
    pub(super) fn come(&mut self) {
        self.announced = false;
    }

    /// Nobody rings until [`release`](Self::release).
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Ends [`hold`](Self::hold): the one who was told last, to be served now, if it is one of those `asked`; and whether the
    /// loop has to be rung for what is left.
    pub(super) fn release(
        &mut self,
        asked: impl FnOnce(&HandlerTask) -> bool,
    ) -> (Option<Py<HandlerTask>>, bool) {
        self.held = false;
        let told = match self.tasks.pop() {
            Some(Task::Serve(server)) if asked(server.get()) => Some(server),
            other => {
                self.tasks.extend(other);
                None
            }
        };
        (told, !self.tasks.is_empty() && !self.working && !self.announced)
    }

    /// All that is left, for a loop that is at it.
    pub(super) fn take(&mut self) -> Vec<Task> {
        self.working = true;
        std::mem::take(&mut self.tasks)
    }

    /// The loop turns to other things; whether it has to be rung for what is left.
    pub(super) fn rest(&mut self) -> bool {
        self.working = false;
        !self.tasks.is_empty() && !self.announced
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}
