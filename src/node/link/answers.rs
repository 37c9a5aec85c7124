//! Questions and answers over a link, in both directions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;

use super::asks::{MAX_ASKS, NO_DEADLINE, Question, Unasked};
use super::greeting::caps;
use super::outgoing::NoRoom;
use super::{End, Link, refusal};
use crate::actor::AskError;
use crate::mailbox::Payload;
use crate::node::outbound::Refusal;
use crate::node::shared::now;
use crate::pid::Pid;
use crate::transport::CloseCode;
use crate::wire::level2::{Ask, Error, Reply, Text16};

/// How long a question that was given up may be remembered.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Stands for who was asked in refusals to the peer, which knows whom it asked.
const NOBODY: Pid = Pid::new(1, 0).expect("a generation that PIDs may have");

/// Asking.
impl Link {
    /// Asks the actor `pid` of the peer, or hands the question back. One that was taken has its outcome in any
    /// case.
    pub(in crate::node) fn ask(&self, pid: Pid, data: Bytes, question: Question) -> Result<(), Unasked> {
        if self.agreed.caps & caps::ASKS == 0 {
            let asked = question.reply.asked();
            question.reply.refuse(AskError::Unsupported(asked));
            return Ok(());
        }
        if data.len() > self.agreed.max_sent {
            return Err(Unasked { refusal: Refusal::TooLarge(self.agreed.max_sent), data, question });
        }
        let lane = self.out().push_ask(pid, data, question)?;
        self.rouse(lane);
        self.asked.notify_one();
        Ok(())
    }

    /// REPLY came. One to no question is dropped and counted (G5).
    pub(super) fn replied(&self, frame: Reply) {
        let asker = self.out().asks.take(frame.rid);
        match asker {
            Some(reply) => drop(reply.send(Payload::Bytes(frame.data))),
            None => self.came_late(),
        }
    }

    /// ERROR came, which is an answer too.
    pub(super) fn refused(&self, frame: &Error) {
        let asker = self.out().asks.take(frame.rid);
        let in_time = asker.is_some_and(|reply| {
            let error = refusal::from_wire(frame.code, frame.text.as_str(), reply.asked());
            reply.refuse(error)
        });
        if !in_time {
            self.came_late();
        }
    }

    fn came_late(&self) {
        self.shared.system().into_iter().for_each(|system| system.count_late_reply());
    }

    /// The link is over: nothing will be answered.
    pub(super) fn refuse_asks(&self, reason: &str) {
        let open = self.out().asks.take_all();
        for reply in open {
            let (pid, reason) = (reply.asked(), reason.to_owned());
            reply.refuse(AskError::NoConnection { pid, reason });
        }
    }

    /// Those were not written in time. To be called with no lock held.
    pub(super) fn ran_out(&self, late: Vec<Question>) {
        for Question { reply, .. } in late {
            let pid = reply.asked();
            reply.refuse(AskError::Timeout(pid));
        }
    }

    /// Forgets questions that were given up, as long as the link lives.
    pub(super) async fn forget_abandoned_asks(&self) {
        loop {
            self.asked.notified().await;
            while self.out().asks.len() > 0 {
                sleep(LOOK_AGAIN).await;
                self.forget_abandoned();
            }
        }
    }
}

/// Answering.
impl Link {
    /// ASK came: asks the actor, and sends back what comes of it.
    pub(super) fn serve(self: &Arc<Self>, frame: Ask) {
        let Ask { rid, to: asked, from: asker, left_ms, data } = frame;
        let Some(asked) = asked else {
            return self.answer(asker, rid, Err(AskError::NoProcess(NOBODY)));
        };
        // A peer of ours asks no more at once, those included that it has given up.
        let served = Served::one_more(&self.served);
        if served.is_none() || self.out().is_full_of_answers() {
            return self.answer(asker, rid, Err(AskError::Full(asked)));
        }
        let Some(system) = self.shared.system() else {
            return self.answer(asker, rid, Err(AskError::NoProcess(asked)));
        };
        let wanted = (left_ms != NO_DEADLINE).then(|| now() + Duration::from_millis(left_ms.into()));
        let (there, len) = (Arc::downgrade(self), data.len());
        let then = move |outcome: Result<Payload, AskError>| {
            let _served = served;
            if let Some(link) = Weak::upgrade(&there) {
                link.answer(asker, rid, outcome.and_then(|answer| sendable(asked, answer)));
            }
        };
        if system.is_remote(asked) {
            return self.answer(asker, rid, Err(AskError::NoProcess(asked)));
        }
        system.ask_then(asked, Payload::Bytes(data), wanted, then);
        self.brakes.delivered(self, asked, len);
    }

    fn answer(&self, asker: Option<Pid>, rid: u64, outcome: Result<Bytes, AskError>) {
        let error = match outcome {
            Ok(data) => match self.queue_answer(asker, rid, data) {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(error) => error,
        };
        let (code, text) = refusal::to_wire(&error);
        let error = Error { rid, to: asker, code, text: Text16::from(text.as_str()) };
        let pushed = self.out().push_refusal(asker, error);
        match pushed {
            // Perhaps of a question that was dropped, with any lock in the hand of who did.
            Some(lane) => self.work[lane].notify_one(),
            None => {
                let reason = "it asks, and does not read the answers".to_owned();
                self.end(End::Refused(CloseCode::Overloaded, reason));
            }
        }
    }

    fn queue_answer(&self, asker: Option<Pid>, rid: u64, data: Bytes) -> Result<(), AskError> {
        let (len, max) = (data.len(), self.agreed.max_sent);
        if len > max {
            let reason = format!("the answer has {len} bytes, and at most {max} are sent");
            return Err(AskError::Unsendable { pid: NOBODY, reason });
        }
        let lane = self.out().push_reply(asker, rid, data);
        let lane = lane.map_err(|NoRoom| {
            let reason = format!("it has run, but there was no room for the answer of {len} bytes: ask for less at once");
            if let Some(left_out) = self.shared.log.admit(&self.peer.node.to_string()) {
                tracing::warn!(peer = %self.peer.node, len, left_out, "an answer was dropped for want of room");
            }
            AskError::Refused { pid: NOBODY, reason }
        })?;
        lane.into_iter().for_each(|lane| self.rouse(lane));
        Ok(())
    }
}

/// A question of the peer that has not got its outcome.
struct Served(Arc<AtomicUsize>);

impl Served {
    fn one_more(count: &Arc<AtomicUsize>) -> Option<Self> {
        let served = Self(count.clone());
        (count.fetch_add(1, Ordering::Relaxed) < 2 * MAX_ASKS).then_some(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn sendable(asked: Pid, answer: Payload) -> Result<Bytes, AskError> {
    answer.into_bytes().map_err(|_| {
        let reason = "the answer has no byte form".to_owned();
        AskError::Unsendable { pid: asked, reason }
    })
}
