//! A deadline that a future waits for.

use std::ops::Deref;
use std::task::{Context, Poll};

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
    timer: Option<TimerId>,
}

impl<W: Deref<Target = Wheels>> Alarm<W> {
    pub(crate) fn new(wheels: W, at: u64, near: u32) -> Self {
        Self { wheels, at, near, timer: None }
    }

    /// Whether it is over. The latest context is woken.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Rang> {
        let Some(timer) = self.timer else {
            self.timer = self.wheels.wake_at(self.at, self.near, cx.waker());
            return if self.timer.is_some() { Poll::Pending } else { Poll::Ready(Rang::Closed) };
        };
        self.wheels.renew(timer, cx.waker())
    }
}

impl<W: Deref<Target = Wheels>> Drop for Alarm<W> {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            drop(self.wheels.cancel(timer));
        }
    }
}
