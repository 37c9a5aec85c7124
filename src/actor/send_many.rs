//! Many messages to one actor: linked on the sender's side, delivered in one step, with one wake-up.

use super::send_async::typed;
use super::signal::Envelope;
use super::slot::{Slot, flag};
use super::{ActorRef, System};
use crate::error::{SendError, SendManyError};
use crate::mailbox::{Batch, Chain, Node, NodeRun, Payload};
use crate::pid::Pid;

type SentMany = Result<usize, SendManyError<Payload>>;

impl<M: Send + 'static> ActorRef<M> {
    /// Sends all messages, in order and with none of another sender between them, for the price of one
    /// wake-up. Returns how many. To a bounded mailbox they go one by one, each by its policy.
    ///
    /// # Errors
    /// Hands back what was not sent.
    pub fn send_many(&self, messages: impl IntoIterator<Item = M>) -> Result<usize, SendManyError<M>> {
        let messages = messages.into_iter().map(Payload::of);
        self.system().send_all(self.slot(), self.pid(), messages).map_err(|error| {
            let rest = error.rest.into_iter().map(|payload| {
                payload.take().unwrap_or_else(|_| unreachable!("the payload was made of such a message"))
            });
            SendManyError { delivered: error.delivered, error: typed(error.error), rest: rest.collect() }
        })
    }
}

impl System {
    /// See [`ActorRef::send_many`].
    pub(crate) fn send_many(&self, pid: Pid, mut messages: impl Iterator<Item = Payload>) -> SentMany {
        match self.slot(pid) {
            Some(slot) => self.send_all(slot, pid, messages),
            None => match messages.next() {
                Some(message) => stopped(0, SendError::NoProcess { pid, message }, messages),
                None => Ok(0),
            },
        }
    }

    fn send_all(&self, slot: &'static Slot, pid: Pid, messages: impl Iterator<Item = Payload>) -> SentMany {
        if slot.has(flag::ELSEWHERE) {
            self.send_one_by_one(pid, messages)
        } else {
            self.send_at_once(slot, pid, messages)
        }
    }

    fn send_one_by_one(&self, pid: Pid, mut messages: impl Iterator<Item = Payload>) -> SentMany {
        let mut delivered = 0;
        while let Some(message) = messages.next() {
            if let Err(error) = self.send(pid, message) {
                return stopped(delivered, error, messages);
            }
            delivered += 1;
        }
        Ok(delivered)
    }

    fn send_at_once(
        &self,
        slot: &'static Slot,
        pid: Pid,
        mut messages: impl Iterator<Item = Payload>,
    ) -> SentMany {
        let refuses_bytes = !slot.has(flag::BYTES);
        let (mut batch, mut count, mut refused) = (Batch::new(), 0, None);
        for message in messages.by_ref() {
            if refuses_bytes && matches!(message, Payload::Bytes(_)) {
                refused = Some(message);
                break;
            }
            batch.add(Node::new(pid.generation(), Envelope::User(message)));
            count += 1;
        }
        match slot.push_all(pid, batch) {
            Ok(ready) => self.schedule(ready),
            Err(batch) => {
                let mut back = unpack(batch.into_chain()).chain(refused).chain(messages);
                let Some(message) = back.next() else { return Ok(0) };
                return stopped(0, SendError::NoProcess { pid, message }, back);
            }
        }
        match refused {
            Some(message) => stopped(count, SendError::NotBytes { pid, message }, messages),
            None => Ok(count),
        }
    }
}

fn stopped(delivered: usize, error: SendError<Payload>, rest: impl Iterator<Item = Payload>) -> SentMany {
    Err(SendManyError { delivered, error, rest: rest.collect() })
}

fn unpack(mut chain: Chain<Envelope>) -> impl Iterator<Item = Payload> {
    let mut run = NodeRun::new();
    std::iter::from_fn(move || match chain.pop()?.open(&mut run).1 {
        Envelope::User(message) => Some(message),
        _ => unreachable!("a batch holds user messages"),
    })
}
