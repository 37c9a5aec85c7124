//! Putting messages and signals into the inbox of a slot.

use super::{Ready, Slot};
use crate::actor::debt;
use crate::actor::signal::Envelope;
use crate::mailbox::{Batch, Node, Payload, Push, Stay};
use crate::pid::Pid;
use crate::sync::Ordering;

/// From so many waiting messages on, those of a receiver that never reads lie among themselves, and pin
/// no chunk whose other messages have been read. About as many as lie in one chunk.
const CROWDED: u32 = 64;

impl Slot {
    /// Pushes for the actor `pid`. `Ok(Some)` hands over the right to run it, which must be
    /// scheduled; an error hands the envelope back because `pid` has ended.
    ///
    /// A slot that changes hands between the check and the push is caught by the generation in the
    /// node: the next owner discards it.
    pub(in crate::actor) fn push(
        &'static self,
        pid: Pid,
        mut envelope: Envelope,
    ) -> Result<Option<Ready>, Envelope> {
        if self.generation.load(Ordering::Acquire) != pid.generation() {
            return Err(envelope);
        }
        if let Some(bounded) = self.bounded() {
            envelope.place(bounded.last());
        }
        let overtakes = matches!(envelope, Envelope::Urgent(_) | Envelope::Exit(_));
        let counted = envelope.is_user();
        let pushed = self.inbox.push(Node::new(pid.generation(), envelope), counted);
        if overtakes {
            // After the push, so that an owner who sees the flag also finds the signal.
            self.owner.urgent.store(true, Ordering::Release);
        }
        match pushed {
            Push::Queued(_) => Ok(None),
            Push::WasIdle => Ok(Some(Ready { slot: self })),
            Push::Closed(node) => Err(node.into_value()),
        }
    }

    /// As [`push`](Self::push), for a user message that `wrap` makes of `message`.
    #[inline(always)]
    pub(in crate::actor) fn push_user<M>(
        &'static self,
        pid: Pid,
        message: M,
        wrap: impl FnOnce(M) -> Payload,
    ) -> Result<Option<Ready>, Payload> {
        if self.generation.load(Ordering::Acquire) != pid.generation() {
            return Err(wrap(message));
        }
        // Whoever stands in a long line waits long.
        let stay = if self.inbox.len() < CROWDED { Stay::Short } else { Stay::Long };
        let node = Node::made(pid.generation(), stay, || Envelope::User(wrap(message)));
        match self.inbox.push(node, true) {
            Push::Queued(before) => {
                debt::note(before);
                Ok(None)
            }
            Push::WasIdle => Ok(Some(Ready { slot: self })),
            Push::Closed(node) => match node.into_value() {
                Envelope::User(payload) => Err(payload),
                _ => unreachable!("a push hands back what it was given"),
            },
        }
    }

    /// As [`push`](Self::push), for user messages of one generation, in one step.
    pub(in crate::actor) fn push_all(
        &'static self,
        pid: Pid,
        batch: Batch<Envelope>,
    ) -> Result<Option<Ready>, Batch<Envelope>> {
        if self.generation.load(Ordering::Acquire) != pid.generation() {
            return Err(batch);
        }
        let len = batch.len();
        match self.inbox.push_all(batch) {
            Push::Queued(before) => {
                let length = before.saturating_add(len);
                debt::owe_for(length);
                Ok(None)
            }
            Push::WasIdle => Ok(Some(Ready { slot: self })),
            Push::Closed(batch) => Err(batch),
        }
    }
}
