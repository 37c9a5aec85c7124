//! Our questions that wait for their answers.
//!
//! Sans-IO. A question leaves the table exactly once: answered, refused, or given up by who asked.

use std::collections::HashMap;
use std::time::Instant;

use bytes::Bytes;

use crate::actor::{AskError, Reply};
use crate::mailbox::Payload;
use crate::node::outbound::Refusal;
use crate::pid::Pid;

/// Unanswered questions to one peer.
pub(super) const MAX_ASKS: usize = 65_536;
/// Fewer than these are not looked through for those given up.
const FEW: usize = 64;
/// On the wire: for ever.
pub(super) const NO_DEADLINE: u32 = u32::MAX;
/// Why nothing is asked any more.
const CLOSED: &str = "the node is shut down: make a new runtime";

/// A question on its way to another node.
pub(in crate::node) struct Question {
    /// Who asks, if an actor does.
    pub(in crate::node) from: Option<Pid>,
    pub(in crate::node) reply: Reply<Payload>,
    /// When who asks gives up.
    pub(in crate::node) deadline: Option<Instant>,
}

/// A question that was not taken.
pub(in crate::node) struct Unasked {
    pub(in crate::node) refusal: Refusal,
    pub(in crate::node) data: Bytes,
    pub(in crate::node) question: Question,
}

impl Unasked {
    /// Tells who asked.
    pub(in crate::node) fn refuse(self) {
        let reply = self.question.reply;
        let pid = reply.asked();
        reply.refuse(match self.refusal {
            Refusal::Busy | Refusal::Held | Refusal::Unanswered => AskError::Full(pid),
            Refusal::NoConnection(reason) => AskError::NoConnection { pid, reason },
            Refusal::TooLarge(max) => {
                let reason = format!("it has {} bytes, and at most {max} are sent", self.data.len());
                AskError::Unsendable { pid, reason }
            }
            Refusal::Gone => AskError::NoProcess(pid),
            Refusal::Closed => AskError::NoConnection { pid, reason: CLOSED.to_owned() },
        });
    }
}

/// By their numbers, which are not used twice.
#[derive(Default)]
pub(super) struct Asks {
    last: u64,
    open: HashMap<u64, Question>,
    /// With so many the table is looked through.
    look_at: usize,
    /// Those that came too late to be written. Telling who asked wakes him, so it is done with no lock held.
    late: Vec<Question>,
}

impl Asks {
    /// Notes a question; at the bound it comes back.
    pub(super) fn add(&mut self, question: Question) -> Result<u64, Question> {
        if self.open.len() >= self.look_at.max(FEW) {
            self.forget_abandoned();
        }
        if self.open.len() >= MAX_ASKS {
            return Err(question);
        }
        self.last += 1;
        self.open.insert(self.last, question);
        Ok(self.last)
    }

    /// How many milliseconds an answer is still wanted; `None` if none is. To be asked when the question
    /// is written, and then once.
    pub(super) fn left_ms(&mut self, rid: u64, now: Instant) -> Option<u32> {
        let question = self.open.get(&rid)?;
        let left = question.deadline.map(|deadline| deadline.saturating_duration_since(now));
        if question.reply.is_abandoned() || left.is_some_and(|left| left.is_zero()) {
            self.late.extend(self.open.remove(&rid));
            return None;
        }
        // Rounded up: who asks decides when it is too late.
        let ms = left.map(|left| u32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(NO_DEADLINE));
        Some(ms.unwrap_or(NO_DEADLINE))
    }

    /// What was too late since the last call, to be refused with no lock held.
    pub(super) fn take_late(&mut self) -> Vec<Question> {
        std::mem::take(&mut self.late)
    }

    /// An answer or a refusal came: who gets it, if anybody still waits for it.
    pub(super) fn take(&mut self, rid: u64) -> Option<Reply<Payload>> {
        self.open.remove(&rid).map(|question| question.reply)
    }

    /// Takes out everything unanswered, oldest first.
    pub(super) fn take_all(&mut self) -> Vec<Reply<Payload>> {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_unstable_by_key(|(rid, _)| *rid);
        open.into_iter().map(|(_, question)| question.reply).collect()
    }

    /// Forgets the questions that were given up.
    pub(super) fn forget_abandoned(&mut self) {
        self.open.retain(|_, question| !question.reply.is_abandoned());
        self.look_at = 2 * self.open.len();
    }

    pub(super) fn holds(&self, rid: u64) -> bool {
        self.open.contains_key(&rid)
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::actor::Waits;

    fn pid() -> Pid {
        Pid::new(1, 1).unwrap()
    }

    fn question(deadline: Option<Instant>) -> (Question, Waits) {
        let (reply, waits) = Reply::of(pid());
        (Question { from: None, reply, deadline }, waits)
    }

    #[test]
    fn a_question_is_written_with_the_time_that_is_left_and_not_at_all_when_it_is_too_late() {
        let (now, mut asks) = (Instant::now(), Asks::default());
        let after = |us| Some(now + Duration::from_micros(us));
        let (endless, _kept) = question(None);
        let (soon, _kept_too) = question(after(1500));
        let (late, _and_this) = question(after(0));
        let (given_up, waits) = question(None);
        drop(waits);
        let rids: Vec<_> =
            [endless, soon, late, given_up].map(|question| asks.add(question).ok().unwrap()).into();
        let left: Vec<_> = rids.iter().map(|rid| asks.left_ms(*rid, now)).collect();
        assert_eq!(left, [Some(NO_DEADLINE), Some(2), None, None]);
        assert_eq!((asks.len(), asks.take_late().len()), (2, 2));
    }

    #[test]
    fn g5_an_answer_reaches_its_question_once() {
        let mut asks = Asks::default();
        let (asked, waits) = question(None);
        let rid = asks.add(asked).ok().unwrap();
        asks.take(rid).unwrap().send("x".into());
        assert!(asks.take(rid).is_none() && asks.take(rid + 1).is_none());
        assert_eq!(waits.outcome(pid()).unwrap().into_bytes().unwrap(), "x");
    }

    #[test]
    fn questions_that_were_given_up_make_room_and_the_rest_is_bounded() {
        let mut asks = Asks::default();
        for _ in 0..3 * MAX_ASKS {
            assert!(asks.add(question(None).0).is_ok());
        }
        let kept: Vec<_> = (0..MAX_ASKS)
            .map(|_| {
                let (asked, waits) = question(None);
                asks.forget_abandoned();
                (asks.add(asked).is_ok(), waits)
            })
            .take(10)
            .collect();
        assert!(kept.iter().all(|(added, _)| *added) && asks.len() == 10);
        assert_eq!(asks.take_all().len(), 10);
    }
}
