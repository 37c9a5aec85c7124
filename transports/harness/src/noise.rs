//! Reproducible pseudo-random numbers: the same seed gives the same run.

use bytes::Bytes;

/// SplitMix64: small, and good enough to tell bytes and batches apart.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Bytes {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes());
        words.flatten().take(len).collect::<Vec<u8>>().into()
    }

    /// `data` in pieces of arbitrary size, some of them empty.
    pub(crate) fn pieces(&mut self, mut data: Bytes) -> Vec<Bytes> {
        let mut pieces = vec![];
        while !data.is_empty() {
            let most = if self.below(4) == 0 { data.len() } else { data.len().min(1500) };
            let len = self.below(most as u64 + 1) as usize;
            pieces.push(data.split_to(len));
        }
        pieces
    }
}
