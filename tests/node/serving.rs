//! What a node answers to a peer that speaks bare bytes, good and bad.

use std::time::Duration;

use bytes::Bytes;
use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::transport::{LaneClass, TransportError};
use myrmidon::wire::{Batch, CloseCode};
use tokio::time::Instant;

use crate::fake::{RawPeer, eventually, node, node_one, node_with, number, pid, soon};

#[tokio::test(start_paused = true)]
async fn questions_are_answered_in_order_however_the_bytes_are_split() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.register("database", pid(7));
    let mut asked = Batch::new();
    asked.ping();
    asked.resolve("database");
    asked.message(Some(pid(1)), number(1));
    asked.pong();
    asked.resolve("nobody");
    asked.ping();
    let asked = asked.take().concat();
    let answer = [&[3][..], &pid(7).as_u64().to_be_bytes(), &[0; 8], &[3]].concat();
    for size in 1..=asked.len() {
        let mut peer = RawPeer::dial(&network, &a.addr).await;
        for part in asked.chunks(size) {
            peer.say(Bytes::copy_from_slice(part)).await;
        }
        assert_eq!(peer.hear(answer.len()).await, answer, "in parts of {size}");
        assert_eq!(a.runtime.received().len(), size);
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_answered_before_a_finished_lane_is_closed() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.register("database", pid(7));
    let mut peer = RawPeer::dial(&network, &a.addr).await;
    let mut asked = Batch::new();
    asked.message(Some(pid(1)), number(1));
    asked.resolve("database");
    asked.ping();
    peer.say_batch(&mut asked).await;
    soon(peer.lane.0.finish()).await.unwrap();
    assert_eq!(peer.hear(9).await, [&pid(7).as_u64().to_be_bytes()[..], &[3]].concat());
    peer.hear_end().await;
    assert_eq!(a.runtime.received(), [(pid(1), number(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_delivered_when_its_sender_leaves_at_once() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    for n in 0..100 {
        let mut peer = RawPeer::dial(&network, &a.addr).await;
        let mut message = Batch::new();
        message.message(Some(pid(1)), number(n));
        peer.say_batch(&mut message).await;
        soon(peer.lane.0.finish()).await.unwrap();
    }
    a.runtime.wait_for(100).await;
}

#[tokio::test(start_paused = true)]
async fn l18_reserved_and_overlong_names_resolve_to_nobody() {
    let network = MemoryNetwork::new();
    let a = node_one(&network).await;
    for name in ["", "\0myrmidon/2?n=00112233445566778899aabbccddeeff", &"n".repeat(256), &"n".repeat(4096)] {
        a.runtime.register(name, pid(1));
        let mut peer = RawPeer::dial(&network, &a.addr).await;
        let mut asked = Batch::new();
        asked.resolve(name);
        peer.say_batch(&mut asked).await;
        assert_eq!(peer.hear(8).await, [0; 8]);
    }
}

#[tokio::test(start_paused = true)]
async fn bad_bytes_close_with_their_code_after_the_earlier_answers_and_others_are_served_on() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut other = RawPeer::dial(&network, &a.addr).await;
    let too_large = [&[0; 9][..], &u32::MAX.to_be_bytes()].concat();
    let long_name = [&[1][..], &4097u32.to_be_bytes()].concat();
    let bad: [(&[u8], CloseCode); 5] = [
        (&[4], CloseCode::UnknownType),
        (b"GET / HTTP/1.1\r\n\r\n", CloseCode::UnknownType),
        (&too_large, CloseCode::TooLarge),
        (&long_name, CloseCode::TooLarge),
        (&[1, 0, 0, 0, 1, 0xFF], CloseCode::Malformed),
    ];
    for (at, (bytes, code)) in bad.into_iter().enumerate() {
        let mut peer = RawPeer::dial(&network, &a.addr).await;
        let mut good = Batch::new();
        good.message(Some(pid(1)), number(at));
        good.ping();
        let good = good.take().concat();
        peer.say([&good, bytes].concat()).await;
        assert_eq!(peer.hear(1).await, [3]);
        peer.hear_end().await;
        let end = soon(peer.connection.closed()).await;
        assert!(
            matches!(end, TransportError::ClosedByPeer { code: c, .. } if c == u64::from(code.as_u16())),
            "{end}"
        );
        assert_eq!(a.runtime.received().len(), at + 1);
        other.say(&[2][..]).await;
        assert_eq!(other.hear(1).await, [3]);
    }
}

#[tokio::test(start_paused = true)]
async fn f05_a_lane_cut_at_any_byte_delivers_only_what_was_complete() {
    let network = MemoryNetwork::new();
    let mut frames = Batch::new();
    frames.message(Some(pid(1)), number(1));
    let first = frames.len();
    frames.resolve("database");
    frames.message(Some(pid(2)), number(2));
    let bytes: Bytes = frames.take().concat().into();
    for cut in 0..=bytes.len() {
        let a = node(&network).await;
        let mut peer = RawPeer::dial(&network, &a.addr).await;
        peer.say(bytes.slice(..cut)).await;
        soon(peer.lane.0.finish()).await.unwrap();
        while let Some(_answer) = soon(peer.lane.1.read(64)).await.unwrap() {}
        let complete = usize::from(cut >= first) + usize::from(cut == bytes.len());
        assert_eq!(a.runtime.received().len(), complete, "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn d12_a_frozen_scheduler_answers_no_ping_until_it_runs_again() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = RawPeer::dial(&network, &a.addr).await;
    a.runtime.freeze();
    peer.say(&[2][..]).await;
    let silence = tokio::time::timeout(Duration::from_secs(20), peer.lane.1.read(1)).await;
    assert!(silence.is_err(), "nobody ran, and a pong came");
    a.runtime.thaw();
    assert_eq!(peer.hear(1).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn l08_a_frame_that_never_ends_is_cut_off_and_an_idle_lane_is_not() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut idle = RawPeer::dial(&network, &a.addr).await;
    idle.say(&[2][..]).await;
    assert_eq!(idle.hear(1).await, [3]);
    let mut slow = RawPeer::dial(&network, &a.addr).await;
    let began = Instant::now();
    slow.say(&[0, 0, 0][..]).await;
    let end = soon(slow.connection.closed()).await;
    assert!(matches!(end, TransportError::ClosedByPeer { code: 0x11, .. }), "{end}");
    assert!((10..15).contains(&began.elapsed().as_secs()), "it came with less than a kilobyte a second");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    idle.say(&[2][..]).await;
    assert_eq!(idle.hear(1).await, [3]);
}

#[tokio::test(start_paused = true)]
async fn l07_connections_beyond_the_limit_are_closed_as_overload_until_one_ends() {
    let network = MemoryNetwork::new();
    let a = node_with(&network, NodeConfig { max_connections: 2, ..NodeConfig::default() }).await;
    let mut served = [RawPeer::dial(&network, &a.addr).await, RawPeer::dial(&network, &a.addr).await];
    for peer in &mut served {
        peer.say(&[2][..]).await;
        assert_eq!(peer.hear(1).await, [3]);
    }
    let refused = RawPeer::dial(&network, &a.addr).await;
    let end = soon(refused.connection.closed()).await;
    assert!(matches!(end, TransportError::ClosedByPeer { code: 0x24, .. }), "{end}");
    drop(served);
    eventually("there is room again", async || {
        let mut peer = RawPeer::dial(&network, &a.addr).await;
        peer.lane.0.write(&mut [Bytes::from_static(&[2])]).await.is_ok()
            && matches!(peer.lane.1.read(1).await, Ok(Some(_)))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_no_answers_blocks_nobody_and_is_cut_off() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut greedy = RawPeer::dial(&network, &a.addr).await;
    let began = Instant::now();
    let questions = tokio::spawn(async move {
        let mut asked = Batch::new();
        while asked.len() < 60_000 {
            asked.resolve("n");
        }
        let asked: Bytes = asked.take().concat().into();
        while greedy.lane.0.write(&mut [asked.clone()]).await.is_ok() {}
        greedy.connection.closed().await
    });
    let mut modest = RawPeer::dial(&network, &a.addr).await;
    while !questions.is_finished() {
        modest.say(&[2][..]).await;
        assert_eq!(modest.hear(1).await, [3]);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(began.elapsed() < Duration::from_secs(300));
    }
    let end = questions.await.unwrap();
    assert!(matches!(end, TransportError::ClosedByPeer { code: 0x24, .. }), "{end}");
}

#[tokio::test(start_paused = true)]
async fn l17_questions_beyond_the_rate_are_delayed_and_messages_are_not() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = RawPeer::dial(&network, &a.addr).await;
    let began = Instant::now();
    peer.say(vec![2; 5000]).await;
    peer.hear(5000).await;
    assert!((2900..3100).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let (mut messages, before) = (Batch::new(), Instant::now());
    (0..5000).for_each(|n| messages.message(Some(pid(1)), number(n)));
    let mut other = RawPeer::dial(&network, &a.addr).await;
    other.say_batch(&mut messages).await;
    a.runtime.wait_for(5000).await;
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn lanes_of_one_connection_are_served_side_by_side() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = RawPeer::dial(&network, &a.addr).await;
    peer.say(&[0, 0, 0][..]).await;
    for _ in 0..200 {
        let (mut sender, mut receiver) = soon(peer.connection.open_lane(LaneClass::Heartbeat)).await.unwrap();
        soon(sender.write(&mut [Bytes::from_static(&[2])])).await.unwrap();
        assert_eq!(soon(receiver.read(1)).await.unwrap().unwrap()[..], [3]);
        sender.finish().await.unwrap();
        assert_eq!(soon(receiver.read(1)).await.unwrap(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_for_pid_zero_reaches_nobody_and_harms_nobody() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = RawPeer::dial(&network, &a.addr).await;
    let mut frames = Batch::new();
    frames.message(None, number(1));
    frames.ping();
    peer.say_batch(&mut frames).await;
    assert_eq!(peer.hear(1).await, [3]);
    assert!(a.runtime.received().is_empty());
}
