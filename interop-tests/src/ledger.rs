//! Messages that can be accounted for: numbered, dated and with a checksum; and the book that a receiver
//! keeps of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};

/// Number, time of sending and checksum: the shortest message.
pub const SHORTEST: usize = 24;

/// The message with this number to one receiver, `size` bytes long but at least [`SHORTEST`].
pub fn message(number: u64, size: usize) -> Bytes {
    let mut message = BytesMut::with_capacity(size.max(SHORTEST));
    message.put_u64(number);
    message.put_u64(since_epoch());
    let filler = checksum(&number.to_be_bytes()).to_be_bytes();
    while message.len() + 8 < size.max(SHORTEST) {
        let len = (size - 8 - message.len()).min(filler.len());
        message.put_slice(&filler[..len]);
    }
    let sum = checksum(&message);
    message.put_u64(sum);
    message.freeze()
}

/// What stands at the end of a message, for a sender who adds them up as [`Ledger`] does.
pub fn checksum_of(message: &[u8]) -> u64 {
    message.last_chunk().map_or(0, |sum| u64::from_be_bytes(*sum))
}

/// What one receiver has got.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    expected: u64,
    /// Messages that were intact.
    pub received: u64,
    /// Numbers that were left out.
    pub missing: u64,
    /// Messages whose number had been reached before: repeated, or out of order.
    pub backwards: u64,
    /// Messages with a wrong checksum.
    pub corrupt: u64,
    /// The sum of the checksums of all intact messages.
    pub sum: u64,
    /// How long each intact message was under way, in microseconds.
    pub delays: Vec<u32>,
}

impl Ledger {
    /// Enters a message that came now.
    pub fn enter(&mut self, message: &[u8]) {
        let Some((number, sent)) = read(message) else {
            self.corrupt += 1;
            return;
        };
        if number < self.expected {
            self.backwards += 1;
        } else {
            self.missing += number - self.expected;
            self.expected = number + 1;
        }
        self.received += 1;
        self.sum = self.sum.wrapping_add(checksum_of(message));
        let delay = Duration::from_nanos(since_epoch().saturating_sub(sent));
        self.delays.push(u32::try_from(delay.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds the book of another receiver.
    pub fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.missing += other.missing;
        self.backwards += other.backwards;
        self.corrupt += other.corrupt;
        self.sum = self.sum.wrapping_add(other.sum);
        self.delays.extend_from_slice(&other.delays);
    }
}

/// The value below which this share of `values` lies; 0 if there are none.
pub fn quantile(values: &mut [u32], share: f64) -> u32 {
    if values.is_empty() {
        return 0;
    }
    let place = ((values.len() - 1) as f64 * share).round() as usize;
    *values.select_nth_unstable(place).1
}

fn read(message: &[u8]) -> Option<(u64, u64)> {
    let (body, sum) = message.split_last_chunk()?;
    let (number, rest) = body.split_first_chunk()?;
    let (sent, _) = rest.split_first_chunk()?;
    (checksum(body) == u64::from_be_bytes(*sum))
        .then(|| (u64::from_be_bytes(*number), u64::from_be_bytes(*sent)))
}

/// Nanoseconds; sender and receiver share the clock of one machine.
fn since_epoch() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// FNV-1a, eight bytes at a time.
fn checksum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_be_bytes(word)
    });
    words.fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_series_is_clean_and_sums_up_as_the_sender_does() {
        let mut ledger = Ledger::default();
        let mut sum = 0u64;
        for number in 0..100 {
            let message = message(number, number as usize);
            assert_eq!(message.len(), SHORTEST.max(number as usize));
            sum = sum.wrapping_add(checksum_of(&message));
            ledger.enter(&message);
        }
        assert_eq!((ledger.received, ledger.missing, ledger.backwards, ledger.corrupt), (100, 0, 0, 0));
        assert_eq!((ledger.sum, ledger.delays.len()), (sum, 100));
    }

    #[test]
    fn gaps_repetitions_and_damage_are_told_apart() {
        let mut ledger = Ledger::default();
        for number in [0, 3, 3, 1, 4] {
            ledger.enter(&message(number, 64));
        }
        let mut damaged = message(5, 64).to_vec();
        damaged[30] ^= 1;
        ledger.enter(&damaged);
        ledger.enter(&[1, 2, 3]);
        assert_eq!((ledger.received, ledger.missing, ledger.backwards, ledger.corrupt), (5, 2, 2, 2));
    }

    #[test]
    fn a_quantile_is_a_value_that_occurred() {
        let mut values: Vec<u32> = (1..=101).rev().collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| quantile(&mut values, share)), [1, 51, 100, 101]);
        assert_eq!(quantile(&mut [], 0.5), 0);
    }
}
