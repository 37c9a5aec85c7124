//! What waits to be written on the lanes of a link: queues, bounds, credit.
//!
//! Sans-IO: the caller holds the lock and does what the result says.

use std::collections::VecDeque;

use super::credit::Allowance;
use crate::node::outbound::{Load, Refusal};
use crate::pid::Pid;
use crate::wire::Batch;
use crate::wire::level2::{Credit, Frame};

/// A batch is written when it holds so many bytes, or when its lane is empty.
const BATCH: usize = 64 << 10;

/// The control lane.
pub(crate) const CONTROL: usize = 0;

/// All lanes of one link; number 0 is control.
pub(crate) struct Outgoing {
    most: Load,
    lanes: Vec<VecDeque<Frame>>,
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
        Self { most, lanes, load: Load::default(), allowance, closed: false, sent: 0, dead_letters: 0 }
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
        self.lanes[lane].push_back(frame);
        lane
    }

    /// Queues a frame at the end of every lane, behind which nothing of the users of the link comes.
    pub(crate) fn close(&mut self, last: &Frame) {
        self.closed = true;
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
        messages
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        let fits = self.load.messages < self.most.messages && self.load.bytes + len <= self.most.bytes;
        fits || self.load.messages == 0
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
