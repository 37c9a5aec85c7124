//! What waits for an actor that is being looked for.
//!
//! Sans-IO: in the order in which it came, within the bounds of the queue to a peer (L10).

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::actor::{ExitSignal, Reply, Signal};
use crate::mailbox::Payload;
use crate::node::load::{Account, Budget, Load};

/// Signals that wait, at most: monitors, links and the like.
const MOST_SIGNALS: usize = 65_536;

/// For an actor of another node.
pub(super) enum Item {
    Message(Bytes),
    Question { message: Bytes, reply: Reply<Payload>, deadline: Option<Instant> },
    Signal(Signal),
}

impl Item {
    fn load(&self) -> Option<usize> {
        match self {
            Self::Message(message) | Self::Question { message, .. } => Some(message.len()),
            Self::Signal(_) => None,
        }
    }
}

pub(super) struct Waiting {
    items: VecDeque<Item>,
    load: Account,
    most: Load,
}

impl Waiting {
    pub(super) fn new(most: Load, budget: Budget) -> Self {
        Self { items: VecDeque::new(), load: Account::new(budget), most }
    }

    /// Puts something behind the rest, or hands it back for want of room.
    pub(super) fn push(&mut self, item: Item) -> Result<(), Item> {
        match item.load() {
            Some(len) if self.load.has_room(len, self.most) => self.load.add(len),
            None if self.items.len() - self.load.load().messages < MOST_SIGNALS => {}
            _ => return Err(item),
        }
        self.items.push_back(item);
        Ok(())
    }

    /// Puts back what was taken out last.
    pub(super) fn put_back(&mut self, item: Item) {
        item.load().into_iter().for_each(|len| self.load.add(len));
        self.items.push_front(item);
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        item.load().into_iter().for_each(|bytes| self.load.remove(Load { messages: 1, bytes }));
        Some(item)
    }

    /// Takes out the wish that this signal takes back, if it waits here.
    pub(super) fn revoke(&mut self, signal: &Signal) -> bool {
        let revoked = |item: &Item| match (item, signal) {
            (Item::Signal(Signal::Watch(known, _)), Signal::Unwatch(monitor)) => known == monitor,
            (Item::Signal(Signal::Linked(known)), Signal::Unlinked(near)) => known == near,
            (
                Item::Signal(Signal::Linked(known)),
                Signal::Exit(ExitSignal { from: Some(near), linked: true, .. }),
            ) => known == near,
            _ => false,
        };
        let before = self.items.len();
        self.items.retain(|item| !revoked(item));
        self.items.len() < before
    }

    /// Takes out everything.
    pub(super) fn take_all(&mut self) -> Vec<Item> {
        self.load.clear();
        self.items.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::{MonitorRef, Watcher};
    use crate::pid::Pid;

    fn waiting(messages: usize, bytes: usize) -> Waiting {
        Waiting::new(Load { messages, bytes }, Budget::new(usize::MAX))
    }

    fn message(len: usize) -> Item {
        Item::Message(Bytes::from(vec![0; len]))
    }

    #[test]
    fn l10_what_waits_is_bounded_and_signals_take_no_room_of_messages() {
        let mut waiting = waiting(2, 100);
        assert!(waiting.push(message(60)).is_ok());
        assert!(waiting.push(message(41)).is_err(), "bytes");
        assert!(waiting.push(Item::Signal(Signal::Kill)).is_ok());
        assert!(waiting.push(message(40)).is_ok());
        assert!(waiting.push(message(0)).is_err(), "messages");
        let first = waiting.pop().unwrap();
        assert!(waiting.push(message(60)).is_ok());
        waiting.put_back(first);
        assert!(waiting.push(message(0)).is_err(), "what was put back counts");
        assert_eq!(waiting.take_all().len(), 4);
        assert!(waiting.push(message(100)).is_ok());
    }

    #[test]
    fn a_wish_that_is_taken_back_waits_no_longer() {
        let (mut waiting, near) = (waiting(1, 1), Pid::new(1, 1).unwrap());
        let monitor = MonitorRef::next();
        assert!(waiting.push(Item::Signal(Signal::Watch(monitor, Watcher::Actor(near)))).is_ok());
        assert!(waiting.push(Item::Signal(Signal::Linked(near))).is_ok());
        assert!(!waiting.revoke(&Signal::Unwatch(MonitorRef::next())));
        assert!(waiting.revoke(&Signal::Unwatch(monitor)) && waiting.revoke(&Signal::Unlinked(near)));
        assert!(waiting.pop().is_none());
    }
}
