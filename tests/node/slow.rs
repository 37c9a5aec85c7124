//! Peers on slow paths (L08).

use std::time::Duration;

use bytes::Bytes;
use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::transport::{CloseCode, LaneSender};
use myrmidon::wire::level2::{Bulk, Chunk, Frame};
use tokio::time::sleep;

use crate::fake::{Running, node_with, pid, soon};
use crate::greetings::{Peer, encoded};

/// The data of one CHUNK, which is a whole payload.
const CHUNK: usize = 256 << 10;
const SECOND: Duration = Duration::from_secs(1);

/// A node whose pings need no answer, so that only the pace of the bulk lane decides.
async fn patient(network: &MemoryNetwork) -> Running {
    node_with(network, NodeConfig { down_after: Duration::from_secs(3600), ..NodeConfig::default() }).await
}

/// The payload, and the CHUNK of it.
async fn announce(peer: &mut Peer) -> (Bytes, Bytes) {
    let (to, total) = (Some(pid(1)), CHUNK as u64);
    peer.say([Frame::Bulk(Bulk { bulk: 1, to, kind: 0, rid: 0, from: None, left_ms: 0, total })]).await;
    let data: Bytes = (0..CHUNK).map(|n| n as u8).collect();
    let chunk = encoded(Frame::Chunk(Chunk { bulk: 1, to, total, offset: 0, data: data.clone() }));
    (data, chunk.into())
}

async fn write(lane: &mut Box<dyn LaneSender>, bytes: Bytes) {
    soon(lane.write(&mut [bytes])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn l08_a_chunk_that_comes_with_1_kib_a_second_arrives_however_long_it_takes() {
    let network = MemoryNetwork::new();
    let a = patient(&network).await;
    let (mut peer, (mut lane, _receiver)) = Peer::up_with_bulk(&network, &a).await;
    let (data, mut chunk) = announce(&mut peer).await;
    while !chunk.is_empty() {
        sleep(SECOND).await;
        write(&mut lane, chunk.split_to(chunk.len().min(1 << 10))).await;
    }
    assert!(a.runtime.wait_for(1).await == [(pid(1), data)]);
}

#[tokio::test(start_paused = true)]
async fn l08_a_chunk_of_which_nothing_more_comes_ends_the_link_however_much_came() {
    let network = MemoryNetwork::new();
    for came in [100, CHUNK / 2] {
        let a = patient(&network).await;
        let (mut peer, (mut lane, _receiver)) = Peer::up_with_bulk(&network, &a).await;
        let (_, chunk) = announce(&mut peer).await;
        write(&mut lane, chunk.slice(..came)).await;
        // Pings are not answered, and are what comes meanwhile.
        assert_eq!(peer.code().await, CloseCode::Timeout.as_u16(), "after {came} bytes");
        assert!(a.runtime.received().is_empty());
    }
}
