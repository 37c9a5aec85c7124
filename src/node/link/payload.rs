//! A large payload on its way in.

use bytes::{Bytes, BytesMut};

use super::End;
use super::bulk::{ASK, REPLY};
use crate::node::load::Load;
use crate::pid::Pid;
use crate::wire::level2::{Ask, Bulk, Frame, Reply};

/// The first room for it. Pages that nothing has come for cost no memory, and four payloads under way no more of the
/// address space than a quarter of the credit that a peer has anyway.
const ROOM: usize = 1 << 20;
/// Beyond that there is room for so many times what has come: so of a long payload a third is copied as it grows, and
/// who announces one and sends nothing gets nothing (L03).
const GROWTH: usize = 4;

/// One of them. Its chunks may come before it is known what it is.
pub(super) struct Payload {
    pub(super) to: Option<Pid>,
    total: u64,
    /// What has come, in order; lent while more of it is read to its end.
    whole: Option<BytesMut>,
    have: u64,
    /// In so many pieces.
    pieces: usize,
    /// What it is, once that is known.
    pub(super) announced: Option<Bulk>,
}

/// The next bytes of a payload.
pub(super) enum Part {
    /// They came in a buffer of their own.
    Came(Bytes),
    /// They are the last ones of what was lent: so many.
    Read(BytesMut, usize),
}

impl Part {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Came(bytes) => bytes.len(),
            Self::Read(_, len) => *len,
        }
    }
}

impl Payload {
    pub(super) fn new(to: Option<Pid>, total: u64) -> Self {
        Self { to, total, whole: Some(BytesMut::new()), have: 0, pieces: 0, announced: None }
    }

    pub(super) fn is_for(&self, to: Option<Pid>, total: u64) -> bool {
        (self.to, self.total) == (to, total)
    }

    pub(super) fn has_begun(&self) -> bool {
        self.have > 0
    }

    /// Lends what has come, with room for some of what comes next, if that is for `offset`. Nothing can be added until it
    /// is back.
    pub(super) fn lend(&mut self, offset: u64) -> Option<BytesMut> {
        let missing = usize::try_from(self.total - self.have).ok()?;
        if offset != self.have || missing == 0 {
            return None;
        }
        let mut whole = self.whole.take()?;
        make_room(&mut whole, 1, missing);
        Some(whole)
    }

    /// The next bytes.
    pub(super) fn add(&mut self, offset: u64, part: Part) -> Result<(), End> {
        let misplaced = || End::malformed("a chunk is not where it belongs");
        let len = part.len() as u64;
        if offset != self.have || len == 0 || self.have + len > self.total {
            return Err(misplaced());
        }
        match (part, &mut self.whole) {
            (Part::Came(bytes), Some(whole)) => {
                let missing = usize::try_from(self.total - self.have).unwrap_or(usize::MAX);
                make_room(whole, bytes.len(), missing);
                whole.extend_from_slice(&bytes);
            }
            (Part::Read(lent, _), whole @ None) => *whole = Some(lent),
            // It was given up meanwhile and began anew, or came twice at once.
            _ => return Err(misplaced()),
        }
        self.have += len;
        self.pieces += 1;
        Ok(())
    }

    /// What of it is in memory.
    pub(super) fn kept(&self) -> Load {
        Load { messages: self.pieces, bytes: self.have as usize }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.have == self.total
    }

    /// The frame that it stands for.
    pub(super) fn into_frame(self) -> Frame {
        let (to, data) = (self.to, self.whole.unwrap_or_default().freeze());
        match self.announced {
            Some(Bulk { kind: ASK, rid, from, left_ms, .. }) => {
                Frame::Ask(Ask { rid, to, from, left_ms, data })
            }
            Some(Bulk { kind: REPLY, rid, .. }) => Frame::Reply(Reply { rid, to, data }),
            _ => Frame::Message { to, data },
        }
    }
}

/// Has room for `len` bytes at the end of `whole`, of which `missing` are still to come.
fn make_room(whole: &mut BytesMut, len: usize, missing: usize) {
    let have = whole.len();
    if whole.capacity() - have < len {
        let room = (GROWTH * have).max(have + len).max(ROOM).min(have + missing);
        let mut larger = BytesMut::with_capacity(room);
        larger.extend_from_slice(whole);
        *whole = larger;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(len: usize) -> Part {
        Part::Came(Bytes::from(vec![7; len]))
    }

    #[test]
    fn l03_room_for_a_payload_follows_what_has_come_and_not_what_is_announced() {
        let total = 64 << 20;
        let mut payload = Payload::new(Pid::new(1, 1), total as u64);
        let mut have = 0;
        assert_eq!(payload.whole.as_ref().map(BytesMut::capacity), Some(0), "nothing has come");
        for len in [1, 100_000, 1 << 20, 3 << 20, 1, 40 << 20, total - (44 << 20) - 100_002] {
            payload.add(have as u64, came(len)).unwrap();
            have += len;
            let room = payload.whole.as_ref().map_or(0, BytesMut::capacity);
            assert!(room <= (GROWTH * have).max(ROOM), "room for {room} after {have} bytes");
        }
        assert!(payload.is_complete());
        let Frame::Message { data, .. } = payload.into_frame() else { panic!("a message") };
        assert_eq!((data.len(), data.iter().all(|byte| *byte == 7)), (total, true));
    }

    #[test]
    fn what_was_lent_comes_back_to_its_place_or_not_at_all() {
        let mut payload = Payload::new(Pid::new(1, 1), 10);
        payload.add(0, came(3)).unwrap();
        assert!(payload.lend(2).is_none(), "that is not next");
        let mut lent = payload.lend(3).unwrap();
        assert!(lent.capacity() >= 10 && payload.lend(3).is_none());
        assert!(payload.add(3, came(1)).is_err(), "its place is taken");
        lent.extend_from_slice(&[7; 7]);
        payload.add(3, Part::Read(lent, 7)).unwrap();
        assert!(payload.is_complete() && payload.lend(10).is_none());
        let mut other = Payload::new(Pid::new(1, 1), 10);
        assert!(other.add(0, Part::Read(BytesMut::new(), 1)).is_err(), "it was lent by another one");
    }
}
