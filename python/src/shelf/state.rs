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

/// How many messages an actor gives that its code has not taken.
#[derive(Clone, Copy, Default)]
pub(crate) enum Allowance {
    /// Up to a depth, so that the code finds the next one there: of a mailbox without a bound.
    #[default]
    Ahead,
    /// As many as a handler that handles so many at a time could begin with at once. All others wait in the mailbox, the
    /// bound of which counts them.
    Free(usize),
    /// As `Free`, for a function: as many as it waits for.
    Wanted,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) allowance: Allowance,
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
    /// The code came for a message and found none that it wanted, since the last was put there.
    pub(super) hungry: bool,
    /// The actor, which waits for room or for its code to come to an end.
    pub(super) actor: Option<Waker>,
    /// A stop or a swap is due: behind what lies here comes nothing more.
    pub(super) closing: bool,
    /// The function has come to its end, and its actor is about to.
    pub(super) left: bool,
    /// Calls of a handler that have not returned or raised.
    pub(super) calls: usize,
    /// They never will, as their loop has come to its end.
    pub(super) lost: bool,
    /// The actor is about to end, and waits for those.
    pub(super) winding: bool,
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

/// Those whose turn it is.
#[must_use = "they are told under no lock"]
pub(super) struct Called {
    first: Option<Waiting>,
    others: VecDeque<Waiting>,
}

impl State {
    /// Nothing is to be handled, and nothing is being handled.
    pub(super) fn is_quiet(&self) -> bool {
        self.busy == 0 && self.ready.is_empty()
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended || self.winding || (self.closing && self.ready.is_empty())
    }

    pub(super) fn has_news(&self, matcher: Option<&Matcher>) -> bool {
        !self.ready.is_empty() || self.is_over() || (matcher.is_none() && !self.aside.is_empty())
    }

    /// Whether the actor may give more, or do what waits until its code has come to an end.
    ///
    /// What it goes by is the state alone: whatever changes that calls `release`, and no path has to know who is waiting.
    pub(super) fn has_room(&self) -> bool {
        if self.closing {
            return self.is_quiet();
        }
        match self.allowance {
            Allowance::Ahead => self.ready.len() <= DEPTH / 2,
            Allowance::Free(most) => self.ready.len() + self.busy < most,
            Allowance::Wanted => self.ready.len() < self.waiting.len().max(usize::from(self.hungry)),
        }
    }

    /// Whether no call of the handler is left to wait for.
    pub(super) fn is_deserted(&self) -> bool {
        self.calls == 0 || self.lost
    }

    /// Takes everything that lies there, the oldest first.
    pub(super) fn empty(&mut self) -> Vec<Item> {
        self.aside.drain(..).chain(self.ready.drain(..)).collect()
    }

    /// Takes the oldest message.
    pub(super) fn oldest(&mut self) -> Option<Item> {
        if let Some(item) = self.aside.pop_front() {
            self.taken_aside += 1;
            return Some(item);
        }
        let item = self.ready.pop_front();
        self.hungry |= item.is_none();
        item
    }

    /// A place for one more task that serves the handler; see [`Shelf::hire`](super::Shelf::hire).
    pub(super) fn hire(&mut self, most: usize) -> bool {
        let hired = !self.ready.is_empty() && self.servers == self.busy && self.servers < most;
        self.servers += usize::from(hired);
        hired
    }

    /// Whom to tell of a message, if anybody waits: one of those who take any, and all who do not.
    pub(super) fn call(&mut self) -> Option<Called> {
        if self.waiting.is_empty() {
            return None;
        }
        let first = self.waiting.iter().position(|waiting| !waiting.is_picky());
        let first = first.and_then(|place| self.waiting.remove(place));
        let mut others = VecDeque::new();
        if self.waiting.iter().any(Waiting::is_picky) {
            (others, self.waiting) = self.waiting.drain(..).partition(Waiting::is_picky);
        }
        Some(Called { first, others })
    }

    /// Whom to tell that it is over.
    pub(super) fn call_all(&mut self) -> Called {
        Called { first: None, others: std::mem::take(&mut self.waiting) }
    }
}

impl Called {
    /// Tells them. One that was cancelled meanwhile is told in vain.
    pub(super) fn tell(self) {
        let Self { first, others } = self;
        first.into_iter().chain(others).for_each(Waiting::tell);
    }
}

impl Waiting {
    /// A loop that is closed drops the promise, and with it perhaps the task that waits, which can run any code of
    /// Python.
    pub(super) fn tell(self) {
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
