//! Sending with the receiver's turn on the sender's own thread.

use std::sync::Arc;
use std::time::Duration;

use super::System;
use super::context::current;
use super::sending::Sent;
use super::slice::{After, Runner, SliceLimits, run_slice};
use super::slot::{Ready, flag};
use crate::error::SendError;
use crate::mailbox::Payload;
use crate::pid::Pid;

/// The longest turn. What is left after that the workers do.
const SLICE: SliceLimits = SliceLimits { time: Duration::from_micros(100) };

impl System {
    /// Delivers a user message; see [`Runtime::send_here`](crate::Runtime::send_here).
    pub(crate) fn send_here(self: &Arc<Self>, pid: Pid, message: Payload) -> Sent {
        let (slot, message) = self.find(pid, message)?;
        if slot.has(flag::ELSEWHERE) {
            return self.send_to(slot, pid, message, |payload| payload);
        }
        match slot.push_user(pid, message, |payload| payload) {
            Ok(ready) => {
                ready.into_iter().for_each(|ready| self.run_here(ready));
                Ok(())
            }
            Err(message) => Err(SendError::NoProcess { pid, message }),
        }
    }

    fn run_here(self: &Arc<Self>, mut ready: Ready) {
        // Inside another actor's turn it would lengthen that.
        if ready.lane() != 0 || current().is_some() || !ready.open().1.behaviour.runs_anywhere() {
            return self.schedule(Some(ready));
        }
        // Left for the scheduler where that has its turns in another way.
        let mut left = Some(ready);
        if let Some(scheduler) = self.scheduler() {
            scheduler.run_here(&mut || left = left.take().and_then(|ready| self.turn(ready)));
        }
        self.schedule(left);
    }

    /// Runs one slice; the actor if it has more to do.
    fn turn(self: &Arc<Self>, ready: Ready) -> Option<Ready> {
        let mut runner = Runner::new(SLICE);
        let after = run_slice(ready, self, &mut runner, || false);
        runner.rest();
        match after {
            After::Again(ready) => Some(ready),
            After::Done => None,
        }
    }
}
