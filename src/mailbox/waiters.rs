//! Senders that wait for room in a bounded mailbox, first come, first served.
//!
//! Decides only; the lock around it is `bounded`'s. A sender whose turn it is holds a grant, which is a
//! place in the mailbox, until it comes for it or gives it up.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakes. A waker is code that is not ours: one that panics, which none should, harms nobody who wakes it.
pub(crate) fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

/// Names one waiting sender. Never used twice.
pub(super) type Ticket = u64;

#[derive(Default)]
pub(super) struct Waiters {
    /// Tickets rise along the line.
    line: BTreeMap<Ticket, Waker>,
    granted: BTreeSet<Ticket>,
    last: Ticket,
}

impl Waiters {
    /// Goes to the end of the line.
    pub(super) fn join(&mut self, waker: Waker) -> Ticket {
        self.last += 1;
        self.line.insert(self.last, waker);
        self.last
    }

    /// Gives the first in the line a grant. Who is to be woken.
    pub(super) fn admit(&mut self) -> Option<Waker> {
        let (ticket, waker) = self.line.pop_first()?;
        self.granted.insert(ticket);
        Some(waker)
    }

    /// Uses a grant; whether there was one.
    pub(super) fn claim(&mut self, ticket: Ticket) -> bool {
        self.granted.remove(&ticket)
    }

    /// Leaves the line.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        self.line.remove(&ticket)
    }

    /// Wakes another waker when the turn comes. Returns the one that is not needed.
    pub(super) fn replace(&mut self, ticket: Ticket, waker: Waker) -> Waker {
        match self.line.get_mut(&ticket) {
            Some(place) => std::mem::replace(place, waker),
            None => waker,
        }
    }

    /// Places that are promised.
    pub(super) fn granted(&self) -> usize {
        self.granted.len()
    }

    /// Sends everybody away. Who is to be woken.
    pub(super) fn dismiss(&mut self) -> Vec<Waker> {
        self.granted.clear();
        std::mem::take(&mut self.line).into_values().collect()
    }
}
