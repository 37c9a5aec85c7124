//! Lanes are separate streams.

use bytes::Bytes;
use myrmidon::transport::LaneClass;

use crate::noise::Noise;
use crate::pair::{expect_exactly, receive, send};
use crate::{Pair, Subject, within};

/// Sixteen lanes, written in turns, each carry their own bytes and nothing else.
pub async fn lanes_do_not_mix(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let mut lanes = vec![];
    for _ in 0..16 {
        lanes.push(pair.lane().await);
    }
    for round in 0..10_u8 {
        for (number, ((tx, _), _)) in lanes.iter_mut().enumerate() {
            send(&mut **tx, vec![number as u8, round].into()).await;
        }
    }
    for (number, ((mut tx, _rx), (_back, mut there))) in lanes.into_iter().enumerate() {
        within("finish", tx.finish()).await.expect("finish");
        let expected: Vec<u8> = (0..10).flat_map(|round| [number as u8, round]).collect();
        expect_exactly(&mut *there, &expected).await;
    }
}

/// A lane of each class can be opened and carries bytes both ways.
pub async fn every_class_is_carried(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    for class in [LaneClass::Control, LaneClass::Message, LaneClass::Heartbeat, LaneClass::Bulk] {
        let ((mut tx, mut rx), (mut back, mut there)) = pair.lane_of(class).await;
        send(&mut *tx, Bytes::from_static(b"there")).await;
        assert_eq!(receive(&mut *there, 5).await, b"there");
        send(&mut *back, Bytes::from_static(b"back")).await;
        assert_eq!(receive(&mut *rx, 4).await, b"back");
    }
}

/// A lane that nobody reads fills up and stalls alone: the others still carry megabytes.
pub async fn an_unread_lane_does_not_stall_the_others(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut stalled, _rx), (_back, _unread)) = pair.lane().await;
    let flood = tokio::spawn(async move {
        let chunk = Noise::new(8).bytes(64 * 1024);
        while stalled.write(&mut [chunk.clone()]).await.is_ok() {}
    });
    let data = Noise::new(9).bytes(2 << 20);
    for _ in 0..4 {
        let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
        let (sent, expected) = (data.clone(), data.clone());
        let writing = async move {
            send(&mut *tx, sent).await;
            tx.finish().await.expect("finish");
            tx
        };
        tokio::join!(writing, expect_exactly(&mut *there, &expected));
    }
    flood.abort();
}

/// Accepting lanes that is given up again and again loses no lane.
pub async fn accepting_lanes_is_cancel_safe(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let mut opened = vec![];
    let opening = async {
        for number in 0..20_u8 {
            let (mut tx, rx) = pair.dialler.open_lane(LaneClass::Message).await.expect("open a lane");
            send(&mut *tx, vec![number].into()).await;
            opened.push((tx, rx));
            tokio::task::yield_now().await;
        }
    };
    let mut numbers = vec![];
    let accepting = async {
        while numbers.len() < 20 {
            tokio::select! {
                biased;
                (_tx, mut rx) = pair.accept_lane() => numbers.push(receive(&mut *rx, 1).await[0]),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    within("twenty lanes", async { tokio::join!(opening, accepting) }).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<u8>>());
}

/// The accepting side may be refused a lane of its own, at once; the connection does not suffer.
pub async fn only_the_dialler_has_to_open_lanes(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let ((mut tx, _rx), (_back, mut there)) = pair.lane().await;
    let own = within("an answer", pair.acceptor.open_lane(LaneClass::Message)).await;
    drop(own);
    send(&mut *tx, Bytes::from_static(b"x")).await;
    assert_eq!(receive(&mut *there, 1).await, b"x");
}
