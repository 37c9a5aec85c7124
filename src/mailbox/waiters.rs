//! Senders that wait for room in a bounded mailbox, first come, first served.
//!
//! Decides only; the lock around it is `bounded`'s. A sender whose turn it is holds a grant, which is a
//! place in the mailbox, until it comes for it or gives it up.

use std::collections::VecDeque;
use std::task::Waker;

/// Names one waiting sender. Never used twice.
pub(super) type Ticket = u64;

#[derive(Default)]
pub(super) struct Waiters {
    line: VecDeque<(Ticket, Waker)>,
    granted: Vec<Ticket>,
    last: Ticket,
}

impl Waiters {
    /// Goes to the end of the line.
    pub(super) fn join(&mut self, waker: Waker) -> Ticket {
        self.last += 1;
        self.line.push_back((self.last, waker));
        self.last
    }

    /// Gives the first in the line a grant. Who is to be woken.
    pub(super) fn admit(&mut self) -> Option<Waker> {
        let (ticket, waker) = self.line.pop_front()?;
        self.granted.push(ticket);
        Some(waker)
    }

    /// Uses a grant; whether there was one.
    pub(super) fn claim(&mut self, ticket: Ticket) -> bool {
        let place = self.granted.iter().position(|granted| *granted == ticket);
        place.map(|place| self.granted.swap_remove(place)).is_some()
    }

    /// Leaves the line.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let place = self.place(ticket)?;
        self.line.remove(place).map(|(_, waker)| waker)
    }

    /// Wakes another waker when the turn comes. Returns the one that is not needed.
    pub(super) fn replace(&mut self, ticket: Ticket, waker: Waker) -> Waker {
        match self.place(ticket) {
            Some(place) => std::mem::replace(&mut self.line[place].1, waker),
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
        self.line.drain(..).map(|(_, waker)| waker).collect()
    }

    fn place(&self, ticket: Ticket) -> Option<usize> {
        // Tickets rise along the line.
        self.line.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}
