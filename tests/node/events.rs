//! What a node says of others: who comes, goes, stalls and recovers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use myrmidon::actor::{NodeEvent, NodeState};
use myrmidon::config::{Level, NodeConfig};
use myrmidon::node::{Node, NodeInfo, NodeWatch};
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::wire::level2::{Frame, Goaway, Info, Text16};
use myrmidon::wire::{Batch, CloseCode};
use tokio::time::Instant;

use crate::fake::{accept_lane, eventually, listen, node, node_one, node_with, number, pid};
use crate::greetings::Peer;

/// Follows a node and keeps what it says.
struct Follower {
    seen: Arc<Mutex<Vec<NodeEvent>>>,
    _watch: NodeWatch,
}

impl Follower {
    fn of(node: &Node) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let watch = node.on_event(move |event| told.lock().unwrap().push(event.clone()));
        Self { seen, _watch: watch }
    }

    fn seen(&self) -> Vec<NodeEvent> {
        self.seen.lock().unwrap().clone()
    }

    fn names(&self) -> Vec<&'static str> {
        self.seen().iter().map(|event| event.state.name()).collect()
    }

    /// Waits until exactly these have been told.
    async fn wait_for(&self, names: &[&str]) -> Vec<NodeEvent> {
        eventually(&format!("{names:?}"), async || self.names() == names).await;
        self.seen()
    }
}

/// Long enough for every clock of the mesh.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

fn only(node: &Node) -> NodeInfo {
    let nodes = node.nodes();
    let [only] = &nodes[..] else { panic!("{nodes:?}") };
    only.clone()
}

fn info(python_age_ms: u32) -> Frame {
    Frame::Info(Info { python_age_ms, scheduler_lag_ms: 0, data: bytes::Bytes::new() })
}

#[tokio::test(start_paused = true)]
async fn d12_a_node_that_comes_and_leaves_is_told_to_both_sides() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let (at_a, at_b) = (Follower::of(&a.node), Follower::of(&b.node));
    a.node.ping(&b.addr).await.unwrap();
    let seen = at_a.wait_for(&["up"]).await;
    assert_eq!((&seen[0].addr, &seen[0].state), (&b.addr, &NodeState::Up));
    at_b.wait_for(&["up"]).await;
    let (there, here) = (only(&a.node), only(&b.node));
    assert_eq!((there.level, there.node, there.incarnation), (Level::Two, seen[0].node, seen[0].incarnation));
    assert!(there.round_trip.is_some() && there.state == NodeState::Up);
    assert_ne!(there.node, here.node, "each sees the other");
    a_while().await;
    assert_eq!(b.node.shutdown(Duration::from_secs(5)).await, 0);
    let seen = at_a.wait_for(&["up", "left"]).await;
    assert_eq!((seen[0].incarnation, &seen[1].addr), (seen[1].incarnation, &b.addr));
    assert_eq!((only(&a.node).state, only(&a.node).round_trip), (NodeState::Left, None));
    assert_eq!(at_b.names(), ["up"], "a node that leaves has nothing to say of others");
}

#[tokio::test(start_paused = true)]
async fn f01_a_process_that_dies_has_crashed_and_its_next_life_is_another_one() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let (follower, addr) = (Follower::of(&a.node), b.addr.clone());
    a.node.ping(&addr).await.unwrap();
    b.kill(&network).await;
    follower.wait_for(&["up", "crashed"]).await;
    let b = crate::fake::node_at(&network, &addr, NodeConfig::default()).await;
    eventually("it is reached", async || a.node.is_up(&b.addr).await).await;
    let seen = follower.wait_for(&["up", "crashed", "up"]).await;
    assert_ne!(seen[0].incarnation, seen[2].incarnation);
    assert_eq!(only(&a.node).state, NodeState::Up, "the earlier life at that address is forgotten");
}

#[tokio::test(start_paused = true)]
async fn f04_a_silent_peer_stalls_and_is_then_unreachable() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let follower = Follower::of(&a.node);
    let began = Instant::now();
    let _silent = Peer::up(&network, &a).await;
    let seen = follower.wait_for(&["up", "stalled", "unreachable"]).await;
    assert!((4..=6).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(seen[2].state, NodeState::Unreachable("nothing was heard for 5s".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn d12_a_peer_that_closes_over_an_error_is_not_called_dead() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let follower = Follower::of(&a.node);
    let mut peer = Peer::up(&network, &a).await;
    let reason = Text16::from("it said something bad");
    peer.say([Frame::Goaway(Goaway { code: CloseCode::Malformed.as_u16(), reason })]).await;
    let seen = follower.wait_for(&["up", "unreachable"]).await;
    assert!(seen[1].state.to_string().contains("0x21: it said something bad"), "{}", seen[1].state);
}

#[tokio::test(start_paused = true)]
async fn d12_a_frozen_scheduler_stalls_and_recovers_and_the_link_stays() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let follower = Follower::of(&a.node);
    a.node.ping(&b.addr).await.unwrap();
    b.runtime.freeze();
    // Its pings to us go on, which shows that the process lives.
    let seen = follower.wait_for(&["up", "stalled"]).await;
    assert_eq!(seen[1].state, NodeState::Stalled("its scheduler does not answer".to_owned()));
    assert!(a.node.peers()[0].stalled && only(&a.node).state == seen[1].state);
    a_while().await;
    b.runtime.thaw();
    follower.wait_for(&["up", "stalled", "recovered"]).await;
    assert!(!a.node.peers()[0].stalled && only(&a.node).state == NodeState::Up);
    a.node.send(&b.addr, pid(1), number(1)).await.unwrap();
    b.runtime.wait_for(1).await;
}

#[tokio::test(start_paused = true)]
async fn f24_handlers_that_do_not_run_are_told_to_every_peer_within_three_seconds_and_cleared_likewise() {
    let network = MemoryNetwork::new();
    let (a, b, c) = (node(&network).await, node(&network).await, node(&network).await);
    let followers = [Follower::of(&a.node), Follower::of(&c.node)];
    a.node.ping(&b.addr).await.unwrap();
    b.node.ping(&c.addr).await.unwrap();
    b.runtime.stick(Some(Duration::from_millis(2500)));
    let began = Instant::now();
    for follower in &followers {
        let seen = follower.wait_for(&["up", "stalled"]).await;
        let expected = "its Python handlers have not run for 2.5s".to_owned();
        assert_eq!(seen[1].state, NodeState::Stalled(expected));
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    // Who comes later is told too.
    let d = node(&network).await;
    let late = Follower::of(&d.node);
    d.node.ping(&b.addr).await.unwrap();
    late.wait_for(&["up", "stalled"]).await;
    b.runtime.stick(None);
    let began = Instant::now();
    for follower in followers.iter().chain([&late]) {
        follower.wait_for(&["up", "stalled", "recovered"]).await;
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn f24_two_causes_are_one_stall_and_it_ends_with_the_last() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let follower = Follower::of(&a.node);
    let mut peer = Peer::up(&network, &a).await;
    peer.say([info(2000)]).await;
    follower.wait_for(&["up", "stalled"]).await;
    for second in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.say([info(3000 + second * 1000)]).await;
    }
    assert_eq!(only(&a.node).state, NodeState::Stalled("its scheduler does not answer".to_owned()));
    peer.say([Frame::Pong]).await;
    eventually("one cause is left", async || {
        only(&a.node).state == NodeState::Stalled("its Python handlers have not run for 6.0s".to_owned())
    })
    .await;
    assert_eq!(follower.names(), ["up", "stalled"]);
    peer.say([info(0)]).await;
    follower.wait_for(&["up", "stalled", "recovered"]).await;
}

#[tokio::test(start_paused = true)]
async fn g10_peers_of_level_1_are_watched_while_anybody_follows() {
    let network = MemoryNetwork::new();
    let (a, b) = (node_one(&network).await, node_one(&network).await);
    a.node.send(&b.addr, pid(1), number(1)).await.unwrap();
    b.runtime.wait_for(1).await;
    assert_eq!((only(&a.node).level, only(&a.node).state), (Level::One, NodeState::Up));
    // Whoever comes later is told of what happens from then on.
    let follower = Follower::of(&a.node);
    a_while().await;
    assert_eq!(follower.names(), [""; 0]);
    b.runtime.freeze();
    let seen = follower.wait_for(&["unreachable"]).await;
    assert_eq!((&seen[0].addr, seen[0].node), (&b.addr, None));
    b.runtime.thaw();
    a.node.send(&b.addr, pid(1), number(2)).await.unwrap();
    follower.wait_for(&["unreachable", "up"]).await;
    a_while().await;
    b.kill(&network).await;
    follower.wait_for(&["unreachable", "up", "crashed"]).await;
    assert_eq!(a.node.nodes().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn g10_a_peer_of_level_1_is_left_alone_when_nobody_follows_any_more() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_one(&network).await;
    let follower = Follower::of(&a.node);
    a.node.try_send(&addr, pid(1), number(1)).unwrap();
    let (connection, _data) = accept_lane(&mut listener).await;
    let (mut pongs, mut pings) = connection.accept_lane().await.unwrap().unwrap();
    follower.wait_for(&["up"]).await;
    drop(follower);
    let mut asked = 0;
    while let Ok(Some(_)) = pings.read(1).await {
        asked += 1;
        let mut batch = Batch::new();
        batch.pong();
        pongs.write(&mut batch.take()).await.unwrap();
    }
    assert!(asked < 5, "{asked} pings");
}

#[tokio::test(start_paused = true)]
async fn a_sink_may_ask_the_node_and_one_that_panics_harms_nobody() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node_with(&network, NodeConfig::default()).await);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (node, told) = (a.node.clone(), asked.clone());
    let _bad = a.node.on_event(|_| panic!("as ordered"));
    let _asks = a.node.on_event(move |_| told.lock().unwrap().push(node.nodes().len()));
    a.node.ping(&b.addr).await.unwrap();
    eventually("it was told", async || *asked.lock().unwrap() == [1]).await;
}
