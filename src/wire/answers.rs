//! What a dialler has asked, and what the bytes that come back therefore mean.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::close_code::CloseCode;
use super::opcode::Opcode;
use crate::pid::Pid;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The PID of a name: eight bare bytes come back.
    Resolve,
    /// A sign of life: the byte `03` comes back.
    Ping,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The answer to a resolve; `None` when nobody has the name.
    Resolved(Option<Pid>),
    /// The answer to a ping.
    Pong,
}

/// Why the bytes are no answers. The lane is closed with [`CloseCode::Malformed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Bytes came though nothing was asked.
    #[error("the peer sent bytes that nobody asked for")]
    Unasked,
    /// A ping was answered with something else.
    #[error("the peer answered a ping with {0:#04x}, not with a pong")]
    NotAPong(u8),
}

impl AnswerError {
    /// What the lane is closed with.
    pub const fn code(&self) -> CloseCode {
        CloseCode::Malformed
    }
}

/// The first-in first-out list of outstanding answers of one lane, each with a ticket of the asker.
///
/// Answers are told apart by their place only. A first byte decides nothing: a PID may begin with `03`.
#[derive(Debug)]
pub struct Answers<T> {
    outstanding: VecDeque<(Asked, T)>,
    partial: [u8; 8],
    have: usize,
}

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self { outstanding: VecDeque::new(), partial: [0; 8], have: 0 }
    }
}

impl<T> Answers<T> {
    /// Nothing asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a question. Call it in the order in which the questions are written, and before they are.
    pub fn expect(&mut self, asked: Asked, ticket: T) {
        self.outstanding.push_back((asked, ticket));
    }

    /// The next complete answer in `input`, with its ticket; `None` until more bytes arrive.
    pub fn next_answer(&mut self, input: &mut Bytes) -> Result<Option<(T, Answer)>, AnswerError> {
        if input.is_empty() {
            return Ok(None);
        }
        let answer = match self.outstanding.front() {
            None => return Err(AnswerError::Unasked),
            Some((Asked::Ping, _)) => Some(pong(input.get_u8())?),
            Some((Asked::Resolve, _)) => self.resolved(input),
        };
        Ok(answer.and_then(|answer| Some((self.outstanding.pop_front()?.1, answer))))
    }

    /// How many answers are outstanding.
    pub fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// Whether nothing is outstanding.
    pub fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Gives up: hands back the tickets of everything unanswered, oldest first.
    pub fn abandon(&mut self) -> impl Iterator<Item = T> + '_ {
        self.have = 0;
        self.outstanding.drain(..).map(|(_, ticket)| ticket)
    }

    fn resolved(&mut self, input: &mut Bytes) -> Option<Answer> {
        let n = input.len().min(8 - self.have);
        input.copy_to_slice(&mut self.partial[self.have..self.have + n]);
        self.have = (self.have + n) % 8;
        (self.have == 0).then(|| Answer::Resolved(Pid::from_u64(u64::from_be_bytes(self.partial))))
    }
}

const fn pong(byte: u8) -> Result<Answer, AnswerError> {
    if byte == Opcode::Pong as u8 { Ok(Answer::Pong) } else { Err(AnswerError::NotAPong(byte)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_place_even_where_a_pid_looks_like_a_pong() {
        let pid = Pid::from_u64(0x0303_0303_0303_0303);
        let bytes = [3, 3, 3, 3, 3, 3, 3, 3, 3, 3];
        for split in 0..=bytes.len() {
            let mut answers = Answers::new();
            for (asked, ticket) in [(Asked::Ping, 1), (Asked::Resolve, 2), (Asked::Ping, 3)] {
                answers.expect(asked, ticket);
            }
            let mut seen = Vec::new();
            for part in [&bytes[..split], &bytes[split..]] {
                let mut input = Bytes::copy_from_slice(part);
                while let Some(answer) = answers.next_answer(&mut input).unwrap() {
                    seen.push(answer);
                }
            }
            assert_eq!(seen, [(1, Answer::Pong), (2, Answer::Resolved(pid)), (3, Answer::Pong)]);
            assert!(answers.is_empty());
        }
    }

    #[test]
    fn what_nobody_asked_for_is_an_error() {
        let mut answers = Answers::<()>::new();
        assert_eq!(answers.next_answer(&mut Bytes::from_static(&[3])), Err(AnswerError::Unasked));
        answers.expect(Asked::Ping, ());
        assert_eq!(answers.next_answer(&mut Bytes::from_static(&[0])), Err(AnswerError::NotAPong(0)));
    }
}
