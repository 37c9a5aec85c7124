//! What is sent, and how the receiving side accounts for it.
//!
//! A message carries its number every 4 096 bytes and at its end. Numbers are small, so the first byte of
//! a message is 0; what the two sides have to say to each other begins with another one.

use std::iter::once;

use bytes::Bytes;

/// The bytes of a small message, and of a large one.
pub(super) const SMALL: usize = 64;
pub(super) const LARGE: usize = 1 << 20;
/// Large messages are made before the clock runs, so many, and sent in turn.
const PREPARED: u64 = 16;
const STEP: usize = 4096;
const WORD: usize = size_of::<u64>();

pub(super) fn message(number: u64, len: usize) -> Bytes {
    let mut data = vec![0; len];
    for place in words(len) {
        data[place..place + WORD].copy_from_slice(&number.to_be_bytes());
    }
    data.into()
}

/// Large messages, to be sent in turn.
pub(super) fn large() -> Vec<Bytes> {
    (0..PREPARED).map(|number| message(number, LARGE)).collect()
}

/// How much came: the number of messages, and the sum of the numbers that they carry.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) sum: u64,
}

impl Tally {
    pub(super) fn enter(&mut self, data: &[u8]) {
        self.count += 1;
        for place in words(data.len()) {
            let word = data.get(place..).and_then(|rest| rest.first_chunk());
            self.sum = self.sum.wrapping_add(word.map_or(1, |word| u64::from_be_bytes(*word)));
        }
    }

    pub(super) fn encode(self) -> Bytes {
        let Self { count, sum } = self;
        [count.to_be_bytes(), sum.to_be_bytes()].concat().into()
    }

    /// Compares what was sent with what the other side says has come.
    ///
    /// # Errors
    /// If that is not the same.
    pub(super) fn check(self, answer: &[u8]) -> Result<(), String> {
        if answer == self.encode() {
            return Ok(());
        }
        let words: Vec<_> = answer
            .chunks_exact(WORD)
            .filter_map(|word| word.first_chunk())
            .map(|w| u64::from_be_bytes(*w))
            .collect();
        Err(format!("sent {self:?}, and the other side has counted {words:?}"))
    }
}

fn words(len: usize) -> impl Iterator<Item = usize> {
    let last = len.saturating_sub(WORD);
    (0..last).step_by(STEP).chain(once(last))
}

#[cfg(test)]
mod tests {
    use super::{LARGE, SMALL, Tally, message};

    #[test]
    fn a_missing_repeated_or_damaged_message_shows() {
        let mut sent = Tally::default();
        (0..100).for_each(|number| sent.enter(&message(number, SMALL)));
        assert_eq!(sent, Tally { count: 100, sum: 2 * 99 * 50 });
        assert_eq!(sent.check(&sent.encode()), Ok(()));
        let mut other = sent;
        other.enter(&message(0, SMALL));
        assert!(other.check(&sent.encode()).is_err());
        let mut damaged = message(7, LARGE).to_vec();
        damaged[LARGE - 1] += 1;
        let (mut right, mut wrong) = (Tally::default(), Tally::default());
        right.enter(&message(7, LARGE));
        wrong.enter(&damaged);
        assert_eq!((right.count, right.sum, wrong.sum), (1, 257 * 7, 257 * 7 + 1));
    }
}
