//! Steps of code that a language binding runs outside of its actor's turns, as the watchdog sees them.

use super::Lane;
use crate::pid::Pid;

impl Lane {
    /// Says that this thread runs code of `pid` until the step is dropped, in another way than by [`run`](Self::run): for
    /// code that a language binding runs outside of its actor's turns, on a lane that nobody drives. Whoever takes too long
    /// is reported as stalled, and it is counted as run time. Steps of one thread may lie inside each other.
    pub fn step(&self, pid: Pid) -> LaneStep<'_> {
        let before = self.activity.glimpse().pid();
        self.activity.begin(pid);
        self.alarm.ring_for_lane();
        LaneStep { lane: self, pid, before }
    }
}

/// A step of an actor's code; see [`Lane::step`].
#[must_use = "it is over when this is dropped"]
pub struct LaneStep<'a> {
    lane: &'a Lane,
    pid: Pid,
    /// Whose step it interrupts.
    before: Option<Pid>,
}

impl LaneStep<'_> {
    /// From here on it is another step of the same actor.
    pub fn again(&self) {
        self.lane.activity.begin(self.pid);
    }
}

impl Drop for LaneStep<'_> {
    fn drop(&mut self) {
        match self.before {
            Some(before) => self.lane.activity.begin(before),
            None => self.lane.activity.end(),
        }
    }
}
