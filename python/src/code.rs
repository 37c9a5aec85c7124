//! The code of an actor that runs somewhere else than in the actor's turns, as its actor knows it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use myrmidon::Pid;
use myrmidon::actor::{DeadLetterReason, ExitReason};
use pyo3::prelude::*;

use crate::errors::MailboxClosed;
use crate::exit_reason::from_exception;
use crate::runtime::Shared;
use crate::shelf::{Item, Shelf, Standing};

/// The ties between an actor and its code.
pub(crate) struct Code {
    pub(crate) shelf: Arc<Shelf>,
    runtime: Arc<Shared>,
    /// Whether the runtime has it on its list.
    listed: AtomicBool,
}

impl Code {
    pub(crate) fn new(shelf: Arc<Shelf>, runtime: Arc<Shared>) -> Self {
        Self { shelf, runtime, listed: AtomicBool::new(false) }
    }

    /// Says whose it is.
    pub(crate) fn belong(self: &Arc<Self>, pid: Pid) {
        self.shelf.belong(pid);
        if !self.listed.load(Ordering::Relaxed) && !self.listed.swap(true, Ordering::Relaxed) {
            self.runtime.codes.add(self);
        }
    }

    /// Whether it is what an actor of `runtime` runs.
    pub(crate) fn is_in_use(&self, runtime: &Arc<Shared>) -> bool {
        Arc::ptr_eq(&self.runtime, runtime) && !self.shelf.is_out_of_use()
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        self.shelf.pid()
    }

    /// The code raised `error`, in the middle of the message whose way back has this number. Ends the actor.
    pub(crate) fn failed(&self, py: Python<'_>, error: PyErr, asked: Option<u64>) {
        let reason = from_exception(py, &error);
        let answer = asked.and_then(|number| self.shelf.answer(number));
        let asker_told = answer.is_some_and(|answer| answer.fail(py, error, &reason));
        self.end_told(reason, asker_told);
    }

    /// Its task was cancelled by somebody else than its actor, as a rule because the loop is going down, or the loop has.
    pub(crate) fn cancelled(&self) {
        if !self.shelf.is_out_of_use() {
            self.end(ExitReason::Shutdown);
        }
    }

    /// A function has returned, or raised. Its actor ends with it, unless it waited for that or has other
    /// code by now.
    pub(crate) fn returned(&self, py: Python<'_>, error: Option<PyErr>) {
        let error = error.filter(|error| !error.is_instance_of::<MailboxClosed>(py));
        let reason = error.map(|error| from_exception(py, &error));
        let (standing, lost) = self.shelf.leave();
        self.bury(lost);
        match (standing, reason) {
            (Standing::Ended, _) | (Standing::Closing, None) => {}
            (_, reason) => self.end(reason.unwrap_or(ExitReason::Normal)),
        }
    }

    /// The actor has ended, or will never run this code again: what was given to it and not begun is lost.
    pub(crate) fn dismiss(&self) {
        self.bury(self.shelf.end());
    }

    /// Accounts for messages that nobody will handle.
    fn bury(&self, lost: Vec<Item>) {
        let Some(pid) = self.pid() else { return };
        for message in lost.into_iter().filter_map(Item::into_message) {
            self.runtime.core().add_dead_letter(pid, DeadLetterReason::Ended, message);
        }
    }

    pub(crate) fn end(&self, reason: ExitReason) {
        self.end_told(reason, false);
    }

    /// As `end`, where who asked may have been told why.
    fn end_told(&self, reason: ExitReason, asker_told: bool) {
        if let Some(pid) = self.pid() {
            self.runtime.core().end(pid, reason, asker_told);
        }
    }
}
