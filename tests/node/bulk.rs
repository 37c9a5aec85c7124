//! Large payloads of a peer that speaks bare bytes.

use std::time::Duration;

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::transport::{CloseCode, LaneSender};
use myrmidon::wire::level2::{Bulk, Chunk, Frame};

use crate::fake::{node, pid, soon};
use crate::greetings::{Peer, encoded};

/// The length of a payload, and the data of a chunk.
const TOTAL: u64 = 600;
const STEP: u64 = 250;

fn to() -> Option<Pid> {
    Some(pid(1))
}

fn announcement(bulk: u64) -> Frame {
    Frame::Bulk(Bulk { bulk, to: to(), kind: 0, rid: 0, from: None, left_ms: u32::MAX, total: TOTAL })
}

fn payload(bulk: u64) -> Bytes {
    (0..TOTAL).map(|n| (n + bulk) as u8).collect()
}

/// `len` bytes of a payload, from `offset` on.
fn chunk(bulk: u64, offset: u64, len: u64) -> Vec<u8> {
    let data = payload(bulk).slice(offset as usize..(offset + len) as usize);
    encoded(Frame::Chunk(Chunk { bulk, to: to(), total: TOTAL, offset, data }))
}

fn chunks(bulk: u64) -> Vec<u8> {
    let offsets = (0..TOTAL).step_by(STEP as usize);
    offsets.flat_map(|offset| chunk(bulk, offset, STEP.min(TOTAL - offset))).collect()
}

async fn write(lane: &mut Box<dyn LaneSender>, bytes: &[u8]) {
    soon(lane.write(&mut [Bytes::copy_from_slice(bytes)])).await.unwrap();
    // On the paused clock: until everything that was written has taken effect.
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn f05_a_large_payload_arrives_whole_wherever_its_bytes_are_split() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let (mut peer, (mut lane, _receiver)) = Peer::up_with_bulk(&network, &a).await;
    let len = chunks(0).len();
    for split in 1..len {
        let bulk = split as u64;
        peer.say([announcement(bulk)]).await;
        let bytes = chunks(bulk);
        write(&mut lane, &bytes[..split]).await;
        assert_eq!(a.runtime.received().len(), split - 1, "nothing before all of it is here");
        write(&mut lane, &bytes[split..]).await;
        let received = a.runtime.wait_for(split).await;
        assert_eq!(received[split - 1], (pid(1), payload(bulk)), "split at {split}");
    }
    // Two that take turns in the middle of each other.
    let (one, other) = (1000, 1001);
    peer.say([announcement(one), announcement(other)]).await;
    for offset in (0..TOTAL).step_by(100) {
        for bulk in [one, other] {
            write(&mut lane, &chunk(bulk, offset, 100)).await;
        }
    }
    let received = a.runtime.wait_for(len + 1).await;
    assert_eq!(received[len - 1..], [(pid(1), payload(one)), (pid(1), payload(other))]);
}

#[tokio::test(start_paused = true)]
async fn f05_of_a_large_payload_that_is_cut_nothing_arrives() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let len = chunks(1).len();
    for cut in (1..len).step_by(37) {
        let (mut peer, (mut lane, receiver)) = Peer::up_with_bulk(&network, &a).await;
        peer.say([announcement(1)]).await;
        write(&mut lane, &chunks(1)[..cut]).await;
        drop((lane, receiver));
        while let Ok(Some(_)) = soon(peer.raw.lane.1.read(1000)).await {}
        assert!(a.runtime.received().is_empty(), "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn l11_a_chunk_that_is_not_where_it_belongs_ends_the_link() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let too_long = {
        let data = Bytes::from(vec![0; TOTAL as usize + 1]);
        encoded(Frame::Chunk(Chunk { bulk: 1, to: to(), total: TOTAL, offset: 0, data }))
    };
    // On the bulk lane, and then on control, in the middle of what is read of the first.
    let head = chunk(1, 0, STEP)[..100].to_vec();
    let cases = [
        (too_long, vec![]),
        (chunk(1, 1, STEP), vec![]),
        ([chunk(1, 0, STEP), chunk(1, 0, STEP)].concat(), vec![]),
        (head.clone(), chunk(1, 56, 10)),
        (head, chunk(1, 0, 10)),
    ];
    for (n, (on_bulk, on_control)) in cases.into_iter().enumerate() {
        let (mut peer, (mut lane, _receiver)) = Peer::up_with_bulk(&network, &a).await;
        peer.say([announcement(1)]).await;
        write(&mut lane, &on_bulk).await;
        peer.raw.say(on_control).await;
        assert_eq!(peer.code().await, CloseCode::Malformed.as_u16(), "case {n}");
        assert!(a.runtime.received().is_empty());
    }
}
