//! Large payloads on their way out: announced in the lane of their receiver, sent in chunks on a lane
//! of their own.
//!
//! Sans-IO. A payload may be sent once its BULK has been written. A few are sent by turns, so that one of
//! 64 MiB does not hold up one of 300 KiB.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::asks::NO_DEADLINE;
use super::credit::Allowance;
use crate::node::outbound::Load;
use crate::pid::Pid;
use crate::wire::level2::{Ask, Bulk, BulkCancel, Chunk, Frame, Reply};

/// The kinds of payloads: the types of the frames in whose place they stand.
pub(super) const MESSAGE: u8 = 0x00;
pub(super) const ASK: u8 = 0x20;
pub(super) const REPLY: u8 = 0x21;

/// The payloads that wait for the bulk lane, or are on it.
#[derive(Default)]
pub(super) struct BulkQueue {
    /// How many may be under way at once.
    slots: usize,
    /// The most data of one CHUNK that the peer takes.
    longest: usize,
    last: u64,
    /// In the order in which they were announced; the first ones take turns.
    items: VecDeque<Item>,
    /// What is to be said of payloads whose rest will not come.
    cancelled: VecDeque<Frame>,
    /// Receivers for which somebody was turned away, who is to know when no more bytes than these wait.
    calls: BTreeMap<Pid, usize>,
    /// There is room again for one of them.
    relieved: bool,
    /// Answers that are gone.
    answers: Load,
}

struct Item {
    bulk: u64,
    to: Option<Pid>,
    rest: Bytes,
    total: usize,
    /// BULK has been written.
    announced: bool,
    /// The number of the question that it is.
    ask: Option<u64>,
    /// It is an answer, which takes none of the room of messages.
    answers: bool,
}

impl BulkQueue {
    pub(super) fn new(slots: u8) -> Self {
        Self { slots: slots.into(), longest: usize::MAX, ..Self::default() }
    }

    /// A CHUNK has at most so many bytes of data from now on.
    pub(super) fn limit_chunks(&mut self, longest: usize) {
        self.longest = longest.max(1);
    }

    /// Takes the payload of `frame`, a message, a question or an answer; returns the frame that announces
    /// it. Any other frame comes back.
    pub(super) fn push(&mut self, frame: Frame) -> Frame {
        let (bulk, from, left_ms) = (self.last + 1, None, NO_DEADLINE);
        let head = Bulk { bulk, to: frame.to(), kind: MESSAGE, rid: 0, from, left_ms, total: 0 };
        let (head, data) = match frame {
            Frame::Message { data, .. } => (head, data),
            Frame::Ask(Ask { rid, from, data, .. }) => (Bulk { kind: ASK, rid, from, ..head }, data),
            Frame::Reply(Reply { rid, data, .. }) => (Bulk { kind: REPLY, rid, ..head }, data),
            other => return other,
        };
        self.last = bulk;
        let total = data.len();
        let ask = (head.kind == ASK).then_some(head.rid);
        let answers = head.kind == REPLY;
        self.items.push_back(Item { bulk, to: head.to, rest: data, total, announced: false, ask, answers });
        Frame::Bulk(Bulk { total: total as u64, ..head })
    }

    /// Whether `len` bytes for `to` would be beyond `most`, with the payloads for it that are here. Whoever is told so is
    /// told when half of them are gone ([`take_relieved`](Self::take_relieved)); until then all others hear the same, as
    /// in the lane of the receiver ([`LaneQueue::is_full`](super::lane_queue::LaneQueue::is_full)). What is not
    /// announced waits there, by the rules of that.
    pub(super) fn is_full(&mut self, to: Pid, len: usize, most: usize) -> bool {
        let here = self.waiting_for(to);
        let is_beyond = here + len > most;
        let are_others_first = self.calls.contains_key(&to) && self.is_announced(to);
        let is_full = here > 0 && (is_beyond || are_others_first);
        if is_full {
            self.calls.entry(to).or_insert(here / 2);
        }
        is_full
    }

    /// Whether there is room again for somebody who was turned away.
    pub(super) const fn take_relieved(&mut self) -> bool {
        std::mem::replace(&mut self.relieved, false)
    }

    fn waiting_for(&self, to: Pid) -> usize {
        let messages = self.items.iter().filter(|item| item.to == Some(to) && !item.answers);
        messages.map(|item| item.total).sum()
    }

    /// A payload for `to` is gone.
    fn gone(&mut self, to: Option<Pid>) {
        if let Some(to) = to
            && self.calls.get(&to).is_some_and(|at| self.waiting_for(to) <= *at)
        {
            self.calls.remove(&to);
            self.relieved = true;
        }
    }

    /// Whether somebody was turned away from a receiver of which nothing is announced, as it is spared. Nothing goes there,
    /// so what room it may have grows by what others leave.
    pub(super) fn waits_for_others(&self) -> bool {
        self.calls.keys().any(|to| !self.is_announced(*to))
    }

    fn is_announced(&self, to: Pid) -> bool {
        self.items.iter().any(|item| item.to == Some(to) && item.announced && !item.answers)
    }

    /// Takes a payload back that was not announced.
    pub(super) fn remove(&mut self, bulk: u64) {
        let item = self.items.iter().position(|item| item.bulk == bulk).and_then(|at| self.items.remove(at));
        self.gone(item.and_then(|item| item.to));
    }

    /// Gives up a payload that was announced; its length, if it was still to be sent.
    pub(super) fn cancel(&mut self, bulk: u64) -> Option<usize> {
        let at = self.items.iter().position(|item| item.bulk == bulk && item.announced)?;
        let Item { to, total, .. } = self.items.remove(at)?;
        self.cancelled.push_back(Frame::BulkCancel(BulkCancel { bulk, to }));
        self.gone(to);
        Some(total)
    }

    /// Announced payloads that are questions, with the numbers of these.
    pub(super) fn questions(&self) -> Vec<(u64, u64)> {
        let announced = self.items.iter().filter(|item| item.announced);
        announced.filter_map(|item| item.ask.map(|rid| (item.bulk, rid))).collect()
    }

    /// What is to be said of payloads that were given up.
    pub(super) fn take_cancelled(&mut self) -> impl Iterator<Item = Frame> + '_ {
        self.cancelled.drain(..)
    }

    /// The BULK of a payload has been written.
    pub(super) fn announced(&mut self, bulk: u64) {
        if let Some(item) = self.items.iter_mut().find(|item| item.bulk == bulk) {
            item.announced = true;
        }
    }

    /// Answers that are complete since the last call.
    pub(super) fn take_answers(&mut self) -> Load {
        std::mem::take(&mut self.answers)
    }

    /// The next chunk, of at most `most` bytes, if there is credit for it; with the message that is complete by it.
    pub(super) fn next(&mut self, allowance: &mut Allowance, most: usize) -> Option<(Frame, Load)> {
        // What waits for a spared actor is not announced, and holds up nobody. There are never more than
        // `slots` begun: those go on in front of what is announced later.
        let at = self.items.iter().position(|item| item.announced)?;
        let data_len = self.items[at].rest.len().min(self.longest).min(most);
        if !allowance.take_bytes(data_len) {
            return None;
        }
        let mut item = self.items.remove(at)?;
        let offset = (item.total - item.rest.len()) as u64;
        let data = item.rest.split_to(data_len);
        let total = item.total as u64;
        let frame = Frame::Chunk(Chunk { bulk: item.bulk, to: item.to, total, offset, data });
        let mut done = Load::default();
        if item.rest.is_empty() {
            let whole = Load { messages: 1, bytes: item.total };
            if item.answers {
                self.answers.add(whole);
            } else {
                done = whole;
                self.gone(item.to);
            }
        } else {
            // Behind the others whose turn it is.
            let turn = self.items.len().min(self.slots.saturating_sub(1));
            self.items.insert(turn, item);
        }
        Some((frame, done))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.cancelled.clear();
        self.calls.clear();
        self.answers = Load::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 << 10;

    fn chunk(frame: Frame) -> (u64, u64, usize) {
        let Frame::Chunk(Chunk { bulk, offset, data, .. }) = frame else { panic!("{frame:?}") };
        (bulk, offset, data.len())
    }

    #[test]
    fn payloads_take_turns_once_they_are_announced() {
        let (mut queue, mut allowance) = (BulkQueue::new(2), Allowance::new(10, u64::MAX));
        let to = Pid::new(1, 1);
        for len in [2 * CHUNK + 1, CHUNK, CHUNK] {
            queue.push(Frame::Message { to, data: Bytes::from(vec![0; len]) });
        }
        assert!(queue.next(&mut allowance, CHUNK).is_none(), "nothing is announced");
        (1..=3).for_each(|bulk| queue.announced(bulk));
        let mut sent = Vec::new();
        let mut complete = 0;
        while let Some((frame, done)) = queue.next(&mut allowance, CHUNK) {
            sent.push(chunk(frame));
            complete += done.messages;
        }
        let step = CHUNK as u64;
        assert_eq!(sent[..2], [(1, 0, CHUNK), (2, 0, CHUNK)]);
        let first: Vec<_> = sent.iter().filter(|(bulk, ..)| *bulk == 1).copied().collect();
        assert_eq!(first, [(1, 0, CHUNK), (1, step, CHUNK), (1, 2 * step, 1)]);
        assert_eq!((sent.len(), complete, queue.is_empty()), (5, 3, true));
    }

    #[test]
    fn l12_payloads_that_are_not_announced_hold_up_no_others() {
        let (mut queue, mut allowance) = (BulkQueue::new(2), Allowance::new(10, u64::MAX));
        for _ in 0..5 {
            queue.push(Frame::Message { to: Pid::new(1, 1), data: Bytes::from(vec![0; 2 * CHUNK]) });
        }
        (3..=5).for_each(|bulk| queue.announced(bulk));
        let mut next = || queue.next(&mut allowance, CHUNK).map(|(frame, _)| chunk(frame).0);
        let mut begun: Vec<_> = std::iter::from_fn(&mut next).collect();
        assert_eq!(begun.len(), 6, "two chunks of each that is announced");
        begun.dedup();
        begun.sort_unstable();
        begun.dedup();
        assert_eq!(begun, [3, 4, 5]);
    }

    #[test]
    fn l10_who_was_turned_away_from_a_receiver_comes_before_those_that_ask_again() {
        let (mut queue, mut allowance) = (BulkQueue::new(1), Allowance::new(10, u64::MAX));
        let (to, other) = (Pid::new(1, 1).unwrap(), Pid::new(1, 2).unwrap());
        let push = |queue: &mut BulkQueue, to| {
            queue.push(Frame::Message { to: Some(to), data: Bytes::from(vec![0; CHUNK]) });
            queue.announced(queue.last);
        };
        (0..4).for_each(|_| push(&mut queue, to));
        assert!(queue.is_full(to, CHUNK, 4 * CHUNK));
        assert!(queue.is_full(to, 1, usize::MAX), "there would be room, and somebody waits for it");
        assert!(!queue.is_full(other, 1, usize::MAX), "not for others");
        let mut went = 0;
        while !queue.take_relieved() {
            assert!(queue.is_full(to, 1, usize::MAX), "{went} are gone");
            queue.next(&mut allowance, CHUNK).expect("more waits");
            went += 1;
        }
        assert_eq!((went, queue.is_full(to, 1, usize::MAX)), (2, false), "half of it is gone");
        assert!(queue.is_full(to, CHUNK, 2 * CHUNK));
        assert_eq!((queue.cancel(3), queue.take_relieved()), (Some(CHUNK), true), "given up is gone too");
    }

    #[test]
    fn l10_who_sends_what_is_not_announced_waits_behind_nobody() {
        let (mut queue, to) = (BulkQueue::new(1), Pid::new(1, 1).unwrap());
        queue.push(Frame::Message { to: Some(to), data: Bytes::from(vec![0; CHUNK]) });
        assert!(queue.is_full(to, 1, CHUNK) && !queue.is_full(to, 1, 2 * CHUNK));
        queue.remove(1);
        assert!(queue.take_relieved() && !queue.is_full(to, 1, 0), "nothing is here");
    }

    #[test]
    fn a_chunk_is_no_longer_than_the_peer_takes_and_the_batch_has_room_for() {
        let (mut queue, mut allowance) = (BulkQueue::new(1), Allowance::new(10, u64::MAX));
        queue.limit_chunks(100);
        queue.push(Frame::Message { to: Pid::new(1, 1), data: Bytes::from(vec![0; 230]) });
        queue.announced(1);
        let mut next = |most| queue.next(&mut allowance, most).map(|(frame, _)| chunk(frame));
        assert_eq!(
            [next(1000), next(50), next(1000), next(1000)],
            [Some((1, 0, 100)), Some((1, 100, 50)), Some((1, 150, 80)), None]
        );
    }

    #[test]
    fn without_credit_no_chunk_begins() {
        let (mut queue, mut allowance) = (BulkQueue::new(1), Allowance::new(1, 10));
        queue.push(Frame::Message { to: Pid::new(1, 1), data: Bytes::from(vec![0; 2 * CHUNK]) });
        queue.announced(1);
        assert!(queue.next(&mut allowance, CHUNK).is_some() && queue.next(&mut allowance, CHUNK).is_none());
        allowance.raise(1, CHUNK as u64 + 1);
        assert!(queue.next(&mut allowance, CHUNK).is_some());
    }
}
