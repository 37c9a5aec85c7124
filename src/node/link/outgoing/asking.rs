//! Questions and answers that wait to be written.

use std::time::Instant;

use bytes::Bytes;

use super::Outgoing;
use crate::node::link::asks::{NO_DEADLINE, Question, Unasked};
use crate::node::link::bulk::ASK;
use crate::node::link::lane_queue::messages_in;
use crate::node::outbound::{Load, Refusal};
use crate::pid::Pid;
use crate::wire::level2::{Ask, Error, Frame, Reply, Text16};

/// An answer is one too many.
#[derive(Debug)]
pub(crate) struct NoRoom;

impl Outgoing {
    /// Queues a question; returns its lane, or hands it back.
    pub(crate) fn push_ask(&mut self, to: Pid, data: Bytes, question: Question) -> Result<usize, Unasked> {
        if let Some(refusal) = self.refuses(to, data.len()) {
            return Err(Unasked { refusal, data, question });
        }
        let from = question.from;
        let rid = match self.asks.add(question) {
            Ok(rid) => rid,
            Err(question) => return Err(Unasked { refusal: Refusal::Unanswered, data, question }),
        };
        let len = data.len();
        let ask = Ask { rid, to: Some(to), from, left_ms: NO_DEADLINE, data };
        Ok(self.push_payload(len, Frame::Ask(ask)))
    }

    /// Queues an answer; returns its lane, or `None` if the link ends before it would be there, which who asked will
    /// hear.
    pub(crate) fn push_reply(
        &mut self,
        to: Option<Pid>,
        rid: u64,
        data: Bytes,
    ) -> Result<Option<usize>, NoRoom> {
        let len = data.len();
        let is_bulk = self.is_bulk(len);
        if is_bulk && self.closed {
            return Ok(None);
        }
        if !self.answers.add(len) {
            return Err(NoRoom);
        }
        let frame = Frame::Reply(Reply { rid, to, data });
        let frame = if is_bulk { self.bulk.push(frame) } else { frame };
        Ok(Some(self.enqueue(to, frame)))
    }

    /// Queues the refusal of a question, without its text where much waits; returns its lane, or `None` if far
    /// too many wait.
    pub(crate) fn push_refusal(&mut self, to: Option<Pid>, mut error: Error) -> Option<usize> {
        if self.answers.add_refusal(error.text.as_str().len())? == 0 {
            error.text = Text16::default();
        }
        Some(self.enqueue(to, Frame::Error(error)))
    }

    /// Whether so many answers wait that the peer should ask nothing.
    pub(crate) fn is_full_of_answers(&self) -> bool {
        self.answers.are_many()
    }

    /// Says in a question how long an answer is wanted. True if it is not any more, and was forgotten.
    pub(super) fn is_too_late(&mut self, frame: &mut Frame, now: Instant) -> bool {
        let (rid, left) = match frame {
            Frame::Ask(ask) => (ask.rid, &mut ask.left_ms),
            Frame::Bulk(bulk) if bulk.kind == ASK => (bulk.rid, &mut bulk.left_ms),
            _ => return false,
        };
        if let Some(ms) = self.asks.left_ms(rid, now) {
            *left = ms;
            return false;
        }
        if let Frame::Bulk(bulk) = frame {
            self.bulk.remove(bulk.bulk);
        }
        self.load.remove(messages_in(frame));
        self.freed = true;
        true
    }

    /// Forgets questions that were given up. True if there is something to say on the bulk lane.
    pub(crate) fn forget_abandoned(&mut self, cancels: bool) -> bool {
        self.asks.forget_abandoned();
        let given_up = |(_, rid): &(u64, u64)| !self.asks.holds(*rid);
        let given_up: Vec<_> = self.bulk.questions().into_iter().filter(given_up).collect();
        cancels && given_up.into_iter().filter(|(bulk, _)| self.cancel(*bulk)).count() > 0
    }

    /// Gives up a large payload, which counts as sent as its announcement was. False if it was sent.
    pub(crate) fn cancel(&mut self, bulk: u64) -> bool {
        let given_up = self.bulk.cancel(bulk);
        given_up.inspect(|bytes| self.count(Load { messages: 1, bytes: *bytes })).is_some()
    }

    /// Questions that came too late to be written, to be dropped with no lock held.
    pub(crate) fn take_late(&mut self) -> Vec<Question> {
        self.asks.take_late()
    }

    /// Whether questions that nobody asks any more have made room since the last call.
    pub(crate) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.freed)
    }
}
