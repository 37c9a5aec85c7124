//! Sending to local actors, and what becomes of a message that a bounded mailbox has no room for.

use super::dead_letters::DeadLetterReason;
use super::slot::{Slot, flag};
use super::{System, debt};
use crate::error::SendError;
use crate::mailbox::{Bounded, Offer, Overflow, Payload};
use crate::pid::Pid;

pub(super) type Sent = Result<(), SendError<Payload>>;

impl System {
    /// Delivers a user message.
    pub(crate) fn send(&self, pid: Pid, message: Payload) -> Sent {
        let (slot, message) = self.find(pid, message)?;
        self.send_to(slot, pid, message, |payload| payload)
    }

    /// As [`send`](Self::send), for a message of another node, whose sender has been told that it is taken: what a
    /// bounded mailbox would refuse goes beyond its bound, and the node is to send no more (L12).
    pub(crate) fn deliver(&self, pid: Pid, message: Payload) -> Sent {
        // A node passes on nothing that it is sent.
        if let Some((slot, bounded)) = self.slot(pid).and_then(|slot| Some((slot, slot.bounded_for(pid)?)))
            && bounded.stand_in().is_some_and(|to| self.is_remote(to))
        {
            let (_, message) = self.find(pid, message)?;
            return self.settle(slot, pid, bounded.add(pid.generation(), message));
        }
        match self.send(pid, message) {
            Err(SendError::Full { message, .. }) => {
                let slot = self.slot(pid).and_then(|slot| Some((slot, slot.bounded_for(pid)?)));
                match slot {
                    Some((slot, bounded)) if bounded.refuses() => {
                        self.settle(slot, pid, bounded.add(pid.generation(), message))
                    }
                    // Who stands in for it has refused it.
                    Some(_) => Err(SendError::Full { pid, message }),
                    None => Err(SendError::NoProcess { pid, message }),
                }
            }
            sent => sent,
        }
    }

    /// User messages that wait; `None` for the dead.
    pub(crate) fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        self.living_slot(pid).map(Slot::queued)
    }

    /// How many messages the mailbox holds; `None` where there is no bound, and for the dead.
    pub(crate) fn mailbox_capacity(&self, pid: Pid) -> Option<usize> {
        self.living_slot(pid)?.bounded_for(pid).map(Bounded::capacity)
    }

    /// Whether the mailbox holds more than its bound; `false` where there is none, and for the dead.
    pub(crate) fn is_overfull(&self, pid: Pid) -> bool {
        let bounded = self.living_slot(pid).and_then(|slot| slot.bounded_for(pid));
        bounded.is_some_and(Bounded::is_overfull)
    }

    /// Delivers `message` to the actor `pid` in its slot, which takes what `wrap` makes of it. Inlined
    /// into the typed sender, so that a message is written where it is to lie and not copied there.
    #[inline(always)]
    pub(super) fn send_to<M>(
        &self,
        slot: &'static Slot,
        pid: Pid,
        message: M,
        wrap: impl FnOnce(M) -> Payload,
    ) -> Sent {
        if slot.has(flag::ELSEWHERE) {
            return self.offer(slot, pid, wrap(message));
        }
        match slot.push_user(pid, message, wrap) {
            Ok(None) => Ok(()),
            Ok(ready) => {
                self.schedule(ready);
                Ok(())
            }
            Err(message) => Err(SendError::NoProcess { pid, message }),
        }
    }

    /// The slot of `pid`, if that can be sent `message`.
    pub(super) fn find(
        &self,
        pid: Pid,
        message: Payload,
    ) -> Result<(&'static Slot, Payload), SendError<Payload>> {
        let Some(slot) = self.slot(pid) else {
            return Err(SendError::NoProcess { pid, message });
        };
        if matches!(message, Payload::Bytes(_)) && !slot.has(flag::BYTES) && slot.is_alive(pid) {
            return Err(SendError::NotBytes { pid, message });
        }
        Ok((slot, message))
    }

    #[inline(never)]
    fn offer(&self, slot: &'static Slot, pid: Pid, message: Payload) -> Sent {
        if slot.has(flag::REMOTE) {
            return self.send_remote(pid, message);
        }
        match slot.bounded_for(pid) {
            Some(bounded) => self.settle(slot, pid, bounded.offer(pid.generation(), message)),
            None => Err(SendError::NoProcess { pid, message }),
        }
    }

    /// Does for a message that was offered to `pid` what the policy of its mailbox says.
    pub(super) fn settle(&self, slot: &'static Slot, pid: Pid, offer: Offer<Payload>) -> Sent {
        match self.settle_here(slot, pid, offer) {
            Err(Unsent { message, why: Why::Redirect(to) }) => self.redirect(pid, to, message),
            Err(unsent) => Err(unsent.into_error(pid)),
            Ok(()) => Ok(()),
        }
    }

    fn settle_here(&self, slot: &'static Slot, pid: Pid, offer: Offer<Payload>) -> Result<(), Unsent> {
        match offer {
            Offer::Queued { before: 0 } => self.schedule(slot.rouse()),
            Offer::Queued { before } => debt::owe_for(u32::try_from(before).unwrap_or(u32::MAX), 1),
            Offer::Displaced(oldest) => self.dead_letter(pid, DeadLetterReason::Displaced, Some(oldest)),
            Offer::Full(message, Overflow::DropNew) => {
                self.dead_letter(pid, DeadLetterReason::Full, Some(message));
            }
            Offer::Full(message, Overflow::Redirect(to)) => {
                return Err(Unsent { message, why: Why::Redirect(to) });
            }
            Offer::Full(message, _) => return Err(Unsent { message, why: Why::Full }),
            Offer::Closed(message) => return Err(Unsent { message, why: Why::Closed }),
        }
        Ok(())
    }

    /// Sends to `to` what `pid` has no room for. One step only: where `to` would redirect as well, the
    /// message is handed back. So it is where `to` takes from fewer senders than `pid`, as the message could be
    /// of one whom `to` does not admit.
    fn redirect(&self, pid: Pid, to: Pid, message: Payload) -> Sent {
        if self.admits_peers(pid) && !self.admits_peers(to) {
            return Err(SendError::Full { pid, message });
        }
        let sent = self.find(to, message).and_then(|(slot, message)| match slot.bounded_for(to) {
            Some(bounded) => {
                let offer = bounded.offer(to.generation(), message);
                self.settle_here(slot, to, offer).map_err(|unsent| unsent.into_error(to))
            }
            None => self.send_to(slot, to, message, |payload| payload),
        });
        match sent {
            Err(SendError::Full { message, .. }) => Err(SendError::Full { pid, message }),
            Err(error) => {
                self.letters().add_unsent(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// A message that a bounded mailbox did not take.
struct Unsent {
    message: Payload,
    why: Why,
}

enum Why {
    Full,
    Closed,
    Redirect(Pid),
}

impl Unsent {
    fn into_error(self, pid: Pid) -> SendError<Payload> {
        let message = self.message;
        match self.why {
            Why::Closed => SendError::NoProcess { pid, message },
            Why::Full | Why::Redirect(_) => SendError::Full { pid, message },
        }
    }
}
