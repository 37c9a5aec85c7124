//! Messages sent later. They end with their actor, at once.

use std::time::Duration;

use bytes::Bytes;

use super::dead_letters::DeadLetterReason;
use super::slot::{Slot, flag};
use super::{System, discard};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::pid::Pid;
use crate::sync::Ordering;
use crate::wheel::{Interval, Post, Shot, TimerId, nanos};

impl System {
    /// Sends `message` after `delay`. A dead actor's is a dead letter at once.
    pub(crate) fn send_after(&self, delay: Duration, pid: Pid, message: Payload) -> TimerId {
        self.set_timer(delay, pid, Shot::Once(message))
    }

    /// Sends `message` after each period, at least a millisecond.
    pub(crate) fn send_every(&self, period: Duration, pid: Pid, message: Bytes) -> TimerId {
        let period = period.max(Duration::from_millis(1));
        let interval = Interval { period: nanos(period), message };
        self.set_timer(period, pid, Shot::Every(Box::new(interval)))
    }

    /// Takes a timer back; whether it was still to send.
    pub(crate) fn cancel_timer(&self, timer: TimerId) -> bool {
        self.wheels().cancel(timer).is_some()
    }

    /// Takes back the timers of an actor that has ended. Their messages were never sent, so they are no
    /// dead letters.
    pub(super) fn forget_timers(&self, pid: Pid) {
        self.wheels().forget(pid, discard);
    }

    fn set_timer(&self, delay: Duration, pid: Pid, shot: Shot) -> TimerId {
        let Some(slot) = self.slot(pid).filter(|slot| slot.is_alive(pid)) else {
            return self.refuse(pid, shot);
        };
        mark(slot);
        let wheels = self.wheels();
        match wheels.send_at(wheels.after(delay), pid, shot) {
            // Its end, if it came meanwhile, may have looked for timers before this one was there.
            Ok(timer) if !slot.is_alive(pid) => {
                wheels.cancel(timer).map_or(timer, |shot| self.refuse(pid, shot))
            }
            Ok(timer) => timer,
            Err(shot) => self.refuse(pid, shot),
        }
    }

    #[cold]
    fn refuse(&self, pid: Pid, shot: Shot) -> TimerId {
        let message = match shot {
            Shot::Once(message) => Some(message),
            Shot::Every(interval) => Some(Payload::Bytes(interval.message)),
            Shot::Wake(_) => None,
        };
        self.dead_letter(pid, DeadLetterReason::NoProcess, message);
        TimerId::NONE
    }
}

impl Post for System {
    fn post(&self, pid: Pid, message: Payload) -> bool {
        let Err(unsent) = self.send(pid, message) else { return true };
        // A full mailbox or a lost connection loses this message, and no later one of an interval.
        let lives = matches!(unsent, SendError::Full { .. } | SendError::NoConnection { .. });
        self.letters().add_unsent(unsent);
        lives
    }
}

/// Has the end of the actor look for timers. Mostly it is marked already, and the line that its senders
/// write is only read.
fn mark(slot: &Slot) {
    if !slot.has(flag::TIMED) {
        slot.flags.fetch_or(flag::TIMED, Ordering::AcqRel);
    }
}
