//! The queue of a bounded mailbox: user messages up to a bound, a policy, and senders that wait.
//!
//! Only user messages lie here; signals of the same actor travel through its inbox and carry the number
//! of the message that they follow. A bounded mailbox costs a lock per message, and needs one: to drop
//! the oldest message exactly, and to hand room over in order.
//!
//! It belongs to one actor after another, named by their generations, so that a late sender finds
//! another generation and not another actor's room.
//!
//! Invariant: messages + granted places <= capacity but for messages that were [added](Bounded::add) beyond it, and nobody
//! waits while the sum is smaller.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::task::{Poll, Waker};

use super::policy::Overflow;
use super::waiters::{Ticket, Waiters, wake};
use crate::pid::Pid;
use crate::sync::{Mutex, MutexGuard};

/// Messages for which an empty queue keeps memory.
const KEPT: usize = 64;

pub(crate) struct Bounded<T> {
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Of the actor that has the queue; zero, which no actor has, between two.
    generation: u32,
    capacity: usize,
    overflow: Overflow,
    queue: VecDeque<T>,
    /// The number of the newest message; those in the queue have the numbers up to it.
    last: u64,
    waiters: Waiters,
}

/// What became of a message that was offered.
pub(crate) enum Offer<T> {
    /// It is in the queue, behind so many. If there are none the actor may be idle and must be roused.
    Queued { before: usize },
    /// It is in the queue, and the oldest message fell out.
    Displaced(T),
    /// There is no room, and this is what is to be done.
    Full(T, Overflow),
    /// The actor has ended.
    Closed(T),
}

/// What the owner does next.
pub(crate) enum Next<T> {
    /// Handle this message.
    Message(T),
    /// Obey the signal in hand: it comes before every message.
    Signal,
    /// Look at what has arrived: a signal may be there that comes before the next message.
    Look,
    /// Nothing.
    Wait,
}

impl<T> Bounded<T> {
    pub(crate) fn new() -> Self {
        let state = State {
            generation: 0,
            capacity: 1,
            overflow: Overflow::Reject,
            queue: VecDeque::new(),
            last: 0,
            waiters: Waiters::default(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Gives the queue to an actor. The one before has closed it.
    pub(crate) fn open(&self, generation: u32, capacity: usize, overflow: Overflow) {
        let mut state = self.lock();
        debug_assert!(state.generation == 0 && state.queue.is_empty());
        state.generation = generation;
        state.capacity = capacity.max(1);
        state.overflow = overflow;
    }

    /// Puts a message into the queue if there is room.
    pub(crate) fn offer(&self, generation: u32, message: T) -> Offer<T> {
        self.lock().offer(generation, message)
    }

    /// Puts a message into the queue though there be no room: its sender was told before that it is taken.
    pub(crate) fn add(&self, generation: u32, message: T) -> Offer<T> {
        self.lock().add(generation, message)
    }

    /// As [`offer`](Self::offer), but where the policy says so the sender waits for room: `Pending`
    /// leaves `message` in its place, and `waker` is woken when it is worth to ask again.
    ///
    /// Who has a ticket and does not want to wait any more must [`leave`](Self::leave).
    pub(crate) fn poll_offer(
        &self,
        generation: u32,
        ticket: &mut Option<Ticket>,
        message: &mut Option<T>,
        waker: &Waker,
    ) -> Poll<Offer<T>> {
        // Cloned before the lock and dropped after it: wakers are code that is not ours.
        let mut spare = Some(waker.clone());
        let mut state = self.lock();
        let polled = state.poll_offer(generation, ticket, message, &mut spare);
        drop(state);
        polled
    }

    /// Gives up waiting; room that was promised goes to the next.
    pub(crate) fn leave(&self, generation: u32, ticket: Ticket) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        let left = if state.waiters.claim(ticket) { state.admit() } else { None };
        let gone = state.waiters.leave(ticket);
        drop(state);
        drop(gone);
        left.into_iter().for_each(wake);
    }

    /// The next message, unless a signal comes before it: the signal in hand follows the message with
    /// the number `after`. `arrived` says whether there may be others. Owner only.
    ///
    /// Asked under the lock: whatever was sent before a message that is in the queue has arrived by now.
    pub(crate) fn next(&self, after: Option<u64>, arrived: impl FnOnce() -> bool) -> Next<T> {
        let mut state = self.lock();
        let first = state.last + 1 - state.queue.len() as u64;
        if after.is_some_and(|after| after < first) {
            return Next::Signal;
        }
        if arrived() {
            return Next::Look;
        }
        let Some(message) = state.queue.pop_front() else { return Next::Wait };
        let next = state.admit();
        let room = state.spare_room();
        drop(state);
        drop(room);
        next.into_iter().for_each(wake);
        Next::Message(message)
    }

    /// Takes the queue from the actor, with what is in it. Who waits is told.
    pub(crate) fn close(&self) -> VecDeque<T> {
        Self::empty(self.lock())
    }

    /// As [`close`](Self::close), while the actor still lives, if it has the queue. It will find nothing
    /// there any more.
    pub(crate) fn close_early(&self, generation: u32) -> VecDeque<T> {
        let state = self.lock();
        if state.generation == generation { Self::empty(state) } else { VecDeque::new() }
    }

    fn empty(mut state: MutexGuard<'_, State<T>>) -> VecDeque<T> {
        state.generation = 0;
        let rest = std::mem::take(&mut state.queue);
        let waiting = state.waiters.dismiss();
        drop(state);
        waiting.into_iter().for_each(wake);
        rest
    }

    /// The number of the newest message.
    pub(crate) fn last(&self) -> u64 {
        self.lock().last
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().queue.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.lock().capacity
    }

    /// Whether messages were added beyond the bound and are still too many.
    pub(crate) fn is_overfull(&self) -> bool {
        let state = self.lock();
        state.queue.len() > state.capacity
    }

    /// To whom it goes instead.
    pub(crate) fn stand_in(&self) -> Option<Pid> {
        if let Overflow::Redirect(to) = self.lock().overflow { Some(to) } else { None }
    }

    /// Whether what finds no room is refused, and not made room for or sent to another.
    pub(crate) fn refuses(&self) -> bool {
        matches!(self.lock().overflow, Overflow::Block | Overflow::Reject)
    }

    /// Whether a message would find no room.
    pub(crate) fn is_full(&self) -> bool {
        !self.lock().has_room()
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn offer(&mut self, generation: u32, message: T) -> Offer<T> {
        if self.generation != generation {
            return Offer::Closed(message);
        }
        if self.has_room() {
            return self.push(message);
        }
        match self.overflow {
            Overflow::DropOld => {
                let oldest = self.queue.pop_front();
                let queued = self.push(message);
                oldest.map_or(queued, Offer::Displaced)
            }
            overflow => Offer::Full(message, overflow),
        }
    }

    fn add(&mut self, generation: u32, message: T) -> Offer<T> {
        if self.generation == generation { self.push(message) } else { Offer::Closed(message) }
    }

    fn poll_offer(
        &mut self,
        generation: u32,
        ticket: &mut Option<Ticket>,
        message: &mut Option<T>,
        waker: &mut Option<Waker>,
    ) -> Poll<Offer<T>> {
        let current = self.generation == generation;
        if let Some(mine) = *ticket
            && current
            && !self.waiters.claim(mine)
        {
            *waker = waker.take().map(|waker| self.waiters.replace(mine, waker));
            return Poll::Pending;
        }
        let Some(given) = message.take() else { return Poll::Pending };
        *ticket = None;
        match self.offer(generation, given) {
            Offer::Full(back, Overflow::Block) => {
                *message = Some(back);
                *ticket = waker.take().map(|waker| self.waiters.join(waker));
                Poll::Pending
            }
            offer => Poll::Ready(offer),
        }
    }

    fn push(&mut self, message: T) -> Offer<T> {
        let before = self.queue.len();
        self.queue.push_back(message);
        self.last += 1;
        Offer::Queued { before }
    }

    /// Memory that a burst has left in an empty queue.
    fn spare_room(&mut self) -> Option<VecDeque<T>> {
        let spare = self.queue.is_empty() && self.queue.capacity() > KEPT;
        spare.then(|| std::mem::take(&mut self.queue))
    }

    /// Hands room that has become free to who waits. Who is to be woken.
    fn admit(&mut self) -> Option<Waker> {
        if self.has_room() { self.waiters.admit() } else { None }
    }

    fn has_room(&self) -> bool {
        self.queue.len() + self.waiters.granted() < self.capacity
    }
}
