//! What is written arrives.

use bytes::{Bytes, BytesMut};
use myrmidon::transport::{LaneReceiver, LaneSender};

use crate::noise::Noise;
use crate::pair::{receive, send};
use crate::{Pair, Subject, within};

/// Payloads of 1 byte to 8 MiB, written in arbitrary batches of arbitrary pieces, arrive as they
/// were, in both directions.
pub async fn bytes_arrive_intact_and_in_order(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, mut rx), (mut back, mut there)) = pair.lane().await;
    for len in [1, 2, 7, 1_000, 65_535, 65_536, 65_537, 1 << 20, 8 << 20] {
        let data = Noise::new(len as u64).bytes(len);
        carry(&mut tx, &mut there, &data, len as u64 + 1).await;
        carry(&mut back, &mut rx, &data, len as u64 + 2).await;
    }
}

/// Both sides write 4 MiB at the same time on one lane; neither waits for the other.
pub async fn both_directions_carry_at_once(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, mut rx), (mut back, mut there)) = pair.lane().await;
    let (one, other) = (Noise::new(1).bytes(4 << 20), Noise::new(2).bytes(4 << 20));
    tokio::join!(carry(&mut tx, &mut there, &one, 3), carry(&mut back, &mut rx, &other, 4));
}

/// After `write` every buffer is empty; writing nothing, or empty buffers, is fine.
pub async fn written_buffers_are_left_empty(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
    within("an empty write", tx.write(&mut [])).await.expect("an empty write");
    within("an empty write", tx.write(&mut [Bytes::new(), Bytes::new()])).await.expect("an empty write");
    let mut bufs: Vec<Bytes> = (0..300_u16).map(|n| Bytes::copy_from_slice(&n.to_be_bytes())).collect();
    let sent = bufs.concat();
    within("a batch", tx.write(&mut bufs)).await.expect("write");
    assert!(bufs.iter().all(Bytes::is_empty));
    assert_eq!(receive(&mut *there, sent.len()).await, sent);
}

/// What is written at once and what the writer waits for arrive in their order, and what does not go at once
/// is left whole: nobody reads until the system takes no more.
pub async fn what_does_not_go_at_once_is_left_for_the_writer(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
    let (mut sent, mut noise) = (vec![], Noise::new(7));
    let mut bufs = loop {
        let piece = noise.bytes(50_000);
        sent.extend_from_slice(&piece);
        let mut bufs = [piece, Bytes::new(), Bytes::from_static(b"end")];
        sent.extend_from_slice(b"end");
        if !tx.try_write(&mut bufs).expect("try_write") {
            break bufs;
        }
        assert!(tx.writes_at_once() && bufs.iter().all(Bytes::is_empty));
    };
    let read = receive(&mut *there, sent.len());
    let (written, got) = tokio::join!(within("the rest", tx.write(&mut bufs)), read);
    written.expect("write");
    assert_eq!(got, sent);
}

/// `read(max)` gives 1 to `max` bytes, never an empty piece.
pub async fn reading_keeps_to_its_maximum(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
    let data = Noise::new(5).bytes(10_000);
    send(&mut *tx, data.clone()).await;
    within("finish", tx.finish()).await.expect("finish");
    let (mut got, mut max) = (vec![], 1);
    while let Some(piece) = within("read", there.read(max)).await.expect("read") {
        assert!((1..=max).contains(&piece.len()), "{} bytes for a maximum of {max}", piece.len());
        got.extend_from_slice(&piece);
        max = max * 2 % 4_095;
    }
    assert_eq!(got, data);
}

/// Reading to where the bytes belong, in turns with other reading, gives what was written, puts it behind what is there,
/// keeps to its maximum, and tells the end. A read that is given up has put nothing there.
pub async fn bytes_are_read_to_where_they_belong(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
    let data = Noise::new(8).bytes(3 << 20);
    let writing = async {
        for piece in Noise::new(9).pieces(data.clone()) {
            send(&mut *tx, piece).await;
            tokio::task::yield_now().await;
        }
        tx.finish().await.expect("finish");
    };
    let (mut noise, mut got) = (Noise::new(10), BytesMut::new());
    let reading = async {
        loop {
            let max = 1 + noise.below(300_000) as usize;
            got.reserve(max);
            let before = got.len();
            let read = if noise.below(3) == 0 {
                let piece = there.read(max).await.expect("read").unwrap_or_default();
                got.extend_from_slice(&piece);
                piece.len()
            } else {
                tokio::select! {
                    biased;
                    read = there.read_into(&mut got, max) => read.expect("read_into"),
                    () = tokio::task::yield_now() => {
                        assert_eq!(got.len(), before, "a read that was given up");
                        continue;
                    }
                }
            };
            assert!(read <= max && got.len() == before + read, "{read} bytes for a maximum of {max}");
            if read == 0 {
                break;
            }
        }
        assert_eq!(there.read_into(&mut got, 1).await.expect("read_into"), 0, "the end stays the end");
    };
    within("three megabytes", async { tokio::join!(writing, reading) }).await;
    assert!(got == data, "{} bytes arrived changed", got.len());
}

/// Reading that is given up again and again loses and repeats nothing.
pub async fn reading_is_cancel_safe(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
    let data = Noise::new(6).bytes(1 << 20);
    let writing = async {
        for piece in Noise::new(7).pieces(data.clone()) {
            send(&mut *tx, piece).await;
            tokio::task::yield_now().await;
        }
        tx.finish().await.expect("finish");
    };
    let mut got = vec![];
    let reading = async {
        loop {
            tokio::select! {
                biased;
                piece = there.read(1_000) => match piece.expect("read") {
                    Some(piece) => got.extend_from_slice(&piece),
                    None => break,
                },
                () = tokio::task::yield_now() => {}
            }
        }
    };
    within("a megabyte", async { tokio::join!(writing, reading) }).await;
    assert_eq!(got.len(), data.len());
    assert_eq!(got, data);
}

/// Writes `data` in batches, which `seed` decides, while the other side reads it.
async fn carry(tx: &mut Box<dyn LaneSender>, rx: &mut Box<dyn LaneReceiver>, data: &Bytes, seed: u64) {
    let writing = async {
        let mut noise = Noise::new(seed);
        let mut pieces = noise.pieces(data.clone());
        let mut rest = &mut pieces[..];
        while !rest.is_empty() {
            let count = 1 + noise.below(rest.len().min(200) as u64) as usize;
            let (batch, later) = rest.split_at_mut(count);
            within("write a batch", tx.write(batch)).await.expect("write");
            rest = later;
        }
    };
    let (got, ()) = tokio::join!(receive(&mut **rx, data.len()), writing);
    assert!(got == *data, "{} bytes arrived changed", data.len());
}
