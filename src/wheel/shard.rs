//! The timers of some of the actors: what each does when it is due, and whose it is. Knows no clock.

use std::task::Waker;

use bytes::Bytes;

use super::arena::Arena;
use super::levels::{Levels, Tick};
use super::owners::Owners;
use crate::mailbox::Payload;
use crate::pid::Pid;

/// So many timers are moved or taken out under one lock, which is a matter of microseconds: who arms or
/// cancels one waits for that lock.
const AT_ONCE: usize = 256;

/// What a timer does when it is due. Times are nanoseconds since the wheels were made.
pub(crate) enum Shot {
    /// Sends a message.
    Once(Payload),
    /// Sends the same message again and again.
    Every(Box<Interval>),
    /// Wakes a future.
    Wake(Waker),
}

pub(crate) struct Interval {
    pub(crate) period: u64,
    pub(crate) message: Bytes,
}

/// Where a timer lies, and which of those that lay there one after another it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) place: u32,
    pub(super) serial: u32,
}

/// What is to be done now.
pub(super) struct Due {
    pub(super) at: u64,
    pub(super) key: Key,
    pub(super) action: Action,
}

pub(super) enum Action {
    Send(Pid, Payload),
    Wake(Waker),
}

/// What a shard still takes. Later phases take less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) enum Phase {
    /// Everything.
    Open,
    /// Futures only: the runtime goes down, and its handlers may finish.
    Draining,
    /// Nothing.
    Closed,
}

struct Entry {
    serial: u32,
    /// Whose mailbox the message goes to. `None` for a future.
    owner: Option<Pid>,
    shot: Shot,
}

pub(super) struct Shard {
    phase: Phase,
    entries: Arena<Entry>,
    levels: Levels,
    owners: Owners,
    serial: u32,
    /// Scratch memory of `pop`.
    keys: Vec<u32>,
}

impl Shard {
    /// `skip`: bits of an index that are the same for every actor here.
    pub(super) fn new(skip: u32, tick: Tick) -> Self {
        let (levels, owners) = (Levels::new(tick), Owners::new(skip));
        let (phase, entries, keys) = (Phase::Open, Arena::new(), Vec::new());
        Self { phase, entries, levels, owners, serial: 0, keys }
    }

    /// Adds a timer, or hands it back if the phase takes none of its kind.
    #[inline]
    pub(super) fn add(&mut self, at: u64, owner: Option<Pid>, shot: Shot) -> Result<Key, Shot> {
        if !self.takes(owner.is_some()) {
            return Err(shot);
        }
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let place = self.entries.insert(Entry { serial, owner, shot });
        self.levels.insert(place, at);
        if let Some(owner) = owner {
            self.owners.insert(place, owner, |place| self.entries.get(place)?.owner);
        }
        Ok(Key { place, serial })
    }

    /// Takes a timer out and returns what it would have done; `None` if it is past that.
    #[inline]
    pub(super) fn cancel(&mut self, key: Key) -> Option<Shot> {
        self.find(key)?;
        self.levels.remove(key.place);
        self.take(key.place)
    }

    /// Exchanges what a timer wakes; `false` if it has done so.
    pub(super) fn exchange(&mut self, key: Key, waker: &mut Waker) -> bool {
        let Some(entry) = self.find(key) else { return false };
        if let Shot::Wake(woken) = &mut entry.shot {
            std::mem::swap(woken, waker);
        }
        true
    }

    /// Takes out timers of an actor, at most so many, and returns what they would have done.
    pub(super) fn take_of(&mut self, owner: Pid, most: usize) -> Vec<Shot> {
        let owned = |place: &u32| self.entries.get(*place).is_some_and(|entry| entry.owner == Some(owner));
        let places: Vec<_> = self.owners.candidates(owner).filter(owned).take(most).collect();
        places.into_iter().filter_map(|place| self.take_early(place)).collect()
    }

    /// Goes on to a phase, and returns what the timers that have no place in it would have done.
    pub(super) fn enter(&mut self, phase: Phase) -> Vec<Shot> {
        self.phase = phase;
        let refused = self.entries.iter().filter(|(_, entry)| !self.takes(entry.owner.is_some()));
        let places: Vec<_> = refused.map(|(place, _)| place).collect();
        places.into_iter().filter_map(|place| self.take_early(place)).collect()
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes out what is due at `until`, in no order. Intervals stay, for the first of their periods
    /// that ends after `now`. `false` if there is more, see [`AT_ONCE`].
    pub(super) fn pop(&mut self, until: u64, now: u64, due: &mut Vec<Due>) -> bool {
        let mut keys = std::mem::take(&mut self.keys);
        let all = self.levels.pop(until, AT_ONCE, &mut keys);
        due.extend(keys.drain(..).filter_map(|place| self.fire(place, now)));
        self.keys = keys;
        all
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        self.levels.next_due()
    }

    /// The number of timers that send.
    pub(super) fn messages(&self) -> usize {
        self.owners.len()
    }

    #[inline]
    fn takes(&self, sends: bool) -> bool {
        self.phase == Phase::Open || (self.phase == Phase::Draining && !sends)
    }

    #[inline]
    fn find(&mut self, key: Key) -> Option<&mut Entry> {
        self.entries.get_mut(key.place).filter(|entry| entry.serial == key.serial)
    }

    fn take_early(&mut self, place: u32) -> Option<Shot> {
        self.levels.remove(place);
        self.take(place)
    }

    /// Takes out what has no deadline any more.
    #[inline]
    fn take(&mut self, place: u32) -> Option<Shot> {
        let entry = self.entries.remove(place)?;
        if entry.owner.is_some() {
            self.owners.remove(place);
        }
        Some(entry.shot)
    }

    fn fire(&mut self, place: u32, now: u64) -> Option<Due> {
        let (at, entry) = (self.levels.at(place), self.entries.get(place)?);
        let (key, owner) = (Key { place, serial: entry.serial }, entry.owner);
        if let Shot::Every(interval) = &entry.shot {
            let next = at + (1 + (now - at) / interval.period) * interval.period;
            let message = Payload::Bytes(interval.message.clone());
            self.levels.insert(place, next);
            return Some(Due { at, key, action: Action::Send(owner?, message) });
        }
        let action = match self.take(place)? {
            Shot::Once(message) => Action::Send(owner?, message),
            Shot::Wake(waker) => Action::Wake(waker),
            Shot::Every(_) => unreachable!("an interval stays"),
        };
        Some(Due { at, key, action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn pid(index: u32) -> Pid {
        Pid::new(1, index).unwrap()
    }

    fn add(shard: &mut Shard, at: u64, index: u32, shot: Shot) -> Key {
        shard.add(at, Some(pid(index)), shot).ok().unwrap()
    }

    fn text(text: &'static str) -> Shot {
        Shot::Once(Payload::from(text))
    }

    fn every(period: u64) -> Shot {
        Shot::Every(Box::new(Interval { period, message: Bytes::new() }))
    }

    fn pop(shard: &mut Shard, now: u64) -> Vec<u64> {
        let mut due = Vec::new();
        assert!(shard.pop(now, now, &mut due));
        due.iter().map(|due| due.at).collect()
    }

    #[test]
    fn an_interval_repeats_and_skips_what_it_missed() {
        let mut shard = Shard::new(0, Tick::MILLISECOND);
        let key = add(&mut shard, 10 * MS, 1, every(10 * MS));
        assert_eq!(pop(&mut shard, 36 * MS), [10 * MS]);
        assert!(pop(&mut shard, 39 * MS).is_empty());
        assert_eq!(pop(&mut shard, 42 * MS), [40 * MS]);
        assert!(shard.cancel(key).is_some());
        assert_eq!(shard.next_due(), None);
    }

    #[test]
    fn a_timer_is_cancelled_once_and_not_after_it_went_off() {
        let mut shard = Shard::new(0, Tick::MILLISECOND);
        let first = add(&mut shard, MS, 1, text("x"));
        let second = add(&mut shard, MS, 1, text("y"));
        assert!(shard.cancel(first).is_some() && shard.cancel(first).is_none());
        assert_eq!((pop(&mut shard, 3 * MS), shard.messages()), (vec![MS], 0));
        let third = add(&mut shard, MS, 1, text("z"));
        assert!(![first, second].contains(&third));
        assert!(shard.cancel(second).is_none());
    }

    #[test]
    fn the_timers_of_one_actor_are_found_among_those_of_many() {
        let mut shard = Shard::new(0, Tick::MILLISECOND);
        for index in 0..3000 {
            add(&mut shard, u64::from(index) * MS, index % 100, text("x"));
        }
        assert!(shard.add(MS, None, Shot::Wake(Waker::noop().clone())).is_ok());
        let stranger = Pid::new(2, 7).unwrap();
        assert_eq!(shard.take_of(stranger, usize::MAX).len(), 0);
        assert_eq!(shard.take_of(pid(7), 20).len(), 20);
        assert_eq!(shard.take_of(pid(7), 20).len(), 10);
        assert_eq!(shard.messages(), 2970);
        assert_eq!(shard.enter(Phase::Draining).len(), 2970);
        assert!(shard.add(MS, Some(pid(1)), text("x")).is_err());
        assert_eq!(shard.enter(Phase::Closed).len(), 1);
        assert_eq!(shard.next_due(), None);
    }
}
