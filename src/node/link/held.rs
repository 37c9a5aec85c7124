//! What waits for actors that the peer asked to spare (L12).
//!
//! Sans-IO. What is in the queue of its lane when XOFF comes stays there, and is set aside when the writer meets it:
//! XOFF costs a look at each message, and nothing is moved or copied under the lock at once. Answers do not wait: they
//! enter no mailbox, and that very actor may be waiting for one. A kill does not either.

use std::collections::HashMap;

use super::bulk::REPLY;
use super::queue::Queue;
use super::reason::is_kill;
use crate::node::outbound::Load;
use crate::pid::Pid;
use crate::wire::level2::{Ask, Frame};

/// By actor.
#[derive(Default)]
pub(super) struct Held(HashMap<Pid, Waiting>);

#[derive(Default)]
struct Waiting {
    /// What was set aside.
    aside: Queue,
    /// How many frames are still in the queue of the lane, and how many of these, the first, go on.
    ahead: usize,
    pass: usize,
    /// Messages that wait, wherever they are.
    load: Load,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn holds(&self, pid: Pid) -> bool {
        self.0.contains_key(&pid)
    }

    /// Holds back what comes for `pid`, and what is in the queue of its lane: unless that is more than `most`. Then
    /// it still goes, but no more of it than `window`.
    pub(super) fn hold(&mut self, pid: Pid, lane: &Queue, most: Load, window: Load) {
        let mut waiting = Waiting::default();
        for bytes in lane.waiting_for(pid) {
            waiting.ahead += 1;
            waiting.add(bytes);
        }
        if waiting.load.messages > most.messages || waiting.load.bytes > most.bytes {
            let mut gone = Load::default();
            let goes = |bytes: &Option<usize>| {
                let fits = gone.messages < window.messages && gone.bytes < window.bytes;
                gone.messages += usize::from(bytes.is_some());
                gone.bytes += bytes.unwrap_or(0);
                fits
            };
            let passing: Vec<_> = lane.waiting_for(pid).take_while(goes).collect();
            waiting.pass = passing.len();
            passing.into_iter().for_each(|bytes| waiting.remove(bytes));
        }
        self.0.insert(pid, waiting);
    }

    /// Takes a frame that has to wait. It comes back if it does not, or goes behind others in the queue of its lane.
    pub(super) fn keep(&mut self, to: Option<Pid>, frame: Frame) -> Option<Frame> {
        let waiting = to.and_then(|to| self.0.get_mut(&to)).filter(|_| !passes(&frame));
        let Some(waiting) = waiting else { return Some(frame) };
        waiting.add(size(&frame));
        if waiting.ahead > 0 {
            waiting.ahead += 1;
            return Some(frame);
        }
        waiting.aside.push_back(frame);
        None
    }

    /// Where to put a message for `to` that the writer meets, if it has to wait.
    pub(super) fn aside(&mut self, to: Pid) -> Option<&mut Queue> {
        let waiting = self.0.get_mut(&to).filter(|waiting| waiting.pass == 0)?;
        waiting.ahead = waiting.ahead.saturating_sub(1);
        Some(&mut waiting.aside)
    }

    /// Whether a message for `to` that the writer meets has to wait.
    pub(super) fn stops(&self, to: Pid) -> bool {
        self.0.get(&to).is_some_and(|waiting| waiting.pass == 0)
    }

    /// A message for `to` that the writer met goes on, or is gone.
    pub(super) fn passed(&mut self, to: Pid) {
        if let Some(waiting) = self.0.get_mut(&to) {
            waiting.pass = waiting.pass.saturating_sub(1);
            waiting.ahead = waiting.ahead.saturating_sub(1);
        }
    }

    /// How many are spared.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What was set aside for `pid`. It goes in front of what is in the queue of the lane.
    pub(super) fn release(&mut self, pid: Pid) -> Queue {
        self.0.remove(&pid).unwrap_or_default().aside
    }

    /// Who is spared, in a fixed order.
    pub(super) fn all(&self) -> Vec<Pid> {
        let mut all: Vec<_> = self.0.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// Whether a message of `len` bytes would be beyond `most` of what may wait for `pid`.
    pub(super) fn is_full(&self, pid: Pid, len: usize, most: Load) -> bool {
        self.0.get(&pid).is_some_and(|Waiting { load, .. }| {
            let fits = load.messages < most.messages && load.bytes + len <= most.bytes;
            !fits && load.messages > 0
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Waiting {
    fn add(&mut self, bytes: Option<usize>) {
        self.load.messages += usize::from(bytes.is_some());
        self.load.bytes += bytes.unwrap_or(0);
    }

    fn remove(&mut self, bytes: Option<usize>) {
        self.load.messages -= usize::from(bytes.is_some());
        self.load.bytes -= bytes.unwrap_or(0);
    }
}

/// The bytes of a message or a question.
pub(super) fn size(frame: &Frame) -> Option<usize> {
    match frame {
        Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => Some(data.len()),
        Frame::Bulk(bulk) => usize::try_from(bulk.total).ok(),
        _ => None,
    }
}

/// Whether a frame waits with `pid`, once that is spared.
pub(super) fn waits_for(pid: Pid, frame: &Frame) -> bool {
    frame.to() == Some(pid) && !passes(frame)
}

/// Whether a frame goes to whom is spared too.
pub(super) fn passes(frame: &Frame) -> bool {
    match frame {
        Frame::Reply(_) | Frame::Error(_) => true,
        Frame::Bulk(bulk) => bulk.kind == REPLY,
        Frame::Exit(exit) => is_kill(exit),
        _ => false,
    }
}
