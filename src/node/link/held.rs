//! What waits for actors that the peer asked to spare (L12).
//!
//! Sans-IO. Answers do not wait: they enter no mailbox, and that very actor may be waiting for one. A kill
//! does not either.

use std::collections::{HashMap, VecDeque};

use super::bulk::REPLY;
use super::reason::is_kill;
use crate::node::outbound::Load;
use crate::pid::Pid;
use crate::wire::level2::{Ask, Frame};

/// By actor.
#[derive(Default)]
pub(super) struct Held(HashMap<Pid, Queue>);

#[derive(Default)]
struct Queue {
    frames: VecDeque<Frame>,
    load: Load,
}

impl Held {
    pub(super) fn holds(&self, pid: Pid) -> bool {
        self.0.contains_key(&pid)
    }

    /// Takes a frame that has to wait; any other comes back.
    pub(super) fn keep(&mut self, to: Option<Pid>, frame: Frame) -> Option<Frame> {
        match to.and_then(|to| self.0.get_mut(&to)) {
            Some(queue) if !passes(&frame) => queue.push(frame),
            _ => return Some(frame),
        }
        None
    }

    /// Holds back what comes for `pid`, behind `frames`, which waited for it already. Those come back if they are
    /// beyond `most`.
    pub(super) fn hold(&mut self, pid: Pid, frames: Vec<Frame>, most: Load) -> Vec<Frame> {
        let mut queue = Queue::default();
        frames.into_iter().for_each(|frame| queue.push(frame));
        let fits = queue.load.messages <= most.messages && queue.load.bytes <= most.bytes;
        let (queue, others) = if fits { (queue, Queue::default()) } else { (Queue::default(), queue) };
        self.0.insert(pid, queue);
        others.frames.into()
    }

    /// How many are spared.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What was held back for `pid`, in its order.
    pub(super) fn release(&mut self, pid: Pid) -> impl Iterator<Item = Frame> + use<> {
        self.0.remove(&pid).unwrap_or_default().frames.into_iter()
    }

    /// Who is spared, in a fixed order.
    pub(super) fn all(&self) -> Vec<Pid> {
        let mut all: Vec<_> = self.0.keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// Whether a message of `len` bytes would be beyond `most` of what may wait for `pid`.
    pub(super) fn is_full(&self, pid: Pid, len: usize, most: Load) -> bool {
        self.0.get(&pid).is_some_and(|Queue { load, .. }| {
            let fits = load.messages < most.messages && load.bytes + len <= most.bytes;
            !fits && load.messages > 0
        })
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Queue {
    fn push(&mut self, frame: Frame) {
        let bytes = match &frame {
            Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => Some(data.len()),
            Frame::Bulk(bulk) => usize::try_from(bulk.total).ok(),
            _ => None,
        };
        if let Some(bytes) = bytes {
            self.load.messages += 1;
            self.load.bytes += bytes;
        }
        self.frames.push_back(frame);
    }
}

/// Whether a frame that is queued waits with `pid`, once that is spared.
pub(super) fn waits_for(pid: Pid, frame: &Frame) -> bool {
    frame.to() == Some(pid) && !passes(frame)
}

fn passes(frame: &Frame) -> bool {
    match frame {
        Frame::Reply(_) | Frame::Error(_) => true,
        Frame::Bulk(bulk) => bulk.kind == REPLY,
        Frame::Exit(exit) => is_kill(exit),
        _ => false,
    }
}
