//! What a link holds for a peer that reads nothing: no more memory than is counted, however many receivers it is for
//! (L09, L10). A test of its own, as it counts what the whole process allocates.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;
#[path = "common/counting.rs"]
mod counting;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use common::start;
use counting::LIVE;
use myrmidon::Pid;
use myrmidon::config::NodeConfig;
use myrmidon::node::RemoteSendError;
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::transport::{Lane, Transport};
use myrmidon::wire::Batch;
use myrmidon::wire::level2::{Decoder, Frame, Hello, HelloAck, Id, Monitor, Probe, Text16};

/// Of a message with 8 bytes and a receiver of its own.
const OF_MESSAGE: i64 = 400;
/// What the peer makes the node say may take so much.
const MOST: i64 = 64 << 20;

async fn say(lane: &mut Lane, frame: Frame) {
    let mut batch = Batch::new();
    batch.frame(frame);
    lane.0.write(&mut batch.take()).await.unwrap();
}

/// Has the link that the runtime dials, without credit and message lanes.
async fn greet(lane: &mut Lane) {
    let probe = 5 + Probe { link: Id::NONE }.name().len();
    let mut heard = 0;
    while heard < probe {
        heard += lane.1.read(probe - heard).await.unwrap().unwrap().len();
    }
    lane.0.write(&mut [Bytes::from_static(&[0xFF, 0xFF, 0x4D, 0x32, 0, 2, 0, 0])]).await.unwrap();
    let mut decoder = Decoder::new(1 << 20);
    let hello = hear(lane, &mut decoder).await;
    let Frame::Hello(theirs) = hello else { panic!("{hello:?}") };
    let hello = Hello {
        node: Id([9; 16]),
        link: theirs.link,
        caps: 7,
        credit_msgs: 0,
        heartbeat_ms: 60_000,
        ..Hello::default()
    };
    say(lane, Frame::HelloAck(Box::new(HelloAck { hello, other: Id::NONE, key: Id::NONE }))).await;
    let ready = hear(lane, &mut decoder).await;
    assert!(matches!(ready, Frame::Ready(_)), "{ready:?}");
}

async fn hear(lane: &mut Lane, decoder: &mut Decoder) -> Frame {
    loop {
        if let Some(frame) = decoder.next_frame().unwrap() {
            return frame;
        }
        decoder.feed(lane.1.read(1 << 16).await.unwrap().unwrap());
    }
}

#[test]
fn l09_l10_what_waits_for_many_receivers_takes_no_more_memory_than_is_counted() {
    let network = MemoryNetwork::new();
    let here = start(
        &network,
        NodeConfig {
            outbound_bytes: 1 << 20,
            // What the words may take depends on it, and it depends on the machine.
            queue_bytes: 512 << 20,
            // The peer answers no ping, however long a slow machine takes for what follows.
            down_after: Duration::from_secs(600),
            ..NodeConfig::default()
        },
    );
    let io = here.io().clone();
    let mut listener = io.block_on(MemoryTransport::new(&network).bind(&"far:0".parse().unwrap())).unwrap();
    let addr = listener.local_addr();
    let node = here.node().clone();
    let first = {
        let (node, addr) = (node.clone(), addr.clone());
        io.spawn(async move { node.send(&addr, Pid::new(7, 0).unwrap(), "x".into()).await.map_err(drop) })
    };
    let connection = io.block_on(listener.accept()).unwrap();
    let mut lane = io.block_on(connection.accept_lane()).unwrap().unwrap();
    io.block_on(greet(&mut lane));
    io.block_on(first).unwrap().unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    let mut taken = 0u32;
    loop {
        match node.try_send(&addr, Pid::new(7, taken + 1).unwrap(), Bytes::from_static(b"12345678")) {
            Ok(()) => taken += 1,
            Err(RemoteSendError::Busy { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let held = LIVE.load(Ordering::Relaxed) - before;
    assert!(held < i64::from(taken) * OF_MESSAGE, "{held} bytes for {taken} messages");

    // The end of an actor is told to each of those that watch it.
    let (mut said, mut most) = (0, 0);
    io.block_on(async {
        loop {
            let mut batch = Batch::new();
            for _ in 0..1000 {
                said += 1;
                let (to, from, name) = (Pid::new(7, 1), Pid::new(9, said), Text16::default());
                batch.frame(Frame::Monitor(Monitor { id: said.into(), to, from, name }));
            }
            let mut parts = batch.take();
            if lane.0.write(&mut parts).await.is_err() {
                break;
            }
            most = most.max(LIVE.load(Ordering::Relaxed) - before - held);
        }
    });
    assert!((MOST / 2..MOST + MOST / 8).contains(&most), "{most} bytes, cut off after {said}");
    println!("{taken} messages: {} bytes each; {said} words: {most} bytes", held / i64::from(taken));
}
