//! What comes of waiting: a value, an exception, or the reason why there is neither.

use myrmidon::Pid;
use myrmidon::actor::{AskError, ExitReason as Reason};
use myrmidon::mailbox::Payload;
use pyo3::exceptions::{PyBaseException, PyException, PyStopIteration};
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use crate::errors::{
    ActorEnded, AskTimeout, Busy, MyrmidonError, NoProcess, NoReply, NodeDown, OwnActor, PayloadTooLarge,
    RemoteActorError, Unsupported,
};
use crate::exit_reason::ExitReason;
use crate::payload::into_python;

/// Makes what who waits is given.
pub(crate) type Make = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// What who waits is given.
pub(crate) enum Outcome {
    Value(Py<PyAny>),
    /// Something to look for.
    Sign,
    /// What the handler raised.
    Raised(Py<PyBaseException>),
    /// What this gives, where objects are to be made on the thread that waits.
    Later(Make),
    /// There is no answer from this actor.
    Lost(Pid, Lost),
}

/// Why there is no answer.
pub(crate) enum Lost {
    /// The actor ended before it answered. In a box, as outcomes are moved often, and this one is rare and large.
    Ended(Box<Reason>),
    /// The question was dropped.
    Dropped,
    /// It has not come in time.
    Late,
}

impl Outcome {
    /// The outcome where a handler raised `error`, for which its actor ends with `reason`. What would end
    /// more than the actor, or mean something else to who waits, is told as the end of the actor.
    pub(crate) fn raised(py: Python<'_>, asked: Pid, error: PyErr, reason: &Reason) -> Self {
        let ordinary =
            error.is_instance_of::<PyException>(py) && !error.is_instance_of::<PyStopIteration>(py);
        if ordinary {
            Self::Raised(error.into_value(py))
        } else {
            Self::Lost(asked, Lost::ended(reason.clone()))
        }
    }

    /// The outcome of a question to an actor of another node.
    pub(crate) fn from_afar(asked: Pid, found: Result<Payload, AskError>) -> Self {
        let error = match found {
            Ok(answer) => {
                return Self::Later(Box::new(move |py| Ok(into_python(py, answer)?.into_any().unbind())));
            }
            Err(AskError::Ended { reason: Reason::Exception { kind, message, traceback }, .. }) => {
                return Self::Later(Box::new(move |_| {
                    let text = format!("actor {asked} of another node raised {kind}: {message}");
                    Err(RemoteActorError::new_err((text, kind, traceback)))
                }));
            }
            Err(AskError::Ended { reason, .. }) => return Self::Lost(asked, Lost::ended(reason)),
            Err(AskError::NoReply(_)) => return Self::Lost(asked, Lost::Dropped),
            Err(AskError::Timeout(_)) => return Self::Lost(asked, Lost::Late),
            Err(error) => error,
        };
        Self::Later(Box::new(move |_| {
            let text = error.to_string();
            Err(match error {
                AskError::NoProcess(_) => NoProcess::new_err(text),
                AskError::Full(_) => Busy::new_err(text),
                AskError::NoConnection { .. } => NodeDown::new_err(text),
                AskError::Unsendable { .. } => PayloadTooLarge::new_err(text),
                AskError::OwnActor(_) => OwnActor::new_err(text),
                AskError::Unsupported(_) => Unsupported::new_err(text),
                AskError::Untrusted(_) => {
                    Unsupported::new_err(format!("{text}; an actor with codec=\"pickle\" is one of those"))
                }
                _ => MyrmidonError::new_err(text),
            })
        }))
    }

    /// Shows the collector what it refers to.
    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Value(value) => visit.call(value),
            Self::Raised(error) => visit.call(error),
            Self::Sign | Self::Later(_) | Self::Lost(..) => Ok(()),
        }
    }

    /// The value, or what is to be raised.
    pub(crate) fn into_result(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Value(value) => Ok(value),
            Self::Sign => Ok(py.None()),
            Self::Raised(error) => Err(PyErr::from_value(error.into_bound(py).into_any())),
            Self::Later(make) => make(py),
            Self::Lost(asked, lost) => Err(lost.into_error(py, asked)),
        }
    }
}

impl Lost {
    pub(crate) fn ended(reason: Reason) -> Self {
        Self::Ended(Box::new(reason))
    }

    fn into_error(self, py: Python<'_>, asked: Pid) -> PyErr {
        match self {
            Self::Ended(reason) => {
                let text = format!(
                    "actor {asked} ended before it answered: {reason}; resolve its name again, or ask its \
                     supervisor's new child"
                );
                match Py::new(py, ExitReason::from(&*reason)) {
                    Ok(reason) => ActorEnded::new_err((text, reason)),
                    Err(error) => error,
                }
            }
            Self::Dropped => NoReply::new_err(format!(
                "actor {asked} gave no answer: it dropped the question, or its full mailbox did"
            )),
            Self::Late => AskTimeout::new_err(format!(
                "actor {asked} has not answered in time: give it longer with timeout=, or look what holds \
                 it up; the work may still be done"
            )),
        }
    }
}
