//! Connections that cannot be made, break, or end.

use std::time::Duration;

use bytes::Bytes;
use myrmidon::config::NodeConfig;
use myrmidon::node::{Node, PeerInfo, RemoteSendError, ResolveError};
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;

use crate::fake::{RawPeer, accept_lane, eventually, listen, node, node_at, node_one, number, pid, soon};

#[tokio::test(start_paused = true)]
async fn l28_after_a_failure_operations_fail_at_once_until_the_pause_is_over() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let addr = NodeAddr::new("absent", 1);
    let error = a.node.resolve(&addr, "database").await.unwrap_err();
    assert!(matches!(error, ResolveError::NoConnection { .. }), "{error}");
    // Full jitter may make a pause very short; a few failures in a row make it last.
    let refused = loop {
        match a.node.try_send(&addr, pid(1), number(1)) {
            Err(error) => break error,
            Ok(()) => assert_eq!(a.node.flush(Duration::from_secs(1)).await, 0),
        }
    };
    assert!(matches!(&refused, RemoteSendError::NoConnection { message, .. } if *message == number(1)));
    assert!(refused.to_string().contains("nobody listens there"), "{refused}");
    eventually("the gate opens", async || a.node.try_send(&addr, pid(1), number(1)).is_ok()).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_appears_is_reached_on_the_next_use() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let addr = NodeAddr::new("localhost", 7000);
    for _ in 0..20 {
        let _ = a.node.resolve(&addr, "database").await;
    }
    let b = node_at(&network, &addr, NodeConfig::default()).await;
    b.runtime.register("database", pid(7));
    let found =
        eventually("it resolves", async || a.node.resolve(&addr, "database").await == Ok(Some(pid(7))));
    let pause = tokio::time::timeout(Duration::from_millis(600), found).await;
    assert!(pause.is_ok(), "loopback peers are dialled again within 500 ms");
}

#[tokio::test(start_paused = true)]
async fn d11_a_broken_lane_loses_what_was_not_written_counts_it_and_sends_nothing_twice() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_one(&network).await;
    let payload = Bytes::from(vec![1; 100 << 10]);
    for _ in 0..10 {
        a.node.try_send(&addr, pid(1), payload.clone()).unwrap();
    }
    let asked = tokio::spawn({
        let (node, addr) = (a.node.clone(), addr.clone());
        async move { node.resolve(&addr, "database").await }
    });
    let (connection, lane) = accept_lane(&mut listener).await;
    let mut peer = RawPeer { connection, lane };
    peer.hear(1000).await;
    network.cut(&addr);

    let error = soon(asked).await.unwrap().unwrap_err();
    assert!(matches!(error, ResolveError::NoConnection { .. }), "{error}");
    assert_eq!(a.node.flush(Duration::from_secs(1)).await, 0);
    let info = only_peer(&a.node);
    assert_eq!((info.sent, info.dead_letters, info.connected), (0, 10, false));

    eventually("it is sent", async || a.node.try_send(&addr, pid(2), number(2)).is_ok()).await;
    let (connection, lane) = accept_lane(&mut listener).await;
    let heard = RawPeer { connection, lane }.hear(13 + 8).await;
    assert_eq!(heard[1..9], pid(2).as_u64().to_be_bytes(), "only the new message comes");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_idle_connections_loses_nothing() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_one(&network).await;
    for n in 0..20 {
        a.node.try_send(&addr, pid(1), number(n)).unwrap();
        let (connection, lane) = accept_lane(&mut listener).await;
        let mut peer = RawPeer { connection, lane };
        assert_eq!(peer.hear(21).await[13..], number(n));
        soon(peer.lane.0.finish()).await.unwrap();
        eventually("the end is seen", async || !only_peer(&a.node).connected).await;
    }
    let info = only_peer(&a.node);
    assert_eq!((info.sent, info.dead_letters), (20, 0));
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_asked_for_end_the_lane() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_one(&network).await;
    a.node.try_send(&addr, pid(1), number(1)).unwrap();
    let (connection, lane) = accept_lane(&mut listener).await;
    let mut peer = RawPeer { connection, lane };
    peer.hear(21).await;
    peer.say(&[3][..]).await;
    eventually("the lane ends", async || !only_peer(&a.node).connected).await;
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_goes_to_nobody_and_the_next_one_to_its_asker() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_one(&network).await;
    let error = a.node.resolve(&addr, "slow").await.unwrap_err();
    assert!(matches!(error, ResolveError::Timeout { .. }), "{error}");
    let (connection, lane) = accept_lane(&mut listener).await;
    let mut peer = RawPeer { connection, lane };
    peer.hear(9).await;
    let next = tokio::spawn(async move { a.node.resolve(&addr, "next").await });
    peer.hear(9).await;
    peer.say([pid(1).as_u64().to_be_bytes(), pid(2).as_u64().to_be_bytes()].concat()).await;
    assert_eq!(soon(next).await.unwrap(), Ok(Some(pid(2))));
}

#[tokio::test(start_paused = true)]
async fn f08_a_restarted_node_is_used_again() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let addr = b.addr.clone();
    a.node.send(&addr, pid(1), number(1)).await.unwrap();
    b.runtime.wait_for(1).await;
    b.kill(&network).await;
    let b = node_at(&network, &addr, NodeConfig::default()).await;
    eventually("it resolves again", async || a.node.resolve(&addr, "nobody").await == Ok(None)).await;
    a.node.send(&addr, pid(1), number(2)).await.unwrap();
    assert_eq!(b.runtime.wait_for(1).await, [(pid(1), number(2))]);
}

fn only_peer(node: &Node) -> PeerInfo {
    node.peers().pop().unwrap()
}
