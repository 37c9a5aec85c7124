//! Bytes that arrive in pieces: what a decoder reads from, and the payload behind a header.

use bytes::{Buf, Bytes, BytesMut};

use super::limits::{COPY_BELOW, STEP};

/// Puts `more` behind what of `input` was not decoded yet.
pub(super) fn append(input: &mut Bytes, more: Bytes) {
    if input.is_empty() {
        *input = more;
        return;
    }
    let mut joined = BytesMut::with_capacity(input.len() + more.len());
    joined.extend_from_slice(input);
    joined.extend_from_slice(&more);
    *input = joined.freeze();
}

/// A payload that may arrive in many pieces, held as it came until it is complete. So a peer makes us
/// hold what it has sent, not what it says it will send.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) pieces: Vec<Bytes>,
    /// Short pieces are copied together here, so that none of them keeps a read buffer alive.
    pub(super) block: BytesMut,
    held: usize,
    missing: usize,
}

impl Growing {
    /// Waits for `missing` bytes.
    pub(super) fn new(missing: usize) -> Self {
        Self { pieces: Vec::new(), block: BytesMut::new(), held: 0, missing }
    }

    /// Takes from `input` what is missing; everything in one buffer once it is complete.
    pub(super) fn fill(&mut self, input: &mut Bytes) -> Option<Bytes> {
        if self.held == 0 && input.len() >= self.missing {
            return Some(whole(input, self.missing));
        }
        while self.missing > 0 && !input.is_empty() {
            let n = if input.len() >= STEP / 2 { self.keep(input) } else { self.copy(input) };
            self.held += n;
            self.missing -= n;
        }
        (self.missing == 0).then(|| self.join())
    }

    fn keep(&mut self, input: &mut Bytes) -> usize {
        self.close_block();
        let piece = input.split_to(input.len().min(self.missing));
        let n = piece.len();
        self.pieces.push(if n < COPY_BELOW { Bytes::copy_from_slice(&piece) } else { piece });
        n
    }

    /// Fills the block, beginning a new one when it is full.
    fn copy(&mut self, input: &mut Bytes) -> usize {
        if self.block.len() == self.block.capacity() {
            self.close_block();
            self.block = BytesMut::with_capacity(self.missing.min(STEP));
        }
        let room = self.block.capacity() - self.block.len();
        let n = room.min(input.len()).min(self.missing);
        self.block.extend_from_slice(&input[..n]);
        input.advance(n);
        n
    }

    fn close_block(&mut self) {
        if !self.block.is_empty() {
            self.pieces.push(std::mem::take(&mut self.block).freeze());
        }
    }

    fn join(&mut self) -> Bytes {
        self.close_block();
        if self.pieces.len() == 1 {
            return self.pieces.remove(0);
        }
        let mut joined = BytesMut::with_capacity(self.held);
        self.pieces.drain(..).for_each(|piece| joined.extend_from_slice(&piece));
        joined.freeze()
    }
}

/// Takes a payload that lies complete in one read.
pub(super) fn whole(input: &mut Bytes, len: usize) -> Bytes {
    if len >= COPY_BELOW {
        return input.split_to(len);
    }
    let data = Bytes::copy_from_slice(&input[..len]);
    input.advance(len);
    data
}
