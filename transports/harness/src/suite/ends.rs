//! How lanes and connections end. What must never happen is an end that looks complete and is not.

use bytes::{Bytes, BytesMut};
use myrmidon::transport::{CloseCode, Connection, Lane, LaneReceiver, LaneSender, TransportError};

use crate::noise::Noise;
use crate::pair::{drain, expect_exactly, send};
use crate::{Pair, Subject, within};

/// `finish` gives the end of the stream after all bytes, in both directions; the end stays.
pub async fn finish_comes_after_all_bytes(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, mut rx), (mut back, mut there)) = pair.lane().await;
    let data = Noise::new(10).bytes(300_000);
    tokio::join!(send_and_finish(&mut *tx, &data), expect_exactly(&mut *there, &data));
    expect_exactly(&mut *there, b"").await;
    tokio::join!(send_and_finish(&mut *back, &data), expect_exactly(&mut *rx, &data));
}

/// Finishing is a half-close: answers still come, a megabyte of them, and end in their turn.
pub async fn a_finished_lane_still_carries_the_other_way(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, mut rx), (mut back, mut there)) = pair.lane().await;
    send_and_finish(&mut *tx, b"ask").await;
    expect_exactly(&mut *there, b"ask").await;
    drop((tx, there));
    let answer = Noise::new(11).bytes(1 << 20);
    tokio::join!(send_and_finish(&mut *back, &answer), expect_exactly(&mut *rx, &answer));
}

/// After `reset` the peer's reader fails, with `Reset` or, where a lane is a whole connection, with
/// `Lost`; it may have got a part of the bytes. The resetting side still holds both halves.
pub async fn a_reset_never_looks_like_the_end(subject: &Subject) {
    for role in BOTH {
        let pair = Pair::connect(subject).await;
        let (mut near, mut far) = role.sort(pair.lane().await);
        send(&mut *near.0, Bytes::from_static(b"half of a frame")).await;
        near.0.reset(CloseCode::Malformed);
        expect_failure(&mut *far.1, b"half of a frame").await;
        let late = &mut [Bytes::from_static(b"late")];
        assert!(within("a late write", near.0.write(late)).await.is_err(), "wrote to a lane that was reset");
    }
}

/// A reader that reads to where the bytes belong meets a reset as any other does.
pub async fn a_reset_met_by_read_into_never_looks_like_the_end(subject: &Subject) {
    for role in BOTH {
        let pair = Pair::connect(subject).await;
        let (mut near, mut far) = role.sort(pair.lane().await);
        send(&mut *near.0, Bytes::from_static(b"half of a frame")).await;
        near.0.reset(CloseCode::Malformed);
        let mut got = BytesMut::with_capacity(1 << 10);
        let end = loop {
            match within("read_into", far.1.read_into(&mut got, 1 << 10)).await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        check_failure(&got, end, b"half of a frame");
    }
}

/// A sender dropped without `finish` counts as a reset: its task may have panicked.
pub async fn a_dropped_sender_never_looks_like_the_end(subject: &Subject) {
    for role in BOTH {
        let pair = Pair::connect(subject).await;
        let ((mut tx, _rx), mut far) = role.sort(pair.lane().await);
        send(&mut *tx, Bytes::from_static(b"half of a frame")).await;
        drop(tx);
        expect_failure(&mut *far.1, b"half of a frame").await;
    }
}

/// When one side drops both halves of a lane, the other side's writer fails before long.
pub async fn an_abandoned_lane_fails_its_writer(subject: &Subject) {
    for role in BOTH {
        let pair = Pair::connect(subject).await;
        let (near, (mut writer, _reader)) = role.sort(pair.lane().await);
        drop(near);
        let chunk = Noise::new(12).bytes(64 * 1024);
        let writing = async { while writer.write(&mut [chunk.clone()]).await.is_ok() {} };
        within("the writer to fail", writing).await;
    }
}

/// `close` ends every read on both sides, and `closed` returns on both: at once where the transport
/// can tell, else when the lanes have been read to their end and dropped.
pub async fn close_ends_all_lanes_on_both_sides(subject: &Subject) {
    for role in BOTH {
        let pair = Pair::connect(subject).await;
        let mut lanes = vec![pair.lane().await];
        if role == Role::Dialler {
            // A lane that is a connection of its own can be closed only by the side that dialled.
            lanes.extend([pair.lane().await, pair.lane().await]);
        }
        let (near, far) = role.connections(&pair);
        near.close(CloseCode::GoingAway, "bye");
        for (dialled, accepted) in &mut lanes {
            let _however = tokio::join!(drain(&mut *dialled.1), drain(&mut *accepted.1));
        }
        drop(lanes);
        let reason = within("closed() on the closing side", near.closed()).await;
        assert!(matches!(reason, TransportError::ClosedLocally), "closed here, yet told: {reason}");
        within("closed() on the other side", far.closed()).await;
    }
}

/// After `close` nothing can be opened or written, no lane arrives, and the reason stays.
pub async fn after_close_nothing_works_and_the_reason_stays(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, mut rx), _far) = pair.lane().await;
    pair.dialler.close(CloseCode::Normal, "done");
    pair.dialler.close(CloseCode::Internal, "closing again changes nothing");
    assert!(within("write", tx.write(&mut [Bytes::from_static(b"x")])).await.is_err());
    assert!(!matches!(within("read", rx.read(1)).await, Ok(Some(_))));
    let opened = pair.dialler.open_lane(myrmidon::transport::LaneClass::Message);
    assert!(within("open a lane", opened).await.is_err());
    assert!(!matches!(within("accept a lane", pair.dialler.accept_lane()).await, Ok(Some(_))));
    for _ in 0..2 {
        let reason = within("closed()", pair.dialler.closed()).await;
        assert!(matches!(reason, TransportError::ClosedLocally), "{reason}");
    }
}

/// When one side drops the connection and all its lanes, the other side's reads end, its
/// `accept_lane` gives no lane, and its `closed` returns.
pub async fn dropping_everything_ends_the_connection(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let (dialled, mut accepted) = pair.lane().await;
    drop((dialled, pair.dialler));
    let _however = drain(&mut *accepted.1).await;
    drop(accepted);
    within("closed()", pair.acceptor.closed()).await;
    let lane = within("accept a lane", pair.acceptor.accept_lane()).await;
    assert!(!matches!(lane, Ok(Some(_))), "a lane came after the end");
}

const BOTH: [Role; 2] = [Role::Dialler, Role::Acceptor];

/// Which side acts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Dialler,
    Acceptor,
}

impl Role {
    /// The acting side's end first.
    fn sort(self, (dialled, accepted): (Lane, Lane)) -> (Lane, Lane) {
        match self {
            Self::Dialler => (dialled, accepted),
            Self::Acceptor => (accepted, dialled),
        }
    }

    fn connections(self, pair: &Pair) -> (&dyn Connection, &dyn Connection) {
        match self {
            Self::Dialler => (&*pair.dialler, &*pair.acceptor),
            Self::Acceptor => (&*pair.acceptor, &*pair.dialler),
        }
    }
}

async fn send_and_finish(tx: &mut dyn LaneSender, data: &[u8]) {
    send(tx, Bytes::copy_from_slice(data)).await;
    within("finish", tx.finish()).await.expect("finish");
}

/// The lane fails, after a part of `sent` at most.
async fn expect_failure(rx: &mut dyn LaneReceiver, sent: &[u8]) {
    let (got, end) = drain(rx).await;
    check_failure(&got, end, sent);
}

fn check_failure(got: &[u8], end: Result<(), TransportError>, sent: &[u8]) {
    assert!(sent.starts_with(got), "bytes that nobody sent");
    match end {
        Err(TransportError::Reset { .. } | TransportError::Lost(_)) => {}
        Err(other) => panic!("neither Reset nor Lost: {other}"),
        Ok(()) => panic!("an abandoned lane looked finished"),
    }
}
