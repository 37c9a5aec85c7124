//! What a lane has given to quinn and the peer has not acknowledged. Quinn lets go of the memory of what it was given
//! when that is acknowledged, and says it in no other way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// What was given in one piece counts until all of it is acknowledged. So a piece is no longer than this, or than a part
/// of what may be given.
const PIECE: usize = 16 << 10;
const PART: usize = 8;

#[derive(Default)]
pub(crate) struct UnderWay {
    bytes: AtomicUsize,
    /// Something was acknowledged.
    acknowledged: Notify,
}

/// A piece that counts as long as it is there.
struct Piece {
    bytes: Bytes,
    of: Arc<UnderWay>,
}

impl UnderWay {
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Acquire)
    }

    /// Waits until it has become less since the last call.
    pub(crate) async fn less(&self) {
        self.acknowledged.notified().await;
    }

    /// Takes up to `most` bytes off the front of `bufs`, in pieces to be given to quinn.
    pub(crate) fn take(self: &Arc<Self>, bufs: &mut &mut [Bytes], mut most: usize) -> Vec<Bytes> {
        let (mut pieces, longest) = (Vec::new(), PIECE.max(most / PART));
        while most > 0
            && let Some(first) = bufs.first_mut()
        {
            let bytes = first.split_to(first.len().min(most).min(longest));
            if first.is_empty() {
                bufs.split_off_first_mut();
            }
            if !bytes.is_empty() {
                most -= bytes.len();
                self.bytes.fetch_add(bytes.len(), Ordering::AcqRel);
                pieces.push(Bytes::from_owner(Piece { bytes, of: self.clone() }));
            }
        }
        pieces
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes.len(), Ordering::AcqRel);
        self.of.acknowledged.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_counts_until_it_is_dropped_and_nothing_is_left_out() {
        let under_way = Arc::<UnderWay>::default();
        let data: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let mut bufs = [Bytes::from(data[..10].to_vec()), Bytes::new(), Bytes::from(data[10..].to_vec())];
        let (mut rest, mut got) = (&mut bufs[..], Vec::new());
        while !rest.is_empty() {
            let pieces = under_way.take(&mut rest, 40_000);
            let taken: usize = pieces.iter().map(Bytes::len).sum();
            assert!(taken <= 40_000 && under_way.bytes() == taken);
            got.extend(pieces.concat());
        }
        assert_eq!((got, under_way.bytes()), (data, 0));
        assert!(bufs.iter().all(Bytes::is_empty));
    }
}
