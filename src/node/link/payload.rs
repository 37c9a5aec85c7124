//! A large payload on its way in.

use bytes::{Bytes, BytesMut};

use super::End;
use super::bulk::{ASK, REPLY};
use crate::node::load::Load;
use crate::pid::Pid;
use crate::wire::level2::{Ask, Bulk, Chunk, Frame, Reply};

/// One of them. Its chunks may come before it is known what it is.
pub(super) struct Payload {
    pub(super) to: Option<Pid>,
    total: u64,
    pieces: Vec<Bytes>,
    have: u64,
    /// What it is, once that is known.
    pub(super) announced: Option<Bulk>,
}

impl Payload {
    pub(super) fn new(to: Option<Pid>, total: u64) -> Self {
        Self { to, total, pieces: Vec::new(), have: 0, announced: None }
    }

    pub(super) fn is_for(&self, to: Option<Pid>, total: u64) -> bool {
        (self.to, self.total) == (to, total)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.have > 0
    }

    /// The next chunk.
    pub(super) fn add(&mut self, chunk: Chunk) -> Result<(), End> {
        let len = chunk.data.len() as u64;
        if chunk.offset != self.have || len == 0 || self.have + len > self.total {
            return Err(End::malformed("a chunk is not where it belongs"));
        }
        self.have += len;
        self.pieces.push(chunk.data);
        Ok(())
    }

    /// Its chunks.
    pub(super) fn kept(&self) -> Load {
        Load { messages: self.pieces.len(), bytes: self.have as usize }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.have == self.total
    }

    /// The frame that it stands for.
    pub(super) fn into_frame(self) -> Frame {
        let mut whole = BytesMut::with_capacity(usize::try_from(self.total).unwrap_or(0));
        self.pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
        let (to, data) = (self.to, whole.freeze());
        match self.announced {
            Some(Bulk { kind: ASK, rid, from, left_ms, .. }) => {
                Frame::Ask(Ask { rid, to, from, left_ms, data })
            }
            Some(Bulk { kind: REPLY, rid, .. }) => Frame::Reply(Reply { rid, to, data }),
            _ => Frame::Message { to, data },
        }
    }
}
