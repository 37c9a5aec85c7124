//! Actors of a society: they answer questions in several moods, and note what they are told.

use std::collections::VecDeque;

use bytes::Bytes;
use myrmidon::actor::{Actor, Context, Flow, Reply, Request, SystemMessage};
use myrmidon::mailbox::Payload;

use crate::deeds::Deeds;
use crate::ledger::Life;

/// Bytes of a message before its fill: a number, and the mood of whoever gets it.
pub(crate) const HEAD: usize = 9;
/// Questions that wait for the mood to answer them.
const MOST_KEPT: usize = 3;

/// What comes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Answers,
    /// Later, perhaps when nobody waits any more.
    Keeps,
    Forgets,
}

impl Mood {
    pub(crate) const ALL: [Self; 3] = [Self::Answers, Self::Keeps, Self::Forgets];
}

/// The content of message `number`.
pub(crate) fn content(number: usize, mood: Mood, len: usize) -> Bytes {
    let mut data = vec![number as u8; len.max(HEAD)];
    data[..8].copy_from_slice(&(number as u64).to_be_bytes());
    data[8] = mood as u8;
    data.into()
}

/// The number in a content, unless that was changed on its way.
pub(crate) fn number_in(data: &Bytes) -> Option<usize> {
    let number = u64::from_be_bytes(*data.first_chunk()?) as usize;
    let fill = data.get(HEAD..)?;
    let ends = [fill.first(), fill.last(), fill.get(fill.len() / 2)];
    ends.into_iter().flatten().all(|byte| *byte == number as u8).then_some(number)
}

pub(crate) struct Clerk {
    life: Life,
    deeds: Deeds,
    kept: VecDeque<(Bytes, Reply<Payload>)>,
}

impl Clerk {
    pub(crate) fn new(life: Life, deeds: Deeds) -> Self {
        Self { life, deeds, kept: VecDeque::new() }
    }
}

impl Actor for Clerk {
    type Msg = Request;

    fn handle(&mut self, request: Request, cx: &mut Context<'_>) -> Flow {
        let (message, reply) = request.into_parts();
        let data = message.into_bytes().unwrap_or_default();
        let mood = data.get(8).and_then(|mood| Mood::ALL.get(usize::from(*mood))).copied();
        let Some(reply) = reply else {
            self.deeds.arrived(self.life, cx.pid(), number_in(&data));
            return Flow::Continue;
        };
        self.deeds.asked(self.life, cx.pid(), number_in(&data));
        match mood {
            Some(Mood::Answers) => drop(reply.send(data.into())),
            Some(Mood::Keeps) => self.kept.push_back((data, reply)),
            _ => drop(reply),
        }
        if self.kept.len() > MOST_KEPT
            && let Some((data, reply)) = self.kept.pop_front()
        {
            reply.send(data.into());
        }
        Flow::Continue
    }

    fn system(&mut self, message: SystemMessage, cx: &mut Context<'_>) -> Flow {
        if let SystemMessage::Exit { target, reason, cause } = message {
            self.deeds.told(self.life, cx.pid(), target, &reason, &cause);
        }
        Flow::Continue
    }
}
