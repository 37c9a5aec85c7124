//! Actors that the peer asks to spare.

use super::{CONTROL, Outgoing};
use crate::node::link::held::passes;
use crate::node::outbound::Load;
use crate::pid::Pid;
use crate::wire::level2::Frame;

/// One actor that does not keep up may hold back this part of what the peer may hold back.
const HELD_PART: usize = 8;

/// Actors of one peer that are spared at once.
const MAX_HELD: usize = 65_536;

impl Outgoing {
    /// The peer asks to spare an actor: what comes for it is held back, and what waits already, unless that is
    /// more than one actor may hold. Then as much of it as the peer's window still goes: the room that it takes
    /// belongs to the other actors of the peer. `false` if the peer has far too many spared.
    pub(crate) fn hold(&mut self, pid: Pid) -> bool {
        if self.closed || self.held.holds(pid) {
            return true;
        }
        if self.held.len() >= MAX_HELD {
            return false;
        }
        let most = self.held_part();
        let lane = self.lane_of(Some(pid));
        let queue = if lane == CONTROL { &self.on_control } else { &self.lanes[lane] };
        self.held.hold(pid, queue, most, self.allowance.window());
        true
    }

    /// The actor has caught up; returns the lane in which what was held back goes on.
    pub(crate) fn release(&mut self, pid: Pid) -> usize {
        let lane = self.lane_of(Some(pid));
        let aside = self.held.release(pid);
        self.queue(Some(pid)).put_first(aside);
        lane
    }

    /// Takes what comes first in a queue out of the way, if it waits for an actor that is spared; whether it
    /// does.
    pub(super) fn set_aside(&mut self, lane: usize, on_control: bool) -> bool {
        if self.held.is_empty() {
            return false;
        }
        let queue = if on_control { &mut self.on_control } else { &mut self.lanes[lane] };
        if let Some(run) = queue.front_run() {
            let aside = run.first().and_then(|to| self.held.aside(to));
            return aside.map(|aside| run.set_aside(aside)).is_some();
        }
        let to = queue.front().filter(|frame| !passes(frame)).and_then(Frame::to);
        let Some(aside) = to.and_then(|to| self.held.aside(to)) else { return false };
        aside.extend(queue.pop_front());
        true
    }

    pub(super) fn held_part(&self) -> Load {
        let Load { messages, bytes } = self.most;
        Load { messages: messages / HELD_PART, bytes: bytes / HELD_PART }
    }
}
