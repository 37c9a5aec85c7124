//! What lies on a shelf.

use myrmidon::Pid;
use myrmidon::actor::SystemMessage;
use myrmidon::mailbox::Payload;
use pyo3::prelude::*;

use crate::ask::{self, Answer};
use crate::payload;
use crate::system_message::PySystemMessage;

/// A message that an actor has given to its code.
pub(crate) struct Item {
    content: Content,
    pub(super) answer: Option<Answer>,
    pub(super) kind: Kind,
}

enum Content {
    Sent(Payload),
    System(Pid, SystemMessage),
    /// As Python sees it.
    Object(Py<PyAny>),
}

/// How a message came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Ask,
    System,
}

impl Item {
    pub(crate) fn sent(payload: Payload) -> Self {
        match ask::question(payload) {
            Ok(question) => Self {
                content: Content::Sent(question.message),
                answer: Some(question.answer),
                kind: Kind::Ask,
            },
            Err(payload) => Self { content: Content::Sent(payload), answer: None, kind: Kind::Message },
        }
    }

    pub(crate) fn system(receiver: Pid, message: SystemMessage) -> Self {
        Self { content: Content::System(receiver, message), answer: None, kind: Kind::System }
    }

    /// What code of an actor is given before any message: no message itself.
    pub(crate) fn first(object: Py<PyAny>) -> Self {
        Self { content: Content::Object(object), answer: None, kind: Kind::System }
    }

    /// Whether somebody waits for what becomes of it, or nobody was to answer anyway.
    pub(super) fn is_wanted(&mut self) -> bool {
        let Some(answer) = self.answer.take() else { return true };
        self.answer = answer.wanted();
        self.answer.is_some()
    }

    /// The message as Python sees it, made once.
    pub(super) fn object<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let object = match std::mem::replace(&mut self.content, Content::Object(py.None())) {
            Content::Sent(payload) => payload::into_python(py, payload)?.into_any(),
            Content::System(receiver, message) => {
                Bound::new(py, PySystemMessage::new(py, receiver, message)?)?.into_any()
            }
            Content::Object(object) => object.into_bound(py),
        };
        self.content = Content::Object(object.clone().unbind());
        Ok(object)
    }

    /// What was sent, for who accounts for it; `None` for a system message. Who asked is told that there is no answer.
    pub(crate) fn into_message(self) -> Option<Payload> {
        match (self.kind, self.content) {
            (Kind::System, _) => None,
            (_, Content::Sent(payload)) => Some(payload),
            (_, Content::Object(object)) => {
                Python::try_attach(|py| object.into_bound(py).cast_into().ok().map(payload::wrap)).flatten()
            }
            _ => None,
        }
    }
}
