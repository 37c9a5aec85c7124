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
    /// A bit for each number.
    seen: Vec<u64>,
    /// One more than the greatest number.
    expected: u64,
    /// Messages that were intact, each counted once.
    pub received: u64,
    /// Intact messages that had been there before.
    pub repeated: u64,
    /// Messages that came after one with a greater number.
    pub late: u64,
    /// Messages with a wrong checksum.
    pub corrupt: u64,
    /// The sum of the checksums of the received ones.
    pub sum: u64,
    /// How long each of them was under way, in microseconds.
    pub delays: Vec<u32>,
}

impl Ledger {
    /// Enters a message that came now.
    pub fn enter(&mut self, message: &[u8]) {
        let Some((number, sent)) = read(message) else {
            self.corrupt += 1;
            return;
        };
        if !self.is_new(number) {
            self.repeated += 1;
            return;
        }
        self.late += u64::from(number < self.expected);
        self.expected = self.expected.max(number + 1);
        self.received += 1;
        self.sum = self.sum.wrapping_add(checksum_of(message));
        let delay = Duration::from_nanos(since_epoch().saturating_sub(sent));
        self.delays.push(u32::try_from(delay.as_micros()).unwrap_or(u32::MAX));
    }

    /// Numbers below the greatest that have not come.
    pub const fn missing(&self) -> u64 {
        self.expected - self.received
    }

    /// Adds the book of another receiver; numbers may not be entered after that.
    pub fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.received += other.received;
        self.repeated += other.repeated;
        self.late += other.late;
        self.corrupt += other.corrupt;
        self.sum = self.sum.wrapping_add(other.sum);
        self.delays.extend_from_slice(&other.delays);
    }

    fn is_new(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
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
pub(crate) fn since_epoch() -> u64 {
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
        assert_eq!(
            (ledger.received, ledger.missing(), ledger.repeated, ledger.late, ledger.corrupt),
            (100, 0, 0, 0, 0)
        );
        assert_eq!((ledger.sum, ledger.delays.len()), (sum, 100));
    }

    #[test]
    fn gaps_repetitions_lateness_and_damage_are_told_apart() {
        let mut ledger = Ledger::default();
        for number in [0, 3, 3, 1, 70] {
            ledger.enter(&message(number, 64));
        }
        let mut damaged = message(71, 64).to_vec();
        damaged[30] ^= 1;
        ledger.enter(&damaged);
        ledger.enter(&[1, 2, 3]);
        assert_eq!((ledger.received, ledger.missing()), (4, 67));
        assert_eq!((ledger.repeated, ledger.late, ledger.corrupt), (1, 1, 2));
        let mut both = ledger.clone();
        both.add(&ledger);
        assert_eq!((both.received, both.missing(), both.repeated), (8, 134, 2));
    }

    #[test]
    fn a_quantile_is_a_value_that_occurred() {
        let mut values: Vec<u32> = (1..=101).rev().collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| quantile(&mut values, share)), [1, 51, 100, 101]);
        assert_eq!(quantile(&mut [], 0.5), 0);
    }
}
