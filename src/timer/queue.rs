//! Which timer is due: a sorted set of deadlines over a slab of entries. Knows no clock.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use slab::Slab;

use crate::mailbox::Payload;
use crate::pid::Pid;

/// Names a timer. Never used twice in one runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId(u64);

impl TimerId {
    /// The number, for bindings.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// A timer from its number; one that never was cancels nothing.
    pub const fn from_u64(raw: u64) -> Self {
        Self(raw)
    }
}

/// What a timer does when it is due.
pub(super) enum Shot {
    Once(Payload),
    Every(Duration, Bytes),
}

/// A timer that is due and out of the queue.
pub(super) struct Due {
    key: usize,
    serial: u32,
    at: Instant,
    pid: Pid,
    /// The message of this time.
    message: Cell<Option<Payload>>,
}

impl Due {
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    pub(super) fn take_message(&self) -> Option<Payload> {
        self.message.take()
    }
}

#[derive(Default)]
pub(super) struct Queue {
    entries: Slab<Entry>,
    deadlines: BTreeSet<(Instant, usize)>,
    serial: u32,
}

struct Entry {
    at: Instant,
    serial: u32,
    pid: Pid,
    /// `None` once a single shot is on its way.
    shot: Option<Shot>,
}

impl Queue {
    pub(super) fn add(&mut self, at: Instant, pid: Pid, shot: Shot) -> TimerId {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let key = self.entries.insert(Entry { at, serial, pid, shot: Some(shot) });
        self.deadlines.insert((at, key));
        TimerId((u64::from(serial) << 32) | key as u64)
    }

    /// Takes a timer out and returns what it would have done; `None` if it is past that.
    pub(super) fn cancel(&mut self, timer: TimerId) -> Option<Shot> {
        let (key, serial) = ((timer.0 & 0xFFFF_FFFF) as usize, (timer.0 >> 32) as u32);
        self.entries.get(key).filter(|entry| entry.serial == serial)?;
        let entry = self.entries.remove(key);
        self.deadlines.remove(&(entry.at, key));
        entry.shot
    }

    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Takes the first timer whose time has come. Give it back with [`rearm`](Self::rearm).
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Due> {
        let (at, key) = *self.deadlines.first().filter(|(at, _)| *at <= now)?;
        self.deadlines.remove(&(at, key));
        let entry = self.entries.get_mut(key)?;
        let message = match &entry.shot {
            Some(Shot::Every(_, bytes)) => Some(Payload::Bytes(bytes.clone())),
            _ => match entry.shot.take() {
                Some(Shot::Once(payload)) => Some(payload),
                _ => None,
            },
        };
        Some(Due { key, serial: entry.serial, at, pid: entry.pid, message: Cell::new(message) })
    }

    /// After a due timer has fired: an interval waits for its next period, unless its actor has
    /// ended or it was cancelled meanwhile.
    pub(super) fn rearm(&mut self, due: Due, now: Instant, alive: bool) {
        let Some(entry) = self.entries.get_mut(due.key).filter(|entry| entry.serial == due.serial) else {
            return;
        };
        match &entry.shot {
            Some(Shot::Every(period, _)) if alive => {
                let missed = now.saturating_duration_since(due.at).as_nanos() / period.as_nanos().max(1);
                let steps = u32::try_from(missed).unwrap_or(u32::MAX - 1) + 1;
                entry.at = due.at + *period * steps;
                self.deadlines.insert((entry.at, due.key));
            }
            _ => {
                self.entries.remove(due.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid() -> Pid {
        Pid::new(1, 1).unwrap()
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn timers_come_due_in_the_order_of_their_deadlines() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        for delay in [30, 10, 20] {
            queue.add(now + ms(delay), pid(), Shot::Once(Payload::from(vec![delay as u8])));
        }
        assert!(queue.pop_due(now + ms(9)).is_none());
        let mut order = Vec::new();
        while let Some(due) = queue.pop_due(now + ms(30)) {
            order.push(due.take_message().unwrap().into_bytes().unwrap()[0]);
            queue.rearm(due, now + ms(30), true);
        }
        assert_eq!(order, [10, 20, 30]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn an_interval_repeats_skips_what_it_missed_and_ends_with_its_actor() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        queue.add(now + ms(10), pid(), Shot::Every(ms(10), Bytes::from_static(b"t")));
        let due = queue.pop_due(now + ms(35)).unwrap();
        queue.rearm(due, now + ms(35), true);
        assert_eq!(queue.next_due(), Some(now + ms(40)));
        let due = queue.pop_due(now + ms(40)).unwrap();
        queue.rearm(due, now + ms(40), false);
        assert_eq!(queue.next_due(), None);
    }

    #[test]
    fn a_cancelled_timer_is_gone_even_while_it_fires() {
        let (mut queue, now) = (Queue::default(), Instant::now());
        let once = queue.add(now, pid(), Shot::Once(Payload::from("x")));
        assert!(queue.cancel(once).is_some());
        assert!(queue.cancel(once).is_none());
        let every = queue.add(now, pid(), Shot::Every(ms(1), Bytes::new()));
        let due = queue.pop_due(now).unwrap();
        assert!(queue.cancel(every).is_some());
        queue.rearm(due, now, true);
        assert_eq!(queue.next_due(), None);
        let again = queue.add(now, pid(), Shot::Once(Payload::from("y")));
        assert_ne!(again, every);
        assert!(queue.cancel(every).is_none());
    }
}
