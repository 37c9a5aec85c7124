//! A deadline that a future waits for.

use std::cell::Cell;
use std::ops::Deref;
use std::ptr;
use std::task::{Context, Poll, Waker};

use super::{TimerId, Wheels};

/// How an alarm ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rang {
    /// At its time.
    InTime,
    /// Because the runtime is down.
    Closed,
}

/// Is set when it is first polled, and taken back when dropped.
pub(crate) struct Alarm<W: Deref<Target = Wheels>> {
    wheels: W,
    at: u64,
    /// Spreads the load over the shards.
    near: u32,
    /// See [`lasting`](Self::lasting): when it was made.
    lasting: Option<u64>,
    set: Option<Set>,
}

/// A timer that wakes somebody, at the time of the alarm or before.
#[derive(Clone, Copy)]
struct Set {
    timer: TimerId,
    at: u64,
    wakes: Whom,
}

/// A waker, as far as it can be told from others.
type Whom = (usize, usize);

thread_local! {
    /// A timer that an alarm on this thread left behind, and the number of its wheels. Who waits again
    /// and again, mostly for a short while, sets one once in a while and not each time.
    static LEFT: Cell<Option<(u64, Set)>> = const { Cell::new(None) };
}

impl<W: Deref<Target = Wheels>> Alarm<W> {
    pub(crate) fn new(wheels: W, at: u64, near: u32) -> Self {
        Self { wheels, at, near, lasting: None, set: None }
    }

    /// As [`new`](Self::new), made `now` and polled at once. Its timer is left for the next alarm on this
    /// thread, and may wake whom it woke once without a cause. The waker should hold nothing.
    pub(crate) fn lasting(wheels: W, now: u64, at: u64, near: u32) -> Self {
        let lasting = wheels.has_thread().then_some(now);
        Self { wheels, at, near, lasting, set: None }
    }

    /// Whether it is over. The latest context is woken.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Rang> {
        let waker = cx.waker();
        match &mut self.set {
            None => self.set(waker),
            Some(set) => match self.wheels.renew(set.timer, waker) {
                Poll::Pending => {
                    set.wakes = whom(waker);
                    Poll::Pending
                }
                // It was an earlier alarm's.
                Poll::Ready(Rang::InTime) if set.at < self.at => self.set_anew(waker),
                over => over,
            },
        }
    }

    fn set(&mut self, waker: &Waker) -> Poll<Rang> {
        self.set = self.lasting.and_then(|now| self.take_left(now, waker));
        if self.set.is_some() { Poll::Pending } else { self.set_anew(waker) }
    }

    fn set_anew(&mut self, waker: &Waker) -> Poll<Rang> {
        let timer = self.wheels.wake_at(self.at, self.near, waker);
        self.set = timer.map(|timer| Set { timer, at: self.at, wakes: whom(waker) });
        if self.set.is_some() { Poll::Pending } else { Poll::Ready(Rang::Closed) }
    }

    /// The timer left behind, if it will wake this waker and not too late. Takes it back otherwise.
    fn take_left(&self, now: u64, waker: &Waker) -> Option<Set> {
        let (_, set) = LEFT.take().filter(|(number, _)| *number == self.wheels.number())?;
        // Before its time it has not gone off, unless the wheels were closed. If either happens now, it
        // wakes this waker in the middle of a poll, and so there will be another.
        let waits = now < set.at && set.at <= self.at && !self.wheels.is_closed();
        if waits && set.wakes == whom(waker) {
            return Some(set);
        }
        drop(self.wheels.cancel(set.timer));
        None
    }
}

fn whom(waker: &Waker) -> Whom {
    (waker.data().addr(), ptr::from_ref(waker.vtable()).addr())
}

impl<W: Deref<Target = Wheels>> Drop for Alarm<W> {
    fn drop(&mut self) {
        let Some(set) = self.set else { return };
        let number = self.wheels.number();
        let last = match self.lasting {
            Some(_) => LEFT.replace(Some((number, set))).filter(|(other, _)| *other == number),
            None => Some((number, set)),
        };
        if let Some((_, set)) = last {
            drop(self.wheels.cancel(set.timer));
        }
    }
}
