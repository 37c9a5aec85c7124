//! What waits to be written on the lanes of a link: queues, bounds, credit.
//!
//! Sans-IO: the caller holds the lock and does what the result says.

use std::collections::{HashMap, VecDeque};

use super::credit::Allowance;
use crate::node::outbound::{Load, Refusal};
use crate::pid::Pid;
use crate::wire::Batch;
use crate::wire::level2::{Credit, Frame};

/// A batch is written when it holds so many bytes, or when its lane is empty.
const BATCH: usize = 64 << 10;

/// One actor that does not keep up may hold back this part of what the peer may hold back.
const HELD_PART: usize = 8;

/// The control lane.
pub(crate) const CONTROL: usize = 0;

#[derive(Default)]
struct Held {
    frames: VecDeque<Frame>,
    load: Load,
}

/// All lanes of one link; number 0 is control.
pub(crate) struct Outgoing {
    most: Load,
    lanes: Vec<VecDeque<Frame>>,
    /// What waits for actors that the peer asked to spare.
    held: HashMap<Pid, Held>,
    /// Messages queued or being written.
    load: Load,
    allowance: Allowance,
    /// Nothing more is taken of the users of the link.
    closed: bool,
    sent: u64,
    dead_letters: u64,
}

impl Outgoing {
    /// `lanes` message lanes beside control.
    pub(crate) fn new(most: Load, lanes: u8, allowance: Allowance) -> Self {
        let lanes = vec![VecDeque::new(); 1 + usize::from(lanes)];
        Self {
            most,
            lanes,
            held: HashMap::new(),
            load: Load::default(),
            allowance,
            closed: false,
            sent: 0,
            dead_letters: 0,
        }
    }

    /// The lane of everything that has the destination `to`.
    pub(crate) fn lane_of(&self, to: Option<Pid>) -> usize {
        match (to, self.lanes.len() - 1) {
            (None, _) | (_, 0) => CONTROL,
            // Spreads neighbouring PIDs; any function of the receiver keeps the order.
            (Some(to), lanes) => 1 + (to.index().wrapping_mul(0x9E37_79B9) >> 16) as usize % lanes,
        }
    }

    /// Queues a message; returns its lane, or hands it back.
    pub(crate) fn push_message(
        &mut self,
        to: Pid,
        data: bytes::Bytes,
    ) -> Result<usize, (Refusal, bytes::Bytes)> {
        if self.closed {
            return Err((Refusal::NoConnection("the link is ending; try again".to_owned()), data));
        }
        if !self.has_room(data.len()) {
            return Err((Refusal::Busy, data));
        }
        if self.held.get(&to).is_some_and(|held| !self.may_hold(held, data.len())) {
            return Err((Refusal::Held, data));
        }
        Ok(self.admit(to, data))
    }

    /// Queues a message that was taken earlier, whatever the bounds.
    pub(crate) fn admit(&mut self, to: Pid, data: bytes::Bytes) -> usize {
        self.load.messages += 1;
        self.load.bytes += data.len();
        self.push(Some(to), Frame::Message { to: Some(to), data })
    }

    /// Queues any other frame in the lane of `to`; returns the lane. Frames of the link itself have a
    /// source that bounds them.
    pub(crate) fn push(&mut self, to: Option<Pid>, frame: Frame) -> usize {
        let lane = self.lane_of(to);
        match to.and_then(|to| self.held.get_mut(&to)) {
            Some(held) => held.push(frame),
            None => self.lanes[lane].push_back(frame),
        }
        lane
    }

    /// The peer asks to spare an actor: what waits for it, and what comes, is held back.
    pub(crate) fn hold(&mut self, pid: Pid) {
        if self.closed || self.held.contains_key(&pid) {
            return;
        }
        let lane = self.lane_of(Some(pid));
        let (held, others) =
            std::mem::take(&mut self.lanes[lane]).into_iter().partition(|frame| frame.to() == Some(pid));
        self.lanes[lane] = others;
        let frames: VecDeque<Frame> = held;
        let entry = self.held.entry(pid).or_default();
        frames.into_iter().for_each(|frame| entry.push(frame));
    }

    /// The actor has caught up; returns the lane in which what was held back goes on.
    pub(crate) fn release(&mut self, pid: Pid) -> usize {
        let lane = self.lane_of(Some(pid));
        let held = self.held.remove(&pid).unwrap_or_default();
        self.lanes[lane].extend(held.frames);
        lane
    }

    /// Queues a frame at the end of every lane, behind which nothing of the users of the link comes.
    pub(crate) fn close(&mut self, last: &Frame) {
        self.closed = true;
        // The end of a lane must be its end: what was held back goes first.
        let held: Vec<_> = self.held.keys().copied().collect();
        for pid in held {
            self.release(pid);
        }
        self.lanes.iter_mut().for_each(|lane| lane.push_back(last.clone()));
    }

    /// Moves the next frames of a lane into `batch`, as far as there is credit. What it returns goes to
    /// [`written`](Self::written) once it is.
    pub(crate) fn fill(&mut self, lane: usize, batch: &mut Batch) -> Load {
        let mut taken = Load::default();
        let lane = &mut self.lanes[lane];
        while batch.len() < BATCH {
            match lane.front() {
                None => break,
                Some(Frame::Message { data, .. }) => {
                    if !self.allowance.take(data.len()) {
                        break;
                    }
                    taken.messages += 1;
                    taken.bytes += data.len();
                }
                Some(_) => {}
            }
            lane.pop_front().into_iter().for_each(|frame| batch.frame(frame));
        }
        taken
    }

    /// A filled batch has been written.
    pub(crate) fn written(&mut self, load: Load) {
        self.load.messages = self.load.messages.saturating_sub(load.messages);
        self.load.bytes = self.load.bytes.saturating_sub(load.bytes);
        self.sent += load.messages as u64;
    }

    /// CREDIT came.
    pub(crate) fn credit(&mut self, credit: &Credit) {
        self.allowance.raise(credit.msgs, credit.bytes);
    }

    /// Drops everything that is not written; returns the number of messages, which are dead letters.
    pub(crate) fn abandon(&mut self) -> usize {
        self.closed = true;
        let messages = std::mem::take(&mut self.load).messages;
        self.dead_letters += messages as u64;
        self.lanes.iter_mut().for_each(VecDeque::clear);
        self.held.clear();
        messages
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        let fits = self.load.messages < self.most.messages && self.load.bytes + len <= self.most.bytes;
        fits || self.load.messages == 0
    }

    fn may_hold(&self, held: &Held, len: usize) -> bool {
        let fits = held.load.messages < self.most.messages / HELD_PART
            && held.load.bytes + len <= self.most.bytes / HELD_PART;
        fits || held.load.messages == 0
    }

    /// Frames of the link itself that wait on control.
    pub(crate) fn control_len(&self) -> usize {
        self.lanes[CONTROL].len()
    }

    pub(crate) fn load(&self) -> Load {
        self.load
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn dead_letters(&self) -> u64 {
        self.dead_letters
    }
}

impl Held {
    fn push(&mut self, frame: Frame) {
        if let Frame::Message { data, .. } = &frame {
            self.load.messages += 1;
            self.load.bytes += data.len();
        }
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn pid(index: u32) -> Pid {
        Pid::new(1, index).unwrap()
    }

    fn outgoing(lanes: u8, credit: u64) -> Outgoing {
        let most = Load { messages: 10, bytes: 1000 };
        Outgoing::new(most, lanes, Allowance::new(credit, 1000))
    }

    fn written(out: &mut Outgoing, lane: usize) -> usize {
        let load = out.fill(lane, &mut Batch::new());
        out.written(load);
        load.messages
    }

    #[test]
    fn d8_a_receiver_has_one_lane_and_receivers_spread() {
        let out = outgoing(4, 10);
        let lanes: std::collections::HashSet<_> = (0..100).map(|n| out.lane_of(Some(pid(n)))).collect();
        assert_eq!(lanes, (1..=4).collect());
        assert_eq!(out.lane_of(Some(pid(7))), out.lane_of(Some(pid(7))));
        assert_eq!(out.lane_of(None), CONTROL);
        assert_eq!(outgoing(0, 10).lane_of(Some(pid(7))), CONTROL, "lanes: 0");
    }

    #[test]
    fn l10_the_lanes_are_bounded_together() {
        let mut out = outgoing(2, 100);
        for n in 0..10 {
            assert!(out.push_message(pid(n), Bytes::new()).is_ok());
        }
        assert_eq!(out.push_message(pid(1), Bytes::new()), Err((Refusal::Busy, Bytes::new())));
        out.push(Some(pid(1)), Frame::Ping);
        assert_eq!(written(&mut out, 1) + written(&mut out, 2), 10);
        assert!(out.push_message(pid(1), Bytes::new()).is_ok());
        assert_eq!(out.sent(), 10);
    }

    #[test]
    fn l11_without_credit_messages_wait_and_other_frames_in_other_lanes_do_not() {
        let mut out = outgoing(1, 3);
        (0..5).for_each(|n| drop(out.push_message(pid(n), Bytes::new())));
        out.push(None, Frame::Ping);
        assert_eq!((written(&mut out, 1), written(&mut out, 1)), (3, 0));
        let mut control = Batch::new();
        out.fill(CONTROL, &mut control);
        assert_eq!(control.len(), 1, "the ping");
        out.credit(&Credit { msgs: 4, bytes: 1000, received: 3 });
        assert_eq!((written(&mut out, 1), written(&mut out, 1)), (1, 0));
        assert_eq!((out.abandon(), out.dead_letters()), (1, 1));
    }

    #[test]
    fn l12_frames_for_a_spared_actor_wait_in_order_and_others_go_on() {
        let mut out = outgoing(1, 100);
        let (slow, fast) = (pid(1), pid(2));
        let sent = |n: u8| Bytes::from(vec![n; 1]);
        for n in 0..2 {
            out.push_message(slow, sent(n)).unwrap();
            out.push_message(fast, sent(n)).unwrap();
        }
        out.hold(slow);
        out.push_message(fast, sent(2)).unwrap();
        let refused = out.push_message(slow, sent(2));
        assert_eq!(refused, Err((Refusal::Held, sent(2))), "an eighth of ten is held already");
        assert_eq!(written(&mut out, 1), 3, "those for the fast one");
        out.release(slow);
        out.push_message(slow, sent(2)).unwrap();
        let mut batch = Batch::new();
        assert_eq!(out.fill(1, &mut batch).messages, 3);
        let bytes = batch.take().concat();
        assert_eq!([bytes[13], bytes[27], bytes[41]], [0, 1, 2]);
    }

    #[test]
    fn g8_what_is_held_goes_before_the_end_of_its_lane() {
        let mut out = outgoing(1, 100);
        out.hold(pid(1));
        out.push_message(pid(1), Bytes::new()).unwrap();
        out.close(&Frame::Pong);
        let mut batch = Batch::new();
        assert_eq!(out.fill(1, &mut batch).messages, 1);
        assert_eq!(batch.take().concat().last(), Some(&3));
    }

    #[test]
    fn g8_nothing_is_taken_behind_the_last_frame_of_a_lane() {
        let mut out = outgoing(1, 3);
        out.push_message(pid(1), Bytes::new()).unwrap();
        out.close(&Frame::Pong);
        assert!(matches!(out.push_message(pid(1), Bytes::new()), Err((Refusal::NoConnection(_), _))));
        let mut batch = Batch::new();
        assert_eq!(out.fill(1, &mut batch).messages, 1);
        assert_eq!(batch.take().concat().last(), Some(&3), "the last frame");
    }
}
