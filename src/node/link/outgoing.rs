//! What waits to be written on the lanes of a link: queues, bounds, credit.
//!
//! Sans-IO: the caller holds the lock and does what the result says.

mod asking;
#[cfg(test)]
mod order_tests;
mod sparing;
mod words;

use std::time::Instant;

use self::words::Words;
use super::asks::Asks;
use super::bulk::BulkQueue;
use super::credit::Allowance;
use super::held::{Held, passes};
use super::queue::{Queue, Verdict};
use crate::node::load::{Account, Budget};
use crate::node::outbound::{Load, Refusal};
use crate::pid::Pid;
use crate::wire::Batch;
use crate::wire::level2::{Credit, Frame};

/// A batch is written when it holds so many bytes, or when its lane is empty.
const BATCH: usize = 64 << 10;

/// So many messages are set aside before others get at the queues.
const ASIDE_AT_ONCE: usize = 4096;

/// The control lane.
pub(crate) const CONTROL: usize = 0;

/// All lanes of one link: number 0 is control, then come the message lanes, then the bulk lane, if there
/// is one.
pub(crate) struct Outgoing {
    most: Load,
    lanes: Vec<Queue>,
    /// What is for actors and travels on control, since there is no other lane. A message that waits for
    /// credit must not hold up the CREDIT of the other direction.
    on_control: Queue,
    /// Lanes whose writers wait to be told that there is something.
    waiting: Vec<bool>,
    message_lanes: usize,
    bulk: BulkQueue,
    /// Payloads beyond so many bytes go there.
    bulk_above: usize,
    /// Payloads whose BULK is in a batch that is being written, by the lane of that.
    announcing: Vec<(usize, u64)>,
    /// What waits for actors that the peer asked to spare.
    held: Held,
    /// Our questions that are unanswered; some of them wait to be written.
    pub(super) asks: Asks,
    /// Messages and questions queued or being written, and large answers.
    load: Account,
    /// Answers queued, those on the bulk lane apart.
    answers: Load,
    /// Every other frame that is queued.
    words: Words,
    /// Room was made by questions that nobody asks any more.
    freed: bool,
    /// The last batch ended early, so that others get at the queues.
    unfinished: bool,
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
        let lanes = 1 + message_lanes + usize::from(slots > 0);
        Self {
            most,
            lanes: (0..lanes).map(|_| Queue::default()).collect(),
            on_control: Queue::default(),
            waiting: vec![true; lanes],
            message_lanes,
            bulk: BulkQueue::new(slots),
            bulk_above,
            announcing: Vec::new(),
            held: Held::default(),
            asks: Asks::default(),
            load: Account::new(budget.clone()),
            answers: Load::default(),
            words: Words::new(most, budget),
            freed: false,
            unfinished: false,
            allowance,
            closed: false,
            sent: 0,
            confirmed: 0,
            dead_letters: 0,
        }
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

    fn refuses(&self, to: Pid, len: usize) -> Option<Refusal> {
        if self.closed {
            return Some(Refusal::NoConnection("the link is ending; try again".to_owned()));
        }
        if !self.has_room(len) {
            return Some(Refusal::Busy);
        }
        self.held.is_full(to, len, self.held_part()).then_some(Refusal::Held)
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
        self.words.add(&mut frame).ok()?;
        Some(self.enqueue(to, frame))
    }

    fn enqueue(&mut self, to: Option<Pid>, frame: Frame) -> usize {
        let lane = self.lane_of(to);
        let frame = self.held.keep(to, frame);
        self.queue(to).extend(frame);
        lane
    }

    /// Queues a frame at the end of every lane, behind which nothing of the users of the link comes.
    pub(crate) fn close(&mut self, last: &Frame) {
        self.closed = true;
        // The end of a lane must be its end: what was held back goes first.
        for pid in self.held.all() {
            self.release(pid);
        }
        self.lanes[CONTROL + 1..].iter_mut().for_each(|lane| lane.push_back(last.clone()));
        // Behind what is for actors, if that is there.
        let control = if self.message_lanes == 0 { &mut self.on_control } else { &mut self.lanes[CONTROL] };
        control.push_back(last.clone());
    }

    /// Where the frames for `to` wait.
    fn queue(&mut self, to: Option<Pid>) -> &mut Queue {
        let lane = self.lane_of(to);
        if lane == CONTROL && to.is_some() { &mut self.on_control } else { &mut self.lanes[lane] }
    }

    /// The lane of large payloads.
    pub(crate) fn bulk_lane(&self) -> usize {
        1 + self.message_lanes
    }

    fn has_bulk(&self) -> bool {
        self.lanes.len() > self.bulk_lane()
    }

    /// Moves the next frames of a lane into `batch`, as far as there is credit. What it returns goes to
    /// [`written`](Self::written) once it is.
    pub(crate) fn fill(&mut self, lane: usize, batch: &mut Batch, now: Instant) -> Load {
        if lane == self.bulk_lane() {
            return self.fill_bulk(batch);
        }
        let mut taken = self.fill_from(lane, false, batch, now);
        if lane == CONTROL {
            let of_actors = self.fill_from(lane, true, batch, now);
            taken.messages += of_actors.messages;
            taken.bytes += of_actors.bytes;
        }
        let left = !self.lanes[lane].is_empty() || (lane == CONTROL && !self.on_control.is_empty());
        self.waiting[lane] = batch.is_empty() && !left;
        taken
    }

    /// Whoever wrote here has nothing more to write: true if nothing is left, and the next one who puts
    /// something in is told so.
    pub(crate) fn settle(&mut self, lane: usize) -> bool {
        let left = !self.lanes[lane].is_empty() || (lane == CONTROL && !self.on_control.is_empty());
        self.waiting[lane] = !left;
        !left
    }

    fn fill_from(&mut self, lane: usize, on_control: bool, batch: &mut Batch, now: Instant) -> Load {
        let (mut taken, mut aside) = (Load::default(), 0);
        while batch.len() < BATCH {
            if aside >= ASIDE_AT_ONCE {
                self.unfinished = true;
                break;
            }
            if self.set_aside(lane, on_control) {
                aside += 1;
                continue;
            }
            if self.drop_abandoned(lane, on_control, now) {
                continue;
            }
            let queue = if on_control { &mut self.on_control } else { &mut self.lanes[lane] };
            let mut taking = Taking { allowance: &mut self.allowance, taken: &mut taken };
            if let Some(run) = queue.front_run() {
                let held = &mut self.held;
                let may = |to, len| {
                    if !held.is_empty() && held.stops(to) {
                        return Verdict::Aside;
                    }
                    let may = taking.message(len);
                    if may && !held.is_empty() {
                        held.passed(to);
                    }
                    if may { Verdict::Go } else { Verdict::Stop }
                };
                if run.fill(batch, BATCH, may) == Verdict::Stop {
                    break;
                }
                continue;
            }
            match queue.front() {
                None => break,
                Some(Frame::Message { data, .. }) => {
                    if !taking.message(data.len()) {
                        break;
                    }
                }
                Some(Frame::Ask(ask)) => {
                    if !taking.message(ask.data.len()) {
                        break;
                    }
                }
                Some(Frame::Reply(reply)) => {
                    self.answers.messages -= 1;
                    self.answers.bytes -= reply.data.len();
                }
                Some(Frame::Error(error)) => {
                    self.answers.messages -= 1;
                    self.answers.bytes -= error.text.as_str().len();
                }
                Some(Frame::Bulk(bulk)) => {
                    if !taking.allowance.take(0) {
                        break;
                    }
                    self.announcing.push((lane, bulk.bulk));
                }
                Some(word) => self.words.remove(word),
            }
            if let Some(frame) = queue.pop_front() {
                if let Some(to) = frame.to().filter(|_| !passes(&frame)) {
                    self.held.passed(to);
                }
                batch.frame(frame);
            }
        }
        taken
    }

    /// Chunks, as far as their payloads are announced; behind the last one what ends the lane.
    fn fill_bulk(&mut self, batch: &mut Batch) -> Load {
        let mut taken = Load::default();
        self.bulk.take_cancelled().for_each(|frame| batch.frame(frame));
        while batch.len() < BATCH
            && let Some((chunk, done)) = self.bulk.next(&mut self.allowance)
        {
            taken.messages += done.messages;
            taken.bytes += done.bytes;
            batch.frame(chunk);
        }
        if self.bulk.is_empty() {
            let lane = self.bulk_lane();
            self.lanes[lane].drain().for_each(|frame| batch.frame(frame));
        }
        taken
    }

    /// A filled batch of a lane has been written. True if there is more to do for the bulk lane.
    pub(crate) fn written(&mut self, lane: usize, load: Load) -> bool {
        let announced: Vec<_> = self.announcing.extract_if(.., |(of, _)| *of == lane).collect();
        announced.iter().for_each(|(_, bulk)| self.bulk.announced(*bulk));
        self.count(load);
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
        self.lanes.iter_mut().for_each(Queue::clear);
        self.on_control.clear();
        self.answers = Load::default();
        self.words.clear();
        self.held.clear();
        self.bulk.clear();
        messages
    }

    pub(crate) fn has_room(&self, len: usize) -> bool {
        self.load.has_room(len, self.most)
    }

    /// Frames of the link itself that wait on control.
    pub(crate) fn control_len(&self) -> usize {
        self.lanes[CONTROL].len()
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

/// Messages that are taken out of a queue as far as there is credit.
struct Taking<'a> {
    allowance: &'a mut Allowance,
    taken: &'a mut Load,
}

impl Taking<'_> {
    fn message(&mut self, len: usize) -> bool {
        let may = self.allowance.take(len);
        if may {
            self.taken.messages += 1;
            self.taken.bytes += len;
        }
        may
    }
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
        let load = out.fill(lane, &mut Batch::new(), Instant::now());
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
        out.fill(CONTROL, &mut batch, Instant::now());
        assert!(batch.is_empty(), "the end of the lane comes behind the message");
        out.credit(&Credit { msgs: 1, bytes: 1000, received: 0 });
        let message = out.fill(CONTROL, &mut batch, Instant::now());
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
        out.fill(CONTROL, &mut control, Instant::now());
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
        out.push_message(fast, sent(0)).unwrap();
        out.push_message(slow, sent(0)).unwrap();
        out.push_message(fast, sent(1)).unwrap();
        out.hold(slow);
        out.push_message(fast, sent(2)).unwrap();
        let refused = out.push_message(slow, sent(1));
        assert_eq!(refused, Err((Refusal::Held, sent(1))), "an eighth of ten is held already");
        assert_eq!(written(&mut out, 1), 3, "those for the fast one");
        out.release(slow);
        out.push_message(slow, sent(1)).unwrap();
        let mut batch = Batch::new();
        assert_eq!(out.fill(1, &mut batch, Instant::now()).messages, 2);
        let bytes = batch.take().concat();
        assert_eq!([bytes[13], bytes[27]], [0, 1]);
    }

    #[test]
    fn l12_a_queue_full_of_messages_for_a_spared_actor_does_not_lock_the_others_out() {
        let mut out = outgoing(1, 100);
        let (slow, fast) = (pid(1), pid(2));
        (0..10).for_each(|_| drop(out.push_message(slow, Bytes::new())));
        out.hold(slow);
        assert_eq!(out.push_message(fast, Bytes::new()), Err((Refusal::Busy, Bytes::new())));
        assert_eq!(written(&mut out, 1), 10, "they were sent before it was to be spared");
        out.push_message(slow, Bytes::new()).unwrap();
        assert_eq!(out.push_message(slow, Bytes::new()), Err((Refusal::Held, Bytes::new())));
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
        assert_eq!(out.fill(1, &mut batch, Instant::now()).messages, 1);
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
        out.fill(bulk, &mut batch, Instant::now());
        assert!(batch.is_empty(), "not announced yet");
        let load = out.fill(lane, &mut batch, Instant::now());
        out.fill(bulk, &mut Batch::new(), Instant::now());
        assert_eq!(load, Load::default(), "the announcement is not the message");
        assert!(out.written(lane, load));
        let mut chunks = Batch::new();
        let load = out.fill(bulk, &mut chunks, Instant::now());
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
        assert_eq!(out.fill(1, &mut batch, Instant::now()).messages, 1);
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
        out.push_ask(pid(1), Bytes::from(vec![0; 5000]), given_up()).ok().unwrap();
        out.push_message(pid(1), Bytes::new()).unwrap();
        assert!(!out.has_room(0));
        let load = out.fill(1, &mut Batch::new(), Instant::now());
        assert_eq!((load.messages, out.take_freed(), out.take_freed()), (1, true, false));
        out.written(1, load);
        assert_eq!((out.load(), out.sent(), out.asks.len()), (Load::default(), 1, 0));
    }

    #[test]
    fn g11_answers_that_are_not_read_are_bounded_and_pass_a_spared_actor() {
        let mut out = outgoing(1, 100);
        out.hold(pid(1));
        out.push_message(pid(1), Bytes::new()).unwrap();
        for rid in 0..10 {
            assert!(out.push_reply(Some(pid(1)), rid, Bytes::new()).is_some());
        }
        assert!(out.push_reply(Some(pid(1)), 11, Bytes::new()).is_none() && out.is_full_of_answers(0));
        let refusal = || crate::wire::level2::Error { rid: 1, to: Some(pid(1)), code: 2, text: "".into() };
        let refused = (0..100).filter(|_| out.push_refusal(Some(pid(1)), refusal()).is_some());
        assert_eq!(refused.count(), 10);
        assert_eq!(written(&mut out, 1), 0, "the message is held back");
        assert!(!out.is_full_of_answers(0), "the answers are not");
    }

    #[test]
    fn a_large_payload_that_is_given_up_ends_with_a_word_and_counts_as_its_announcement() {
        let most = Load { messages: 10, bytes: 1 << 20 };
        let mut out = Outgoing::new(most, (1, 4), 1000, Allowance::new(10, 1000), Budget::new(usize::MAX));
        out.push_message(pid(1), Bytes::from(vec![7; 200 << 10])).unwrap();
        assert!(!out.cancel(1), "it is not announced");
        let load = out.fill(1, &mut Batch::new(), Instant::now());
        assert!(out.written(1, load));
        let bulk = out.bulk_lane();
        assert_eq!(out.fill(bulk, &mut Batch::new(), Instant::now()), Load::default(), "a chunk of four");
        assert!(out.cancel(1) && !out.cancel(1));
        let mut batch = Batch::new();
        out.fill(bulk, &mut batch, Instant::now());
        assert_eq!(batch.take().concat()[0], 0x42);
        assert_eq!((out.load(), out.sent()), (Load::default(), 1));
    }
}
