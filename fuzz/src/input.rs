//! Choices out of bytes: what is left of an input decides what comes next.

/// The rest of an input. When nothing is left, every number is 0.
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// A number that is often small, and at times as large as it can be.
    pub(crate) fn number(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..0xE0 => byte.into(),
            0xE0..0xF0 => u64::from(self.byte()) << 8 | u64::from(self.byte()),
            0xF0..0xFC => self.bytes(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
            0xFC => u32::MAX.into(),
            0xFD => u64::MAX - 1,
            _ => u64::MAX,
        }
    }

    /// The next bytes, at most `len`.
    pub(crate) fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }
}
