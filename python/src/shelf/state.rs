//! What is on a shelf, and who waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use pyo3::prelude::*;

use super::item::Item;
use super::matcher::Matcher;
use crate::ask::Answer;
use crate::handler_task::HandlerTask;
use crate::loop_bell::Bell;
use crate::outcome::Outcome;
use crate::promise::Promise;

/// Messages that an actor gives to its code before that asks for more.
pub(super) const DEPTH: usize = 64;

#[derive(Default)]
pub(super) struct State {
    /// Not yet taken.
    pub(super) ready: VecDeque<Item>,
    /// Passed over by a selective receive, and older than those.
    pub(super) aside: VecDeque<Item>,
    /// How many were taken of those, each of which moved others to another place.
    pub(super) taken_aside: u64,
    /// Ways back of messages that were taken, by number.
    pub(super) open: BTreeMap<u64, Answer>,
    pub(super) last: u64,
    /// Threads may wait for a message.
    pub(super) asleep: bool,
    /// Tasks that wait for a message.
    pub(super) waiting: VecDeque<Waiting>,
    /// Tasks that serve a handler.
    pub(super) servers: usize,
    /// Pieces of code in the middle of something.
    pub(super) busy: usize,
    /// The code came for a message and found none, since the last was put there.
    pub(super) hungry: bool,
    /// The actor, which waits for room or for its code to come to an end.
    pub(super) actor: Option<Waker>,
    /// A stop or a swap is due: behind what lies here comes nothing more.
    pub(super) closing: bool,
    /// The actor has ended, or has other code.
    pub(super) ended: bool,
    pub(super) tasks: Vec<(Bell, Py<PyAny>)>,
}

pub(super) enum Waiting {
    /// A task that takes any message, or one that its matcher picks.
    Promise {
        promise: Py<Promise>,
        picky: bool,
    },
    Server(Py<HandlerTask>),
}

impl State {
    /// Nothing is to be handled, and nothing is being handled.
    pub(super) fn is_quiet(&self) -> bool {
        self.busy == 0 && self.ready.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended || (self.closing && self.ready.is_empty())
    }

    pub(super) fn has_news(&self, matcher: Option<&Matcher>) -> bool {
        !self.ready.is_empty() || self.is_over() || (matcher.is_none() && !self.aside.is_empty())
    }

    /// Whether the actor may give more, or do what waits until its code has come to an end.
    pub(super) fn has_room(&self, strict: bool) -> bool {
        if self.closing {
            return self.is_quiet();
        }
        if strict { self.hungry && self.ready.is_empty() } else { self.ready.len() <= DEPTH / 2 }
    }

    /// Tells one of those who take any message, and all who do not.
    pub(super) fn tell(&mut self) {
        let first = self.waiting.iter().position(|waiting| !waiting.is_picky());
        if let Some(waiting) = first.and_then(|place| self.waiting.remove(place)) {
            waiting.tell();
        }
        if self.waiting.iter().any(Waiting::is_picky) {
            let (picky, rest) = self.waiting.drain(..).partition(Waiting::is_picky);
            self.waiting = rest;
            VecDeque::into_iter(picky).for_each(Waiting::tell);
        }
    }

    pub(super) fn tell_all(&mut self) {
        self.waiting.drain(..).for_each(Waiting::tell);
    }
}

impl Waiting {
    pub(super) fn tell(self) {
        // One that was cancelled meanwhile is told in vain.
        match self {
            Self::Promise { promise, .. } => _ = Promise::give(promise, Outcome::Sign),
            Self::Server(server) => HandlerTask::ring(server),
        }
    }

    /// Whether not every message will do.
    fn is_picky(&self) -> bool {
        matches!(self, Self::Promise { picky: true, .. })
    }

    /// Whether it is this one.
    pub(super) fn is(&self, other: &Py<Promise>) -> bool {
        matches!(self, Self::Promise { promise, .. } if promise.is(other))
    }
}
