//! Receivers of one lane take turns, and none of them has all of the queue.

use std::time::Duration;

use bytes::Bytes;
use myrmidon::config::NodeConfig;
use myrmidon::node::RemoteSendError;
use myrmidon::transport::memory::MemoryNetwork;
use tokio::time::Instant;

use crate::fake::{Running, node, node_with, number, pid, soon};

const LONG: usize = 4 << 10;

/// Two nodes with one lane for all messages, that are connected.
async fn pair(config: NodeConfig) -> (Running, Running) {
    let network = MemoryNetwork::new();
    let config = NodeConfig { message_lanes: 1, ..config };
    let (a, b) = (node_with(&network, config).await, node(&network).await);
    assert!(a.node.is_up(&b.addr).await);
    (a, b)
}

/// Sends to one actor until no more is taken; how many messages.
fn flood(a: &Running, b: &Running, index: u32) -> usize {
    let mut taken = 0;
    loop {
        let mut data = number(taken).to_vec();
        data.resize(LONG, 0);
        match a.node.try_send(&b.addr, pid(index), Bytes::from(data)) {
            Ok(()) => taken += 1,
            Err(RemoteSendError::Busy { .. }) => return taken,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The numbers that came for one actor.
fn numbers(received: &[(myrmidon::Pid, Bytes)], index: u32) -> Vec<Bytes> {
    let own = received.iter().filter(|(to, _)| *to == pid(index));
    own.map(|(_, data)| data.slice(..number(0).len())).collect()
}

#[tokio::test(start_paused = true)]
async fn l12_a_backlog_of_one_receiver_delays_another_of_its_lane_by_a_turn() {
    let (a, b) = pair(NodeConfig::default()).await;
    let taken = flood(&a, &b, 1);
    for n in 0..10 {
        a.node.try_send(&b.addr, pid(2), number(n)).unwrap();
    }
    let received = b.runtime.wait_for(taken + 10).await;
    let last = received.iter().rposition(|(to, _)| *to == pid(2)).unwrap();
    // What was written at once or waited as it came, and two turns.
    assert!(taken > 500 && last < 60, "{last} of {taken}");
    for (index, count) in [(1, taken), (2, 10)] {
        assert_eq!(numbers(&received, index), (0..count).map(number).collect::<Vec<_>>(), "G2");
    }
    assert_eq!(a.node.peers()[0].queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn l10_l12_no_receiver_takes_all_of_the_queue_and_who_waits_for_it_gets_room() {
    let (a, b) = pair(NodeConfig { outbound_messages: 100, ..NodeConfig::default() }).await;
    let mut taken = vec![flood(&a, &b, 1)];
    let (node, addr) = (a.node.clone(), b.addr.clone());
    let waiting = tokio::spawn(async move { node.send(&addr, pid(1), Bytes::from(vec![0; LONG])).await });
    for index in 2..10 {
        let more = flood(&a, &b, index);
        assert!(more > 0 && more <= taken[0], "{index}: {more} of {taken:?}");
        taken.push(more);
    }
    soon(waiting).await.unwrap().unwrap();
    let received = b.runtime.wait_for(taken.iter().sum::<usize>() + 1).await;
    for (index, count) in (1..).zip(&taken).skip(1) {
        assert_eq!(numbers(&received, index), (0..*count).map(number).collect::<Vec<_>>(), "G2");
    }
}

#[tokio::test(start_paused = true)]
async fn l10_l12_who_is_woken_and_finds_room_for_others_only_tells_the_next() {
    const MOST: usize = 30;
    let network = MemoryNetwork::new();
    let full = NodeConfig { message_lanes: 1, outbound_messages: MOST, ..NodeConfig::default() };
    // What is left of the queue beside the part of one receiver is written in one batch.
    let small = NodeConfig { credit_messages: 40, actor_messages: 20, ..NodeConfig::default() };
    let (a, b) = (node_with(&network, full).await, node_with(&network, small).await);
    assert!(a.node.is_up(&b.addr).await);
    b.runtime.fill(pid(1), true);
    let queued = || a.node.peers()[0].queued_messages;
    let (mut before, mut round) = (usize::MAX, 0);
    while before != queued() || queued() == 0 {
        before = queued();
        flood(&a, &b, 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        round += 1;
        assert!(round < 100, "it is never spared");
    }
    let (held, mut index) = (queued(), 2);
    while a.node.try_send(&b.addr, pid(index), number(0)).is_ok() {
        index += 1;
    }
    assert!(held < MOST && queued() == MOST, "{held} of {}", queued());
    let start = Instant::now();
    let send = |index| a.node.send(&b.addr, pid(index), number(0));
    let mut for_the_dead = Box::pin(send(1));
    let mut for_another = Box::pin(send(2));
    tokio::select! {
        biased;
        _ = &mut for_the_dead => panic!("there is no room for it"),
        sent = &mut for_another => sent.unwrap(),
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn l12_f17_an_actor_that_reads_nothing_has_neither_the_queue_nor_the_credit_of_the_others() {
    let network = MemoryNetwork::new();
    let (small, lane) = (NodeConfig::default(), NodeConfig { message_lanes: 1, ..NodeConfig::default() });
    let small = NodeConfig { credit_messages: 20, actor_messages: 20, ..small };
    let (a, b) = (node_with(&network, lane).await, node_with(&network, small).await);
    assert!(a.node.is_up(&b.addr).await);
    b.runtime.fill(pid(1), true);
    let dead = flood(&a, &b, 1);
    for n in 0..500 {
        soon(a.node.send(&b.addr, pid(2), number(n))).await.unwrap();
    }
    let received = b.runtime.wait_for(500).await;
    let before = numbers(&received, 1).len();
    assert!(before < 100, "{before} of {dead} came for the one that reads nothing");
    b.runtime.fill(pid(1), false);
    let received = b.runtime.wait_for(500 + dead).await;
    assert_eq!(numbers(&received, 1), (0..dead).map(number).collect::<Vec<_>>(), "G1, G2");
    assert_eq!(numbers(&received, 2), (0..500).map(number).collect::<Vec<_>>(), "G1, G2");
}
