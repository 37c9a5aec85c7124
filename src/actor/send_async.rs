//! Sends that wait for room in a bounded mailbox.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::sending::Sent;
use super::slot::{Slot, flag};
use super::wait::wait;
use super::{ActorRef, System, current};
use crate::error::SendError;
use crate::mailbox::{Bounded, Offer, Overflow, Payload};
use crate::pid::Pid;

impl<M: Send + 'static> ActorRef<M> {
    /// Sends a message; where the mailbox is full and its policy is
    /// [`Overflow::Block`](crate::mailbox::Overflow::Block), waits for room. Who came first is served
    /// first. Every other mailbox answers at once, as to [`send`](Self::send).
    ///
    /// Needs no particular executor. Dropped before it is done it has sent nothing.
    ///
    /// # Errors
    /// Hands the message back if the actor ends, or if an actor would have to wait for room in its own
    /// mailbox.
    pub async fn send_async(&self, message: M) -> Result<(), SendError<M>> {
        let Some(bounded) = self.slot().bounded_for(self.pid()) else { return self.send(message) };
        let sending = Sending::new(self.system(), self.slot(), bounded, self.pid(), Payload::of(message));
        sending.await.map_err(typed)
    }

    /// As [`send_async`](Self::send_async), but blocks the thread for at most `limit`. In a handler on
    /// a worker other actors run meanwhile, as in
    /// [`Context::block_in_place`](super::Context::block_in_place); better is an
    /// [`AsyncActor`](super::AsyncActor).
    ///
    /// # Errors
    /// As `send_async`, and [`SendError::Full`] when the time is up.
    pub fn send_blocking(&self, message: M, limit: Duration) -> Result<(), SendError<M>> {
        let Some(bounded) = self.slot().bounded_for(self.pid()) else { return self.send(message) };
        let sending = Sending::new(self.system(), self.slot(), bounded, self.pid(), Payload::of(message));
        sending.block(limit).map_err(typed)
    }
}

impl System {
    /// See [`ActorRef::send_async`]. To an actor of another node it waits at most for `limit`, or for the time that is
    /// configured.
    pub(crate) async fn send_async(&self, pid: Pid, message: Payload, limit: Option<Duration>) -> Sent {
        let (slot, message) = self.find(pid, message)?;
        if slot.has(flag::REMOTE) {
            return self.send_remote_later(pid, message, limit).await;
        }
        match slot.bounded_for(pid) {
            Some(bounded) => Sending::new(self, slot, bounded, pid, message).await,
            None => self.send(pid, message),
        }
    }

    /// See [`ActorRef::send_blocking`].
    pub(crate) fn send_blocking(&self, pid: Pid, message: Payload, limit: Duration) -> Sent {
        let (slot, message) = self.find(pid, message)?;
        if slot.has(flag::REMOTE) {
            return self.send_remote_blocking(pid, message, limit);
        }
        match slot.bounded_for(pid) {
            Some(bounded) => Sending::new(self, slot, bounded, pid, message).block(limit),
            None => self.send(pid, message),
        }
    }
}

impl System {
    fn send_remote_blocking(&self, pid: Pid, message: Payload, limit: Duration) -> Sent {
        // Looked at first, since a message that waits cannot be taken back from the future that has it.
        match self.send(pid, message) {
            Err(SendError::Full { message, .. }) => {
                let copy = message.into_bytes().unwrap_or_default();
                let later = self.send_remote_later(pid, Payload::Bytes(copy.clone()), Some(limit));
                let full = || Err(SendError::Full { pid, message: Payload::Bytes(copy.clone()) });
                wait(Some(self), pin!(later), limit).unwrap_or_else(full)
            }
            sent => sent,
        }
    }
}

/// The error around the message that the payload was made of.
pub(super) fn typed<M: Send + 'static>(error: SendError<Payload>) -> SendError<M> {
    error.map(|payload| payload.take().expect("the payload was made of this message"))
}

/// A message that may have to wait for room.
struct Sending<'a> {
    system: &'a System,
    slot: &'static Slot,
    bounded: &'static Bounded<Payload>,
    pid: Pid,
    message: Option<Payload>,
    /// The place in the line of who waits.
    ticket: Option<u64>,
}

impl<'a> Sending<'a> {
    fn new(
        system: &'a System,
        slot: &'static Slot,
        bounded: &'static Bounded<Payload>,
        pid: Pid,
        message: Payload,
    ) -> Self {
        Self { system, slot, bounded, pid, message: Some(message), ticket: None }
    }

    fn block(mut self, limit: Duration) -> Sent {
        match wait(Some(self.system), &mut self, limit) {
            Some(sent) => sent,
            None => self.give_up(),
        }
    }

    /// Hands the message back.
    fn give_up(&mut self) -> Sent {
        self.leave();
        let message = self.message.take().expect("a message that was not sent is still here");
        Err(SendError::Full { pid: self.pid, message })
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.bounded.leave(self.pid.generation(), ticket);
        }
    }

    /// Offers the message without a waker, which costs less and is the common way.
    fn offer(&mut self) -> Poll<Offer<Payload>> {
        let Some(message) = self.message.take() else { return Poll::Pending };
        match self.bounded.offer(self.pid.generation(), message) {
            Offer::Full(message, Overflow::Block) => {
                self.message = Some(message);
                Poll::Pending
            }
            offer => Poll::Ready(offer),
        }
    }
}

impl Future for Sending<'_> {
    type Output = Sent;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Sent> {
        let this = self.get_mut();
        if this.ticket.is_none()
            && let Poll::Ready(offer) = this.offer()
        {
            return Poll::Ready(this.system.settle(this.slot, this.pid, offer));
        }
        if current() == Some(this.pid) {
            return Poll::Ready(this.give_up());
        }
        let Self { bounded, pid, ticket, message, .. } = this;
        match bounded.poll_offer(pid.generation(), ticket, message, cx.waker()) {
            Poll::Ready(offer) => Poll::Ready(this.system.settle(this.slot, this.pid, offer)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
