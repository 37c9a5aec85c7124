//! The way back of a question, by which who asked is told what became of it.

use std::sync::Arc;
use std::time::Instant;

use myrmidon::Pid;
use myrmidon::actor::{ExitReason as Reason, LateReplies, Reply, ending};
use myrmidon::mailbox::Payload;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::class_actor::Failure;
use crate::exit_reason::from_exception;
use crate::handler::ran;
use crate::outcome::{Lost, Outcome};
use crate::payload;
use crate::promise::Promise;
use crate::seat::Seat;

/// The way back. Dropped unused, it tells who asked so.
pub(crate) struct Answer {
    way: Option<Way>,
    asked: Pid,
    deadline: Option<Instant>,
    late: LateReplies,
}

/// Who asked, and how he is told.
pub(super) enum Way {
    Thread(Arc<Seat>),
    Loop(Py<Promise>),
    /// To who asked from Rust, or from another node.
    Reply(Reply<Payload>),
}

impl Answer {
    pub(super) fn new(way: Way, asked: Pid, deadline: Option<Instant>, late: LateReplies) -> Self {
        Self { way: Some(way), asked, deadline, late }
    }

    /// Tells nobody, as nobody waits.
    pub(super) fn forget(mut self) {
        drop(self.way.take());
    }

    /// Itself, if somebody still waits for it.
    pub(crate) fn wanted(self) -> Option<Self> {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let asked = self.asked;
            self.tell(Outcome::Lost(asked, Lost::Late));
            return None;
        }
        let left = match &self.way {
            Some(Way::Thread(seat)) => seat.is_left(),
            Some(Way::Loop(promise)) => promise.get().is_done(),
            Some(Way::Reply(reply)) => reply.is_abandoned(),
            None => true,
        };
        (!left).then_some(self)
    }

    /// Answers with what a handler returned: bytes, or nothing. Anything else is an error of who asked.
    pub(crate) fn send_value(self, value: &Bound<'_, PyAny>) {
        let py = value.py();
        if let Ok(failure) = value.cast::<Failure>() {
            let error = failure.get().error(py);
            let reason = from_exception(py, &error);
            self.fail(py, error, &reason);
            return;
        }
        let bytes = match value.is_none() {
            true => Ok(PyBytes::new(py, b"")),
            false => payload::frozen_answer(value).map_err(|error| ran(value).err().unwrap_or(error)),
        };
        match bytes {
            Ok(bytes) => _ = self.finish(Outcome::Value(bytes.into_any().unbind())),
            Err(error) => {
                let reason = from_exception(py, &error);
                self.fail(py, error, &reason);
            }
        }
    }

    /// Says that the handler raised `error`, for which the actor ends with `reason`. Whether somebody still waited.
    pub(crate) fn fail(mut self, py: Python<'_>, error: PyErr, reason: &Reason) -> bool {
        if let Some(Way::Reply(reply)) = self.way.take_if(|way| matches!(way, Way::Reply(_))) {
            return reply.fail(reason.clone());
        }
        let outcome = Outcome::raised(py, self.asked, error, reason);
        self.finish(outcome)
    }

    /// As [`wanted`](Self::wanted), for who has the answer: one that nobody wants is counted.
    pub(crate) fn in_time(self) -> Option<Self> {
        let late = self.late;
        let wanted = self.wanted();
        if wanted.is_none() {
            late.count();
        }
        wanted
    }

    /// Tells who asked, unless he has been told, what became of the question. Whether he still waited.
    fn finish(self, outcome: Outcome) -> bool {
        let late = self.late;
        let in_time = self.tell(outcome);
        if !in_time {
            late.count();
        }
        in_time
    }

    /// Whether somebody still waited, or was told before.
    fn tell(mut self, outcome: Outcome) -> bool {
        self.way.take().is_none_or(|way| way.send(outcome))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(way) = self.way.take() {
            let lost = ending(self.asked).map_or(Lost::Dropped, Lost::ended);
            way.send(Outcome::Lost(self.asked, lost));
        }
    }
}

impl Way {
    /// Whether somebody still waited, as far as that is to be counted here.
    pub(super) fn send(self, outcome: Outcome) -> bool {
        match self {
            Self::Thread(seat) => seat.give(outcome),
            Self::Loop(promise) => Promise::give(promise, outcome),
            // It counts itself.
            Self::Reply(reply) => {
                match outcome {
                    Outcome::Value(value) => _ = reply.send(payload::returned(value)),
                    // Dropped unused, it says so, and knows itself when its actor ends. To fail it would count as an
                    // answer.
                    _ => drop(reply),
                }
                true
            }
        }
    }
}
