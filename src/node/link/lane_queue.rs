//! What waits on one lane. Receivers take turns, so that much for one of them delays the others by no more than a
//! turn; what is for an actor that the peer asked to spare waits beside the ring (L12).
//!
//! Sans-IO. While less than a batch waits there is no need for turns: it is one queue, in the order of sending. What
//! comes beyond that waits by receiver. Answers do not wait with a spared actor: they enter no mailbox, and that
//! very actor may be waiting for one. A kill does not either. As such an actor takes no turns, what goes to it
//! nevertheless is in that one queue however much there is.

use std::collections::{BTreeMap, VecDeque};

use super::bulk::REPLY;
use super::queue::Queue;
use super::reason::is_kill;
use crate::node::outbound::Load;
use crate::pid::Pid;
use crate::wire::level2::{Ask, Bulk, Frame};

/// The bytes of a turn; its last frame may go beyond.
const TURN: usize = 8 << 10;
/// The memory of a ring that is empty, in places.
const KEPT: usize = 64;

#[derive(Default)]
pub(super) struct LaneQueue {
    /// Frames of the link itself: before everything else.
    own: Queue,
    /// What came while nobody took turns, and what does not wait with a spared actor.
    first: Queue,
    /// How much may still come there before it is empty again, and how much that is then.
    room: Load,
    gathers: Load,
    /// Mostly few of them: looking one up costs less than a hash that a peer cannot foresee.
    receivers: BTreeMap<Pid, Waiting>,
    /// Those that take turns, and such as have nothing to send any more: they leave when they are met.
    ring: VecDeque<Pid>,
    /// The end of the lane: behind everything else.
    last: Option<Frame>,
    /// How many of the receivers are spared.
    spared: usize,
    /// The messages that wait for those.
    held: Load,
    /// There is room again for one for which somebody was turned away.
    relieved: bool,
}

/// What waits for one receiver. It is there while that has something waiting, is in the ring, or is spared.
#[derive(Default)]
struct Waiting {
    queue: Queue,
    /// The messages in it.
    load: Load,
    in_ring: bool,
    /// The receiver is spared, and so much goes nevertheless.
    spared: Option<Load>,
    /// Somebody was turned away, who is to know when no more than this waits.
    call_at: Option<Load>,
}

/// What somebody took when it was his turn.
pub(super) struct Taken {
    /// The messages.
    pub(super) load: Load,
    /// Nothing else of the lane can be taken now.
    pub(super) stopped: bool,
}

impl LaneQueue {
    /// A lane in which so much waits in the order of sending.
    pub(super) fn new(gathers: Load) -> Self {
        Self { gathers, room: gathers, ..Self::default() }
    }

    /// Puts a frame behind what waits for `to`.
    pub(super) fn push(&mut self, to: Option<Pid>, frame: Frame) {
        let Some(pid) = to else { return self.own.push_back(frame) };
        let waiting = self.receivers.get_mut(&pid);
        let at_once = match &waiting {
            Some(waiting) => waiting.spared.is_some() && passes(&frame),
            None => self.ring.is_empty() && self.room.messages > 0 && self.room.bytes > 0,
        };
        if at_once {
            self.room.remove(payload_in(&frame));
            return self.first.push_back(frame);
        }
        let waiting = match waiting {
            Some(waiting) => waiting,
            None => self.receivers.entry(pid).or_default(),
        };
        let messages = messages_in(&frame);
        waiting.load.add(messages);
        if waiting.spared.is_some() {
            self.held.add(messages);
        }
        waiting.queue.push_back(frame);
        waiting.line_up(pid, &mut self.ring);
    }

    /// Has `take` take what comes next: from a queue, and how many bytes. False if nothing more can be taken.
    pub(super) fn serve(&mut self, take: impl FnOnce(&mut Queue, usize) -> Taken) -> bool {
        if !self.own.is_empty() {
            return !take(&mut self.own, usize::MAX).stopped;
        }
        if !self.first.is_empty() {
            return !take(&mut self.first, usize::MAX).stopped;
        }
        self.room = self.gathers;
        let is_alone = self.ring.len() == 1;
        let Some(pid) = self.ring.pop_front() else {
            self.ring.shrink_to(KEPT);
            self.own.extend(self.last.take());
            return !self.own.is_empty();
        };
        let Some(waiting) = self.receivers.get_mut(&pid) else { return true };
        let mut stopped = false;
        if waiting.may_go() {
            let turn = match waiting.spared {
                // One frame, so that no more goes than may.
                Some(_) => 1,
                None if is_alone => usize::MAX,
                None => TURN,
            };
            let taken = take(&mut waiting.queue, turn);
            if waiting.spared.is_some() {
                // That is room for others that are spared.
                self.held.remove(taken.load);
                self.relieved |= taken.load.messages > 0;
            }
            self.relieved |= waiting.took(taken.load);
            stopped = taken.stopped;
        }
        waiting.in_ring = false;
        if stopped {
            // It is still its turn.
            waiting.in_ring = true;
            self.ring.push_front(pid);
        } else if waiting.may_go() {
            waiting.line_up(pid, &mut self.ring);
        } else if waiting.spared.is_none() {
            self.remove(pid);
        }
        !stopped
    }

    /// Whether a message of `len` bytes for `pid` is beyond `share`, which one receiver may have waiting. Whoever is
    /// told so is told when there is room again ([`take_relieved`](Self::take_relieved)); until then all others hear
    /// the same, as those that ask again and again would leave no room to those that wait. Of a spared receiver
    /// nothing goes, so there is no room to fight for.
    pub(super) fn is_full(&mut self, pid: Pid, len: usize, share: Load) -> bool {
        let Some(waiting) = self.receivers.get_mut(&pid) else { return false };
        let Load { messages, bytes } = waiting.load;
        let is_beyond = messages >= share.messages || bytes + len > share.bytes;
        let are_others_first = waiting.call_at.is_some() && waiting.spared.is_none();
        let is_full = messages > 0 && (is_beyond || are_others_first);
        if is_full {
            // The first word counts: a goal that moves with each of them is never reached.
            waiting.call_at.get_or_insert(Load { messages: messages / 2, bytes: bytes / 2 });
        }
        is_full
    }

    /// Whether there is room again for somebody who was turned away.
    pub(super) fn take_relieved(&mut self) -> bool {
        std::mem::take(&mut self.relieved)
    }

    /// What waits for `pid` stays from now on; but if that is more than `most`, as much as `window` still goes. False
    /// if it is spared already.
    pub(super) fn spare(&mut self, pid: Pid, most: Load, window: Load) -> bool {
        let waiting = self.receivers.entry(pid).or_default();
        if waiting.spared.is_some() {
            return false;
        }
        let passing = waiting.queue.extract(passes);
        let mut gone = Load::default();
        passing.iter().for_each(|frame| gone.add(messages_in(frame)));
        self.relieved |= waiting.took(gone);
        self.first.extend(passing);
        let Load { messages, bytes } = waiting.load;
        // Messages may be empty.
        let goes =
            Load { messages: messages.min(window.messages), bytes: bytes.clamp(1, window.bytes.max(1)) };
        let is_too_much = messages > most.messages || bytes > most.bytes;
        waiting.spared = Some(if is_too_much { goes } else { Load::default() });
        self.held.add(waiting.load);
        self.spared += 1;
        true
    }

    /// `pid` has caught up.
    pub(super) fn release(&mut self, pid: Pid) {
        let Some(waiting) = self.receivers.get_mut(&pid) else { return };
        if waiting.spared.take().is_none() {
            return;
        }
        self.spared -= 1;
        self.held.remove(waiting.load);
        if waiting.may_go() {
            waiting.line_up(pid, &mut self.ring);
        } else if !waiting.in_ring {
            self.remove(pid);
        }
    }

    fn remove(&mut self, pid: Pid) {
        let waiting = self.receivers.remove(&pid);
        self.relieved |= waiting.is_some_and(|waiting| waiting.call_at.is_some());
    }

    /// Takes out monitors that were taken back before they could be told of ([`Queue::take_undone`]).
    pub(super) fn take_undone(&mut self) -> Vec<Frame> {
        let waiting = self.receivers.values_mut().map(|waiting| &mut waiting.queue);
        waiting.chain([&mut self.first]).flat_map(Queue::take_undone).collect()
    }

    /// How many receivers are spared.
    pub(super) fn spared(&self) -> usize {
        self.spared
    }

    /// The messages that wait for this one, if it is spared.
    pub(super) fn held_for(&self, pid: Pid) -> Option<Load> {
        // Mostly nobody is, which costs no look-up.
        let waiting = if self.spared == 0 { None } else { self.receivers.get(&pid) };
        waiting.filter(|waiting| waiting.spared.is_some()).map(|waiting| waiting.load)
    }

    /// The messages that wait for those that are spared.
    pub(super) fn held(&self) -> Load {
        self.held
    }

    /// Puts `last` behind everything, also behind what waits for spared actors.
    pub(super) fn close(&mut self, last: Frame) {
        let spared = self.receivers.iter().filter(|(_, waiting)| waiting.spared.is_some());
        let spared: Vec<_> = spared.map(|(pid, _)| *pid).collect();
        spared.into_iter().for_each(|pid| self.release(pid));
        if self.first.is_empty() && self.ring.is_empty() {
            self.own.push_back(last);
        } else {
            self.last = Some(last);
        }
    }

    /// Frames of the link itself that wait.
    pub(super) const fn own(&mut self) -> &mut Queue {
        &mut self.own
    }

    /// How many they are.
    pub(super) fn own_len(&self) -> usize {
        self.own.len()
    }

    /// Whether nothing waits that may go.
    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.first.is_empty() && self.ring.is_empty() && self.last.is_none()
    }
}

impl Waiting {
    fn may_go(&self) -> bool {
        let goes = self.spared.is_none_or(|pass| pass.messages > 0 && pass.bytes > 0);
        goes && !self.queue.is_empty()
    }

    fn line_up(&mut self, pid: Pid, ring: &mut VecDeque<Pid>) {
        if !self.in_ring && self.may_go() {
            self.in_ring = true;
            ring.push_back(pid);
        }
    }

    /// So much is gone; true if somebody is to know of it.
    fn took(&mut self, gone: Load) -> bool {
        self.load.remove(gone);
        if let Some(pass) = &mut self.spared {
            pass.remove(gone);
        }
        let left = self.load;
        self.call_at.take_if(|at| left.messages <= at.messages && left.bytes <= at.bytes).is_some()
    }
}

/// The message or the question that a frame is or announces.
pub(super) fn messages_in(frame: &Frame) -> Load {
    let bytes = match frame {
        Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => data.len(),
        Frame::Bulk(bulk) if bulk.kind != REPLY => announced(bulk),
        _ => return Load::default(),
    };
    Load { messages: 1, bytes }
}

fn announced(bulk: &Bulk) -> usize {
    usize::try_from(bulk.total).unwrap_or(usize::MAX)
}

/// What a frame takes of the room in front of those that take turns: as [`messages_in`], and answers too.
fn payload_in(frame: &Frame) -> Load {
    let bytes = match frame {
        Frame::Reply(reply) => reply.data.len(),
        Frame::Error(error) => error.text.as_str().len(),
        Frame::Bulk(bulk) => announced(bulk),
        frame => return messages_in(frame),
    };
    Load { messages: 1, bytes }
}

/// Whether a frame goes to whom is spared too.
fn passes(frame: &Frame) -> bool {
    match frame {
        Frame::Reply(_) | Frame::Error(_) => true,
        Frame::Bulk(bulk) => bulk.kind == REPLY,
        Frame::Exit(exit) => is_kill(exit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Batch;
    use crate::wire::level2::{Exit, Reply, Text16};

    fn pid(index: u32) -> Pid {
        Pid::new(1, index).unwrap()
    }

    const LONG: usize = 4 << 10;
    /// So many of those wait in the order of sending.
    const FEW: usize = 16;

    fn lane() -> LaneQueue {
        LaneQueue::new(Load { messages: 1000, bytes: FEW * LONG })
    }

    fn message(to: u32, len: usize) -> Frame {
        Frame::Message { to: Some(pid(to)), data: Bytes::from(vec![0; len]) }
    }

    fn push(lane: &mut LaneQueue, frame: Frame) {
        lane.push(frame.to(), frame);
    }

    /// Whose frames come next, by turns of one batch.
    fn order(lane: &mut LaneQueue) -> Vec<(Option<u32>, usize)> {
        let mut order = Vec::new();
        let mut take = |queue: &mut Queue, bytes: usize| {
            let (mut load, mut len) = (Load::default(), 0);
            while len < bytes
                && let Some(frame) = next(queue)
            {
                load.add(messages_in(&frame));
                len += 1 + payload_in(&frame).bytes;
                order.push((frame.to().map(Pid::index), messages_in(&frame).bytes));
            }
            Taken { load, stopped: false }
        };
        while lane.serve(&mut take) {}
        order
    }

    /// The next frame, with that of a run told by its length alone.
    fn next(queue: &mut Queue) -> Option<Frame> {
        let Some(run) = queue.front_run() else { return queue.pop_front() };
        let (mut batch, mut len) = (Batch::new(), 0);
        run.fill(&mut batch, 1, |bytes| {
            len = bytes;
            true
        });
        let bytes = batch.take().concat();
        let to = u64::from_be_bytes(bytes[1..9].try_into().unwrap());
        Some(Frame::Message { to: Pid::from_u64(to), data: Bytes::from(vec![0; len]) })
    }

    #[test]
    fn l12_a_backlog_delays_another_receiver_by_a_turn() {
        let mut lane = lane();
        (0..100).for_each(|_| push(&mut lane, message(1, LONG)));
        (0..3).for_each(|_| push(&mut lane, message(2, 64)));
        push(&mut lane, message(3, 64));
        let order = order(&mut lane);
        let last = order.iter().rposition(|(to, _)| *to == Some(2)).unwrap();
        assert_eq!((order.len(), last), (104, FEW + 2 + 2), "behind what was gathered and a turn");
        assert_eq!(order[last + 1].0, Some(3));
        assert!(lane.is_empty() && lane.receivers.is_empty());
    }

    #[test]
    fn l12_what_need_not_wait_passes_a_spared_actor_and_the_rest_keeps_its_order() {
        let mut lane = lane();
        let reply = |rid| Frame::Reply(Reply { rid, to: Some(pid(1)), data: Bytes::new() });
        let kill =
            Frame::Exit(Exit { to: Some(pid(1)), from: None, kind: 1, reason: 3, text: Text16::default() });
        (0..20).for_each(|_| push(&mut lane, message(1, LONG)));
        push(&mut lane, reply(1));
        let most = Load { messages: 10, bytes: 1 << 20 };
        assert!(lane.spare(pid(1), most, most) && !lane.spare(pid(1), most, most));
        push(&mut lane, message(1, 7));
        push(&mut lane, kill);
        push(&mut lane, message(2, 5));
        let went = order(&mut lane);
        assert_eq!(went[FEW..], [(Some(1), 0), (Some(1), 0), (Some(2), 5)], "answer and kill");
        assert_eq!(order(&mut lane), []);
        lane.release(pid(1));
        let rest: Vec<_> = order(&mut lane).into_iter().map(|(_, len)| len).collect();
        assert_eq!(rest, [4096, 4096, 4096, 4096, 7]);
        assert!(lane.is_empty() && lane.receivers.is_empty() && lane.spared() == 0);
    }

    #[test]
    fn l12_answers_take_turns_too() {
        let mut lane = lane();
        let data = Bytes::from(vec![0; LONG]);
        for rid in 0..100 {
            push(&mut lane, Frame::Reply(Reply { rid, to: Some(pid(1)), data: data.clone() }));
        }
        push(&mut lane, message(2, 64));
        let order = order(&mut lane);
        let other = order.iter().position(|(to, _)| *to == Some(2)).unwrap();
        assert!((FEW..FEW + 4).contains(&other), "{other} in front of it");
        assert_eq!(order.len(), 101);
    }

    #[test]
    fn l12_of_what_waited_before_a_wish_no_more_goes_than_the_window() {
        let mut lane = lane();
        (0..FEW).for_each(|_| push(&mut lane, message(1, LONG)));
        (0..20).for_each(|_| push(&mut lane, message(1, 8)));
        let (most, window) = (Load { messages: 5, bytes: 1 << 20 }, Load { messages: 3, bytes: 1 << 20 });
        lane.spare(pid(1), most, window);
        assert_eq!(order(&mut lane).len(), FEW + 3);
        lane.release(pid(1));
        assert_eq!(order(&mut lane).len(), 17);
    }

    #[test]
    fn l12_a_large_answer_that_passes_a_spared_actor_does_not_count_as_waiting_for_it() {
        let mut lane = lane();
        (0..FEW).for_each(|_| push(&mut lane, message(2, LONG)));
        push(&mut lane, message(1, 8));
        let total = 1 << 20;
        let bulk = Bulk { bulk: 1, to: Some(pid(1)), kind: REPLY, rid: 1, from: None, left_ms: 0, total };
        push(&mut lane, Frame::Bulk(bulk));
        let share = Load { messages: 10, bytes: 1000 };
        assert!(!lane.is_full(pid(1), 8, share), "only the message waits");
        lane.spare(pid(1), share, share);
        assert!(!lane.is_full(pid(1), 8, share));
        assert_eq!(order(&mut lane).len(), FEW + 1, "the answer goes, and the message is not too much");
    }

    #[test]
    fn l09_receivers_of_one_frame_each_leave_no_memory_behind() {
        let mut lane = lane();
        (0..1000).for_each(|n| push(&mut lane, message(n, LONG)));
        assert!(lane.ring.len() > KEPT);
        assert_eq!(order(&mut lane).len(), 1000);
        assert!(lane.ring.capacity() <= KEPT && lane.receivers.is_empty());
    }

    #[test]
    fn l10_who_was_turned_away_comes_before_those_that_ask_again() {
        let mut lane = lane();
        (0..FEW).for_each(|_| push(&mut lane, message(2, LONG)));
        (0..8).for_each(|_| push(&mut lane, message(1, 8)));
        let (few, many) = (Load { messages: 8, bytes: 1 << 20 }, Load { messages: 100, bytes: 1 << 20 });
        assert!(lane.is_full(pid(1), 1, few));
        assert!(lane.is_full(pid(1), 1, many), "there would be room, and somebody waits for it");
        let mut took = 0;
        while !lane.take_relieved() {
            assert!(took == 0 || lane.is_full(pid(1), 1, many), "{took} are gone");
            let one = |queue: &mut Queue, _: usize| {
                let load = messages_in(&next(queue).expect("a message"));
                took += load.messages;
                Taken { load, stopped: false }
            };
            assert!(lane.serve(one), "nobody was called");
        }
        assert_eq!(took, FEW + 4, "half of it is gone");
        assert!(!lane.is_full(pid(1), 1, many));
    }

    #[test]
    fn l10_who_sends_to_a_spared_actor_waits_behind_nobody() {
        let mut lane = lane();
        lane.spare(pid(1), Load::default(), Load::default());
        push(&mut lane, message(1, 8));
        let (few, many) = (Load { messages: 1, bytes: 1 << 20 }, Load { messages: 100, bytes: 1 << 20 });
        assert!(lane.is_full(pid(1), 1, few) && !lane.is_full(pid(1), 1, many));
    }

    #[test]
    fn g8_the_end_of_a_lane_is_behind_what_was_held_back() {
        let mut lane = lane();
        lane.spare(pid(1), Load::default(), Load::default());
        push(&mut lane, message(1, 1));
        assert_eq!(order(&mut lane), []);
        lane.close(Frame::Pong);
        assert_eq!(order(&mut lane), [(Some(1), 1), (None, 0)]);
    }
}
