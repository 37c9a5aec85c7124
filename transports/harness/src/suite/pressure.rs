//! Backpressure: what is not read is not taken without end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::transport::LaneClass;

use crate::noise::Noise;
use crate::pair::expect_exactly;
use crate::{Pair, Subject};

const CHUNK: usize = 64 * 1024;
/// What the writer would like to send.
const WANTED: usize = 64 << 20;
/// What the buffers of a transport may take on the way: the kernel's socket buffers on loopback
/// grow to about 10 MiB.
const BOUND: usize = 32 << 20;

/// A writer of large payloads to a peer that does not read stops within 32 MiB, and every byte arrives once the
/// peer reads.
pub async fn a_writer_stops_when_nobody_reads(subject: &Subject) {
    check(subject, LaneClass::Bulk).await;
}

/// The same for messages, of which a transport may take less.
pub async fn a_writer_of_messages_stops_when_nobody_reads(subject: &Subject) {
    check(subject, LaneClass::Message).await;
}

/// A write that is dropped while the peer does not read leaves what it has not written, of whatever class the lane is, and
/// that arrives behind the rest.
pub async fn a_write_that_is_dropped_leaves_what_is_to_be_written(subject: &Subject) {
    for class in [LaneClass::Bulk, LaneClass::Message] {
        let pair = Pair::connect(subject).await;
        let ((mut tx, _rx), (_back, mut there)) = pair.lane_of(class).await;
        let all = Bytes::from(Noise::new(17).bytes(CHUNK).repeat(BOUND / CHUNK));
        let mut bufs: Vec<_> = (0..BOUND / CHUNK).map(|n| all.slice(n * CHUNK..(n + 1) * CHUNK)).collect();
        let left = |bufs: &[Bytes]| bufs.iter().map(Bytes::len).sum::<usize>();
        // Until nothing more is taken.
        loop {
            let before = left(&bufs);
            let written = tokio::time::timeout(Duration::from_millis(100), tx.write(&mut bufs)).await;
            assert!(written.is_err(), "{BOUND} bytes were taken and nobody reads");
            if left(&bufs) == before {
                break;
            }
        }
        let writing = tokio::spawn(async move {
            tx.write(&mut bufs).await.expect("write");
            tx.finish().await.expect("finish");
            tx
        });
        expect_exactly(&mut *there, &all).await;
        writing.await.expect("the writer");
    }
}

async fn check(subject: &Subject, class: LaneClass) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane_of(class).await;
    let chunk = Noise::new(13).bytes(CHUNK);
    let written = Arc::new(AtomicUsize::new(0));
    let (count, piece) = (written.clone(), chunk.clone());
    let writing = tokio::spawn(async move {
        while count.load(Ordering::Relaxed) < WANTED {
            tx.write(&mut [piece.clone()]).await.expect("write");
            count.fetch_add(CHUNK, Ordering::Relaxed);
        }
        tx.finish().await.expect("finish");
        tx
    });
    let stalled_at = steady(&written).await;
    assert!(stalled_at < BOUND, "{stalled_at} bytes were taken and nobody reads");
    let all = Bytes::from(chunk.repeat(WANTED / CHUNK));
    expect_exactly(&mut *there, &all).await;
    writing.await.expect("the writer");
}

/// The value of `count` once it has not moved for a while (or gone beyond the bound).
async fn steady(count: &AtomicUsize) -> usize {
    let mut last = 0;
    let mut still = 0;
    while still < 15 && last < BOUND {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = count.load(Ordering::Relaxed);
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}
