//! What waits to be written to one peer, and whether more is taken: queue, bounds and backoff gate.
//!
//! Sans-IO: the caller holds the lock, gives the time, and does what the result says.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::backoff::Gate;
use super::link::Life;
pub(super) use super::load::Load;
use super::load::{Account, Budget};
use crate::pid::Pid;
use crate::wire::{Answers, Asked, Batch};

/// Unanswered resolves at one peer (L19).
pub(super) const MAX_RESOLVES: usize = 1024;
/// A batch is written when it holds so many bytes, or when the queue is empty.
const BATCH: usize = 64 << 10;

/// Why nothing is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Busy,
    /// So much waits for the receiver that the others need the rest of the room.
    Held,
    NoConnection(String),
    /// The peer takes at most so many bytes.
    TooLarge(usize),
    /// The receiver has ended with an earlier life of its node.
    Gone,
    Closed,
    /// As many questions as may be are unanswered.
    Unanswered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// No lane; the gate decides whether one is opened for the next operation.
    Idle,
    Dialling,
    /// A lane is open, since then.
    Up(Instant),
}

pub(super) enum Item<R> {
    /// For an actor of one life of the peer, or of whichever answers.
    Message {
        to: Pid,
        data: Bytes,
        life: Option<Life>,
    },
    Resolve {
        name: String,
        reply: R,
    },
}

/// `R` is where the answer to a resolve goes.
pub(super) struct Outbound<R> {
    most: Load,
    queue: VecDeque<Item<R>>,
    load: Account,
    /// Resolves that are queued or unanswered.
    resolves: usize,
    phase: Phase,
    gate: Gate,
    closed: bool,
    sent: u64,
    dead_letters: u64,
}

/// What a broken or abandoned lane leaves behind.
pub(super) struct Leftover<R> {
    /// Messages that were not written; they are dead letters now (D11).
    pub(super) messages: usize,
    /// Resolves that were not written.
    pub(super) resolves: Vec<R>,
}

impl<R> Outbound<R> {
    pub(super) fn new(most: Load, gate: Gate, budget: Budget) -> Self {
        Self {
            most,
            queue: VecDeque::new(),
            load: Account::new(budget),
            resolves: 0,
            phase: Phase::Idle,
            gate,
            closed: false,
            sent: 0,
            dead_letters: 0,
        }
    }

    /// Queues a message, or hands it back.
    pub(super) fn push_message(
        &mut self,
        now: Instant,
        to: Pid,
        data: Bytes,
        life: Option<Life>,
    ) -> Result<(), (Refusal, Bytes)> {
        if let Err(refusal) = self.admit(now) {
            return Err((refusal, data));
        }
        if !self.has_room(data.len()) {
            return Err((Refusal::Busy, data));
        }
        self.load.add(data.len());
        self.queue.push_back(Item::Message { to, data, life });
        Ok(())
    }

    /// Queues a resolve behind the messages pushed before it (G2).
    pub(super) fn push_resolve(&mut self, now: Instant, name: String, reply: R) -> Result<(), Refusal> {
        self.admit(now)?;
        if self.resolves >= MAX_RESOLVES {
            return Err(Refusal::Busy);
        }
        self.resolves += 1;
        self.queue.push_back(Item::Resolve { name, reply });
        Ok(())
    }

    /// Drops the messages that are larger than the peer takes; returns how many.
    pub(super) fn drop_larger(&mut self, max: usize) -> usize {
        let before = self.queue.len();
        let load = &mut self.load;
        self.queue.retain(|item| match item {
            Item::Message { data, .. } if data.len() > max => {
                load.remove(Load { messages: 1, bytes: data.len() });
                false
            }
            _ => true,
        });
        let dropped = before - self.queue.len();
        self.dead_letters += dropped as u64;
        dropped
    }

    /// Moves everything to a link, which counts it from now on.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Item<R>> + '_ {
        self.load.clear();
        self.resolves = 0;
        self.queue.drain(..)
    }

    /// Moves the next items into `batch`, up to 64 KiB, and notes in `answers` what will be answered.
    /// What it returns goes to [`written`](Self::written) once it is.
    pub(super) fn fill(&mut self, batch: &mut Batch, answers: &mut Answers<R>) -> Load {
        let mut taken = Load::default();
        while batch.len() < BATCH {
            match self.queue.pop_front() {
                None => break,
                // Its node speaks level 2.
                Some(Item::Message { life: Some(_), data, .. }) => {
                    self.load.remove(Load { messages: 1, bytes: data.len() });
                    self.dead_letters += 1;
                }
                Some(Item::Message { to, data, .. }) => {
                    taken.messages += 1;
                    taken.bytes += data.len();
                    batch.message(Some(to), data);
                }
                Some(Item::Resolve { name, reply }) => {
                    answers.expect(Asked::Resolve, reply);
                    batch.resolve(&name);
                }
            }
        }
        taken
    }

    /// Messages that were taken and whose receivers have ended with an earlier life of the peer.
    pub(super) fn lost(&mut self, count: u64) {
        self.dead_letters += count;
    }

    /// A filled batch has been written.
    pub(super) fn written(&mut self, load: Load) {
        self.load.remove(load);
        self.sent += load.messages as u64;
    }

    /// `count` resolves were answered.
    pub(super) fn answered(&mut self, count: usize) {
        self.resolves -= count;
    }

    pub(super) fn dialling(&mut self) {
        self.phase = Phase::Dialling;
    }

    pub(super) fn opened(&mut self, now: Instant) {
        self.phase = Phase::Up(now);
        self.gate.reached();
    }

    /// The peer was reached on another lane.
    pub(super) fn reached(&mut self) {
        self.gate.reached();
    }

    /// The lane ended in good order with nothing outstanding: what is queued may go over a new one.
    pub(super) fn rested(&mut self) {
        self.phase = Phase::Idle;
        self.gate.rested();
    }

    /// The lane broke: nothing of it is sent again (D11, G1).
    pub(super) fn broke(&mut self, now: Instant, random: u32, reason: String) -> Leftover<R> {
        match self.phase {
            Phase::Up(since) => self.gate.broke(now, now - since, random, reason),
            Phase::Idle | Phase::Dialling => self.gate.failed(now, random, reason),
        }
        self.phase = Phase::Idle;
        self.abandon()
    }

    /// The peer could not be reached over another lane, and there is none here.
    pub(super) fn unreachable(&mut self, now: Instant, random: u32, reason: String) {
        if self.phase == Phase::Idle {
            self.gate.failed(now, random, reason);
        }
    }

    /// Takes nothing more; what is queued may still be written.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// Drops everything that is not written.
    pub(super) fn abandon(&mut self) -> Leftover<R> {
        let messages = self.load.clear().messages;
        self.dead_letters += messages as u64;
        self.resolves = 0;
        let resolves = self.queue.drain(..).filter_map(|item| match item {
            Item::Message { .. } => None,
            Item::Resolve { reply, .. } => Some(reply),
        });
        Leftover { messages, resolves: resolves.collect() }
    }

    /// Closes if nothing waits to be written, so that whatever was taken is also written (F10).
    pub(super) fn close_if_idle(&mut self) -> bool {
        self.closed |= self.queue.is_empty();
        self.queue.is_empty()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether something waits to be written.
    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether everything has been written.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty() && self.load.load().messages == 0
    }

    pub(super) fn has_room(&self, len: usize) -> bool {
        self.load.has_room(len, self.most)
    }

    pub(super) fn load(&self) -> Load {
        self.load.load()
    }

    /// Whether there is neither a lane, nor anything for one, nor a pause before the next.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let is_quiet = self.phase == Phase::Idle && self.is_drained() && self.resolves == 0;
        is_quiet && !self.closed && self.gate.opens_at(now).is_none()
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up(_))
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn dead_letters(&self) -> u64 {
        self.dead_letters
    }

    /// Why nothing may be dialled now, if so.
    pub(super) fn shut(&self, now: Instant) -> Option<String> {
        match self.admit(now) {
            Err(Refusal::NoConnection(reason)) => Some(reason),
            Err(_) => Some("the node is shut down: make a new runtime".to_owned()),
            Ok(()) => None,
        }
    }

    /// When the gate opens, if it is shut.
    pub(super) fn opens_at(&self, now: Instant) -> Option<Instant> {
        self.gate.opens_at(now)
    }

    fn admit(&self, now: Instant) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        match self.gate.shut(now) {
            Some(reason) if self.phase == Phase::Idle => Err(Refusal::NoConnection(reason.to_owned())),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pid() -> Pid {
        Pid::new(1, 1).unwrap()
    }

    fn outbound(messages: usize, bytes: usize) -> Outbound<u32> {
        let gate = Gate::new(Duration::from_millis(100), Duration::from_secs(5));
        Outbound::new(Load { messages, bytes }, gate, Budget::new(usize::MAX))
    }

    fn data(len: usize) -> Bytes {
        Bytes::from(vec![1; len])
    }

    #[test]
    fn l10_the_queue_is_bounded_by_messages_and_bytes_until_written() {
        let now = Instant::now();
        let mut out = outbound(3, 100);
        assert!(out.push_message(now, pid(), data(60), None).is_ok());
        assert_eq!(out.push_message(now, pid(), data(41), None), Err((Refusal::Busy, data(41))));
        assert!(out.push_message(now, pid(), data(40), None).is_ok());
        assert!(out.push_message(now, pid(), data(0), None).is_ok());
        assert_eq!(out.push_message(now, pid(), data(0), None), Err((Refusal::Busy, data(0))));
        let load = out.fill(&mut Batch::new(), &mut Answers::new());
        assert_eq!(load, Load { messages: 3, bytes: 100 });
        assert!(!out.has_room(0), "what is being written still counts");
        assert!(!out.is_drained());
        out.written(load);
        assert!(out.has_room(100) && out.is_drained());
        assert!(out.push_message(now, pid(), data(1000), None).is_ok(), "an empty queue takes any message");
    }

    #[test]
    fn l19_unanswered_resolves_are_bounded() {
        let now = Instant::now();
        let mut out = outbound(1, 1);
        for n in 0..MAX_RESOLVES as u32 {
            assert!(out.push_resolve(now, "name".into(), n).is_ok());
        }
        assert_eq!(out.push_resolve(now, "name".into(), 0), Err(Refusal::Busy));
        while out.has_work() {
            out.fill(&mut Batch::new(), &mut Answers::new());
        }
        assert_eq!(out.push_resolve(now, "name".into(), 0), Err(Refusal::Busy));
        out.answered(1);
        assert!(out.push_resolve(now, "name".into(), 0).is_ok());
    }

    #[test]
    fn g2_items_leave_in_the_order_in_which_they_came() {
        let now = Instant::now();
        let mut out = outbound(10, 1000);
        out.push_message(now, pid(), data(2), None).unwrap();
        out.push_resolve(now, "a".into(), 7).unwrap();
        out.push_message(now, pid(), data(1), None).unwrap();
        let (mut batch, mut answers) = (Batch::new(), Answers::new());
        out.fill(&mut batch, &mut answers);
        let mut expected = Batch::new();
        expected.message(Some(pid()), data(2));
        expected.resolve("a");
        expected.message(Some(pid()), data(1));
        assert_eq!(batch.take(), expected.take());
        assert_eq!(answers.abandon().collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn d11_a_broken_lane_drops_what_is_not_written_and_counts_it() {
        let now = Instant::now();
        let mut out = outbound(10, 1 << 20);
        out.dialling();
        out.opened(now);
        for _ in 0..3 {
            out.push_message(now, pid(), data(BATCH), None).unwrap();
        }
        out.push_resolve(now, "a".into(), 9).unwrap();
        let first = out.fill(&mut Batch::new(), &mut Answers::new());
        out.written(first);
        out.fill(&mut Batch::new(), &mut Answers::new());
        let left = out.broke(now, 0, "reset".into());
        assert_eq!((left.messages, left.resolves, out.dead_letters(), out.sent()), (2, vec![9], 2, 1));
        assert!(out.is_drained());
    }

    #[test]
    fn l28_a_shut_gate_refuses_at_once_and_only_without_a_lane() {
        let now = Instant::now();
        let mut out = outbound(10, 1000);
        out.dialling();
        assert!(out.push_message(now, pid(), data(1), None).is_ok(), "queued while dialling");
        assert_eq!(out.broke(now, u32::MAX, "refused".into()).messages, 1);
        let refusal = Refusal::NoConnection("refused".into());
        assert_eq!(out.push_message(now, pid(), data(1), None), Err((refusal, data(1))));
        let later = now + Duration::from_millis(100);
        assert!(out.push_message(later, pid(), data(1), None).is_ok());
        out.dialling();
        assert!(out.push_message(now, pid(), data(1), None).is_ok());
    }

    #[test]
    fn a_closed_queue_takes_nothing_and_still_empties() {
        let now = Instant::now();
        let mut out = outbound(10, 1000);
        out.push_message(now, pid(), data(1), None).unwrap();
        out.close();
        assert_eq!(out.push_resolve(now, "a".into(), 0), Err(Refusal::Closed));
        let load = out.fill(&mut Batch::new(), &mut Answers::new());
        assert_eq!(load.messages, 1);
    }
}
