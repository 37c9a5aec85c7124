//! What waits to be written on the lanes of a link: queues, bounds, credit.
//!
//! Sans-IO: the caller holds the lock and does what the result says.

mod answers;
mod asking;
#[cfg(test)]
mod order_tests;
mod sparing;
mod words;

use std::time::Instant;

use self::answers::Answers;
pub(crate) use self::asking::NoRoom;
use self::words::Words;
use super::asks::Asks;
use super::bulk::BulkQueue;
use super::credit::Allowance;
use super::lane_queue::{LaneQueue, Taken, messages_in};
use super::pace::BATCH;
use super::queue::Queue;
use crate::node::load::{Account, Budget};
use crate::node::outbound::{Load, Refusal};
use crate::pid::Pid;
use crate::transport::LaneClass;
use crate::wire::Batch;
use crate::wire::level2::{Ask, Credit, Frame};

/// Before receivers take turns, a batch waits in a lane, or this part of all that may wait.
const GATHERED: usize = 16;

/// The control lane.
pub(crate) const CONTROL: usize = 0;

/// All lanes of one link: number 0 is control, then come the message lanes, then the bulk lane, if there
/// is one.
pub(crate) struct Outgoing {
    most: Load,
    lanes: Vec<LaneQueue>,
    /// Lanes whose writers wait to be told that there is something.
    waiting: Vec<bool>,
    message_lanes: usize,
    bulk: BulkQueue,
    /// Payloads beyond so many bytes go there.
    bulk_above: usize,
    /// Payloads whose BULK is in a batch that is being written, by the lane of that.
    announcing: Vec<(usize, u64)>,
    /// Our questions that are unanswered; some of them wait to be written.
    pub(super) asks: Asks,
    /// Messages and questions queued or being written.
    load: Account,
    /// Answers that are not written.
    answers: Answers,
    /// Every other frame that is queued.
    words: Words,
    /// Room was made by questions that nobody asks any more.
    freed: bool,
    /// There is room again for a receiver for which somebody was turned away.
    relieved: bool,
    allowance: Allowance,
    /// Nothing more is taken of the users of the link.
    closed: bool,
    sent: u64,
    /// What the peer has received of that, by its last word.
    confirmed: u64,
    dead_letters: u64,
}

impl Outgoing {
    /// `lanes` message lanes beside control, and a bulk lane for `slots` payloads at once, if any.
    pub(crate) fn new(
        most: Load,
        (lanes, slots): (u8, u8),
        bulk_above: usize,
        allowance: Allowance,
        budget: Budget,
    ) -> Self {
        let message_lanes = usize::from(lanes);
        let gathers = Load { messages: most.messages / GATHERED, bytes: BATCH.min(most.bytes / GATHERED) };
        let lanes = 1 + message_lanes + usize::from(slots > 0);
        Self {
            most,
            lanes: (0..lanes).map(|_| LaneQueue::new(gathers)).collect(),
            waiting: vec![true; lanes],
            message_lanes,
            bulk: BulkQueue::new(slots),
            bulk_above,
            announcing: Vec::new(),
            asks: Asks::default(),
            load: Account::new(budget.clone()),
            answers: Answers::new(most, budget.clone()),
            words: Words::new(most, budget),
            freed: false,
            relieved: false,
            allowance,
            closed: false,
            sent: 0,
            confirmed: 0,
            dead_letters: 0,
        }
    }

    /// The peer takes CHUNKs with at most so many bytes of data.
    pub(crate) fn limit_chunks(&mut self, longest: usize) {
        self.bulk.limit_chunks(longest);
    }

    /// The lane of everything that has the destination `to`.
    pub(crate) fn lane_of(&self, to: Option<Pid>) -> usize {
        match (to, self.message_lanes) {
            (None, _) | (_, 0) => CONTROL,
            // Spreads neighbouring PIDs; any function of the receiver keeps the order.
            (Some(to), lanes) => 1 + (to.index().wrapping_mul(0x9E37_79B9) >> 16) as usize % lanes,
        }
    }

    /// Queues a message, or hands it back. Returns the lane whose writer has to be told, if there is one.
    pub(crate) fn push_message(
        &mut self,
        to: Pid,
        data: bytes::Bytes,
    ) -> Result<Option<usize>, (Refusal, bytes::Bytes)> {
        if let Some(refusal) = self.refuses(to, data.len()) {
            return Err((refusal, data));
        }
        let lane = self.admit(to, data);
        Ok(std::mem::take(&mut self.waiting[lane]).then_some(lane))
    }

    fn refuses(&mut self, to: Pid, len: usize) -> Option<Refusal> {
        if self.closed {
            return Some(Refusal::NoConnection("the link is ending; try again".to_owned()));
        }
        if !self.has_room(len) {
            return Some(Refusal::Busy);
        }
        self.is_full_for(to, len).then_some(Refusal::Held)
    }

    /// Queues a message that was taken earlier, whatever the bounds.
    pub(crate) fn admit(&mut self, to: Pid, data: bytes::Bytes) -> usize {
        let len = data.len();
        self.push_payload(len, Frame::Message { to: Some(to), data })
    }

    /// Queues a frame with a payload of `len` bytes, or its announcement.
    fn push_payload(&mut self, len: usize, frame: Frame) -> usize {
        self.load.add(len);
        let frame = if self.is_bulk(len) { self.bulk.push(frame) } else { frame };
        self.enqueue(frame.to(), frame)
    }

    fn is_bulk(&self, len: usize) -> bool {
        self.has_bulk() && len > self.bulk_above
    }

    /// Queues any other frame in the lane of `to`; returns the lane. `None` if so much waits that the peer does
    /// not read (L09).
    pub(crate) fn push(&mut self, to: Option<Pid>, mut frame: Frame) -> Option<usize> {
        let lanes = &mut self.lanes;
        let undone = || lanes.iter_mut().flat_map(LaneQueue::take_undone).collect();
        self.words.make_room(&mut frame, undone).ok()?;
        Some(self.enqueue(to, frame))
    }

    fn enqueue(&mut self, to: Option<Pid>, frame: Frame) -> usize {
        let lane = self.lane_of(to);
        self.lanes[lane].push(to, frame);
        lane
    }

    /// Queues a frame at the end of every lane, behind which nothing of the users of the link comes.
    pub(crate) fn close(&mut self, last: &Frame) {
        self.closed = true;
        self.lanes.iter_mut().for_each(|lane| lane.close(last.clone()));
    }

    /// The lane of large payloads.
    pub(crate) fn bulk_lane(&self) -> usize {
        1 + self.message_lanes
    }

    /// What a lane is for.
    pub(crate) fn class_of(&self, lane: usize) -> LaneClass {
        match lane {
            CONTROL => LaneClass::Control,
            bulk if bulk == self.bulk_lane() => LaneClass::Bulk,
            _ => LaneClass::Message,
        }
    }

    fn has_bulk(&self) -> bool {
        self.lanes.len() > self.bulk_lane()
    }

    /// Moves the next frames of a lane into `batch` until that holds `most` bytes, as far as there is credit. What it
    /// returns goes to [`written`](Self::written) once it is.
    pub(crate) fn fill(&mut self, lane: usize, batch: &mut Batch, most: usize, now: Instant) -> Load {
        if lane == self.bulk_lane() {
            return self.fill_bulk(batch, most);
        }
        let mut taken = Load::default();
        let mut queue = std::mem::take(&mut self.lanes[lane]);
        while batch.len() < most
            && queue.serve(|queue, turn| {
                let until = batch.len().saturating_add(turn).min(most);
                self.take(lane, queue, (batch, until), now, &mut taken)
            })
        {}
        self.relieved |= queue.take_relieved();
        self.waiting[lane] = batch.is_empty() && queue.is_empty();
        self.lanes[lane] = queue;
        taken
    }

    /// Whoever wrote here has nothing more to write: true if nothing is left, and the next one who puts
    /// something in is told so.
    pub(crate) fn settle(&mut self, lane: usize) -> bool {
        self.waiting[lane] = self.lanes[lane].is_empty();
        self.waiting[lane]
    }

    /// Moves what comes first in a queue into `batch` until that holds so many bytes, as far as there is credit; what
    /// is to be counted when it is written goes to `taken`.
    fn take(
        &mut self,
        lane: usize,
        queue: &mut Queue,
        (batch, until): (&mut Batch, usize),
        now: Instant,
        taken: &mut Load,
    ) -> Taken {
        let (mut gone, mut stopped) = (Load::default(), false);
        while batch.len() < until && !stopped {
            if let Some(run) = queue.front_run() {
                let before = gone;
                stopped = !run.fill(batch, until, |bytes| {
                    let may = self.allowance.take(bytes);
                    gone.add(if may { Load { messages: 1, bytes } } else { Load::default() });
                    may
                });
                taken.add(Load {
                    messages: gone.messages - before.messages,
                    bytes: gone.bytes - before.bytes,
                });
                continue;
            }
            let Some(frame) = queue.front_mut() else { break };
            let message = messages_in(frame);
            let fate = self.fate(lane, frame, now);
            if fate == Fate::Wait {
                stopped = true;
                continue;
            }
            gone.add(message);
            let Some(frame) = queue.pop_front() else { break };
            if fate == Fate::Go {
                if let Frame::Message { .. } | Frame::Ask(_) = frame {
                    taken.add(message);
                }
                batch.frame(frame);
            }
        }
        Taken { load: gone, stopped }
    }

    /// What becomes of the frame that comes first. If it does not wait, it is not counted any more.
    fn fate(&mut self, lane: usize, frame: &mut Frame, now: Instant) -> Fate {
        if self.is_too_late(frame, now) {
            return Fate::Drop;
        }
        let goes = match frame {
            Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => self.allowance.take(data.len()),
            Frame::Bulk(bulk) => {
                let may = self.allowance.take(0);
                self.announcing.extend(may.then_some((lane, bulk.bulk)));
                may
            }
            Frame::Reply(reply) => {
                self.answers.remove(Load { messages: 1, bytes: reply.data.len() });
                true
            }
            Frame::Error(error) => {
                self.answers.remove(Load { messages: 1, bytes: error.text.as_str().len() });
                true
            }
            word => {
                self.words.remove(word);
                true
            }
        };
        if goes { Fate::Go } else { Fate::Wait }
    }

    /// Chunks, as far as their payloads are announced; behind the last one what ends the lane.
    fn fill_bulk(&mut self, batch: &mut Batch, most: usize) -> Load {
        let mut taken = Load::default();
        self.bulk.take_cancelled().for_each(|frame| batch.frame(frame));
        while batch.len() < most
            && let Some((chunk, done)) = self.bulk.next(&mut self.allowance, most - batch.len())
        {
            taken.add(done);
            batch.frame(chunk);
        }
        // To the peer they are payloads like messages, so it confirms them too.
        let answers = self.bulk.take_answers();
        self.answers.remove(answers);
        self.sent += answers.messages as u64;
        self.relieved |= self.bulk.take_relieved();
        if self.bulk.is_empty() {
            let lane = self.bulk_lane();
            self.lanes[lane].own().drain().for_each(|frame| batch.frame(frame));
        }
        taken
    }

    /// A filled batch of a lane has been written. True if there is more to do for the bulk lane.
    pub(crate) fn written(&mut self, lane: usize, load: Load) -> bool {
        let announced: Vec<_> = self.announcing.extract_if(.., |(of, _)| *of == lane).collect();
        announced.iter().for_each(|(_, bulk)| self.bulk.announced(*bulk));
        self.count(load);
        self.relieved |= lane == self.bulk_lane() && load.messages > 0 && self.bulk.waits_for_others();
        !announced.is_empty()
    }

    fn count(&mut self, load: Load) {
        self.load.remove(load);
        self.sent += load.messages as u64;
    }

    /// CREDIT came.
    pub(crate) fn credit(&mut self, credit: &Credit) {
        self.allowance.raise(credit.msgs, credit.bytes);
        self.confirmed = self.confirmed.max(credit.received);
    }

    /// Drops everything that is not written; returns the number of messages, which are dead letters.
    pub(crate) fn abandon(&mut self) -> usize {
        self.closed = true;
        let messages = self.load.clear().messages;
        self.dead_letters += messages as u64;
        self.lanes.iter_mut().for_each(|lane| *lane = LaneQueue::default());
        self.answers.clear();
        self.words.clear();
        self.bulk.clear();
        messages
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.load.has_room(len, self.most)
    }

    /// Frames of the link itself that wait on control.
    pub(crate) fn control_len(&self) -> usize {
        self.lanes[CONTROL].own_len()
    }

    pub(crate) fn load(&self) -> Load {
        self.load.load()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    pub(crate) fn dead_letters(&self) -> u64 {
        self.dead_letters
    }
}

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Go,
    /// There is no credit for it.
    Wait,
    /// Nobody wants it any more.
    Drop,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::node::link::asks::Question;

    fn pid(index: u32) -> Pid {
        Pid::new(1, index).unwrap()
    }

    fn outgoing(lanes: u8, credit: u64) -> Outgoing {
        let most = Load { messages: 10, bytes: 1000 };
        Outgoing::new(most, (lanes, 0), 1000, Allowance::new(credit, 1000), Budget::new(usize::MAX))
    }

    fn written(out: &mut Outgoing, lane: usize) -> usize {
        let load = out.fill(lane, &mut Batch::new(), BATCH, Instant::now());
        out.written(lane, load);
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
    fn l11_without_message_lanes_credit_overtakes_messages_that_wait_for_it() {
        let mut out = outgoing(0, 0);
        out.push_message(pid(1), Bytes::new()).unwrap();
        out.push(None, Frame::Ping);
        assert_eq!(written(&mut out, CONTROL), 0);
        assert_eq!(out.control_len(), 0, "the ping is written");
        out.close(&Frame::Pong);
        let mut batch = Batch::new();
        out.fill(CONTROL, &mut batch, BATCH, Instant::now());
        assert!(batch.is_empty(), "the end of the lane comes behind the message");
        out.credit(&Credit { msgs: 1, bytes: 1000, received: 0 });
        let message = out.fill(CONTROL, &mut batch, BATCH, Instant::now());
        let bytes = batch.take().concat();
        assert_eq!((message.messages, bytes.last()), (1, Some(&3)));
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
        out.fill(CONTROL, &mut control, BATCH, Instant::now());
        assert_eq!(control.len(), 1, "the ping");
        out.credit(&Credit { msgs: 4, bytes: 1000, received: 3 });
        assert_eq!((written(&mut out, 1), written(&mut out, 1)), (1, 0));
        assert_eq!((out.abandon(), out.dead_letters()), (1, 1));
    }

    #[test]
    fn l12_frames_for_a_spared_actor_wait_in_order_and_others_go_on() {
        let most = Load { messages: 100, bytes: 1000 };
        let mut out = Outgoing::new(most, (1, 0), 1000, Allowance::new(100, 1000), Budget::new(usize::MAX));
        let (slow, fast) = (pid(1), pid(2));
        let sent = |n: u8| Bytes::from(vec![n; 1]);
        out.hold(slow);
        let held = (0..100).take_while(|n| out.push_message(slow, sent(*n)).is_ok()).count();
        assert_eq!(held, 33, "half of what is left then");
        assert_eq!(out.push_message(slow, sent(33)), Err((Refusal::Held, sent(33))));
        (0..3).for_each(|n| out.push_message(fast, sent(n)).map(drop).unwrap());
        assert_eq!(written(&mut out, 1), 3, "those for the fast one");
        out.release(slow);
        let mut batch = Batch::new();
        assert_eq!(out.fill(1, &mut batch, BATCH, Instant::now()).messages, 33);
        let bytes = batch.take().concat();
        assert!(bytes.iter().skip(13).step_by(14).copied().eq(0..33));
    }

    #[test]
    fn l12_however_many_do_not_read_there_is_room_for_one_more() {
        let most = Load { messages: 1000, bytes: 16 << 20 };
        let mut out = Outgoing::new(most, (4, 0), 1 << 20, Allowance::new(0, 0), Budget::new(usize::MAX));
        let mut taken = 0;
        for dead in 0..12 {
            out.hold(pid(dead));
            let before = taken;
            while out.push_message(pid(dead), Bytes::new()).is_ok() {
                taken += 1;
            }
            assert!(taken > before && taken - before <= (1000 - before) / 2, "{dead}: {before} {taken}");
        }
        assert!(out.push_message(pid(100), Bytes::new()).is_ok());
    }

    #[test]
    fn l12_who_was_turned_away_is_called_when_half_of_it_is_gone() {
        let most = Load { messages: 1000, bytes: 1 << 20 };
        let mut out =
            Outgoing::new(most, (1, 0), 1 << 20, Allowance::new(1000, 1 << 30), Budget::new(usize::MAX));
        let data = || Bytes::from(vec![0; 20_000]);
        let taken = (0..).take_while(|_| out.push_message(pid(1), data()).is_ok()).count();
        assert_eq!(out.push_message(pid(1), data()), Err((Refusal::Held, data())));
        assert!(out.push_message(pid(2), data()).is_ok(), "others have room");
        let mut left = taken;
        while !out.take_relieved() {
            assert!(left > 0, "nobody was called");
            let load = out.fill(1, &mut Batch::new(), 1, Instant::now());
            out.written(1, load);
            left -= load.messages;
        }
        assert!(left > 0 && out.push_message(pid(1), data()).is_ok());
    }

    #[test]
    fn l12_what_waited_before_a_wish_goes_if_it_leaves_too_little_room_to_the_others() {
        let (most, allowance) = (Load { messages: 10, bytes: 1000 }, Allowance::new(100, 1 << 20));
        let mut out = Outgoing::new(most, (1, 0), 1 << 20, allowance, Budget::new(usize::MAX));
        let (slow, fast) = (pid(1), pid(2));
        // As what waited for the connection, whatever the bounds.
        for _ in 0..10 {
            out.admit(slow, Bytes::from(vec![0; 20_000]));
        }
        out.hold(slow);
        assert_eq!(out.push_message(fast, Bytes::new()), Err((Refusal::Busy, Bytes::new())));
        let went: usize = (0..10).map(|_| written(&mut out, 1)).sum();
        assert_eq!((went, out.load()), (10, Load::default()), "they were sent before it was to be spared");
        out.push_message(slow, Bytes::new()).unwrap();
        out.push_message(fast, Bytes::new()).unwrap();
        assert_eq!(written(&mut out, 1), 1, "the one for the fast one");
    }

    #[test]
    fn g8_what_is_held_goes_before_the_end_of_its_lane() {
        let mut out = outgoing(1, 100);
        out.hold(pid(1));
        out.push_message(pid(1), Bytes::new()).unwrap();
        out.close(&Frame::Pong);
        let mut batch = Batch::new();
        assert_eq!(out.fill(1, &mut batch, BATCH, Instant::now()).messages, 1);
        assert_eq!(batch.take().concat().last(), Some(&3));
    }

    #[test]
    fn chunks_follow_the_written_announcement_and_go_before_the_end_of_their_lane() {
        let most = Load { messages: 10, bytes: 1 << 20 };
        let mut out = Outgoing::new(most, (1, 4), 1000, Allowance::new(10, 1 << 20), Budget::new(usize::MAX));
        let (lane, bulk) = (1, out.bulk_lane());
        out.push_message(pid(1), Bytes::from(vec![7; 1001])).unwrap();
        out.close(&Frame::Pong);
        let mut batch = Batch::new();
        out.fill(bulk, &mut batch, BATCH, Instant::now());
        assert!(batch.is_empty(), "not announced yet");
        let load = out.fill(lane, &mut batch, BATCH, Instant::now());
        out.fill(bulk, &mut Batch::new(), BATCH, Instant::now());
        assert_eq!(load, Load::default(), "the announcement is not the message");
        assert!(out.written(lane, load));
        let mut chunks = Batch::new();
        let load = out.fill(bulk, &mut chunks, BATCH, Instant::now());
        assert_eq!(load, Load { messages: 1, bytes: 1001 });
        let bytes = chunks.take().concat();
        assert_eq!((bytes[0], bytes.last()), (0x41, Some(&3)));
        out.written(bulk, load);
        assert_eq!((out.load(), out.sent()), (Load::default(), 1));
    }

    #[test]
    fn g8_nothing_is_taken_behind_the_last_frame_of_a_lane() {
        let mut out = outgoing(1, 3);
        out.push_message(pid(1), Bytes::new()).unwrap();
        out.close(&Frame::Pong);
        assert!(matches!(out.push_message(pid(1), Bytes::new()), Err((Refusal::NoConnection(_), _))));
        let mut batch = Batch::new();
        assert_eq!(out.fill(1, &mut batch, BATCH, Instant::now()).messages, 1);
        assert_eq!(batch.take().concat().last(), Some(&3), "the last frame");
    }

    /// A question that nobody waits for any more.
    fn given_up() -> Question {
        let (reply, _) = crate::actor::Reply::of(pid(9));
        Question { from: None, reply, deadline: None }
    }

    #[test]
    fn questions_that_were_given_up_leave_the_lane_and_make_room() {
        let most = Load { messages: 3, bytes: 1 << 20 };
        let mut out = Outgoing::new(most, (1, 4), 1000, Allowance::new(10, 1 << 20), Budget::new(usize::MAX));
        out.push_ask(pid(1), Bytes::new(), given_up()).ok().unwrap();
        out.push_ask(pid(2), Bytes::from(vec![0; 5000]), given_up()).ok().unwrap();
        out.push_message(pid(3), Bytes::new()).unwrap();
        assert!(!out.has_room(0));
        let load = out.fill(1, &mut Batch::new(), BATCH, Instant::now());
        assert_eq!((load.messages, out.take_freed(), out.take_freed()), (1, true, false));
        out.written(1, load);
        assert_eq!((out.load(), out.sent(), out.asks.len()), (Load::default(), 1, 0));
    }

    #[test]
    fn g11_answers_that_are_not_read_are_bounded_and_pass_a_spared_actor() {
        let mut out = outgoing(1, 100);
        out.hold(pid(1));
        out.push_message(pid(1), Bytes::new()).unwrap();
        for rid in 0..20 {
            assert_eq!(out.is_full_of_answers(), rid >= 10, "{rid}: nothing more is to run");
            assert!(out.push_reply(Some(pid(1)), rid, Bytes::new()).is_ok(), "{rid}: it ran");
        }
        assert!(out.push_reply(Some(pid(1)), 21, Bytes::new()).is_err());
        let refusal = || crate::wire::level2::Error { rid: 1, to: Some(pid(1)), code: 2, text: "".into() };
        let refused = (0..100).filter(|_| out.push_refusal(Some(pid(1)), refusal()).is_some());
        assert_eq!(refused.count(), 0);
        assert_eq!(written(&mut out, 1), 0, "the message is held back");
        assert!(!out.is_full_of_answers(), "the answers are not");
        let refused = (0..100).filter(|_| out.push_refusal(Some(pid(1)), refusal()).is_some());
        assert_eq!(refused.count(), 20);
    }

    #[test]
    fn g5_large_answers_take_no_room_of_messages_and_wait_for_none() {
        let most = Load { messages: 10, bytes: 10_000 };
        let mut out = Outgoing::new(most, (1, 4), 1000, Allowance::new(100, 1 << 30), Budget::new(1 << 20));
        (0..3).for_each(|n| assert!(out.push_message(pid(n), Bytes::from(vec![0; 2000])).is_ok()));
        let messages = out.load();
        for rid in 0..4 {
            assert!(out.push_reply(Some(pid(9)), rid, Bytes::from(vec![0; 50_000])).is_ok(), "{rid}");
        }
        assert_eq!(out.load(), messages);
        assert!(out.push_message(pid(9), Bytes::from(vec![0; 2000])).is_ok(), "for who is answered too");
        assert!(out.is_full_of_answers());
        let bulk = out.bulk_lane();
        written(&mut out, 1);
        while written(&mut out, bulk) > 0 || out.is_full_of_answers() {}
        while out.load().messages > 0 {
            written(&mut out, bulk);
        }
        let mut rest = Batch::new();
        out.fill(bulk, &mut rest, usize::MAX, Instant::now());
        assert_eq!(out.sent(), 8, "all of them, as the peer counts");
        out.close(&Frame::Pong);
        let late = out.push_reply(Some(pid(9)), 5, Bytes::from(vec![0; 50_000]));
        assert!(matches!(late, Ok(None)), "nothing is to be said of what the end of the link says");
    }

    #[test]
    fn a_large_payload_that_is_given_up_ends_with_a_word_and_counts_as_its_announcement() {
        let most = Load { messages: 10, bytes: 1 << 20 };
        let mut out = Outgoing::new(most, (1, 4), 1000, Allowance::new(10, 1000), Budget::new(usize::MAX));
        out.push_message(pid(1), Bytes::from(vec![7; 200 << 10])).unwrap();
        assert!(!out.cancel(1), "it is not announced");
        let load = out.fill(1, &mut Batch::new(), BATCH, Instant::now());
        assert!(out.written(1, load));
        let bulk = out.bulk_lane();
        assert_eq!(
            out.fill(bulk, &mut Batch::new(), BATCH, Instant::now()),
            Load::default(),
            "a chunk of four"
        );
        assert!(out.cancel(1) && !out.cancel(1));
        let mut batch = Batch::new();
        out.fill(bulk, &mut batch, BATCH, Instant::now());
        assert_eq!(batch.take().concat()[0], 0x42);
        assert_eq!((out.load(), out.sent()), (Load::default(), 1));
    }
}
