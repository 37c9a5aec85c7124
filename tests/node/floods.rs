//! What a peer can make a node hold that has its confidence: it speaks level 2, and keeps to no bound.

use myrmidon::actor::{ExitReason, NodeState};
use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::wire::level2::{Demonitor, Frame, Goaway, Hello, Monitor, Text16, Unlink};
use myrmidon::wire::{Batch, CloseCode};

use crate::fake::{RawPeer, Running, eventually, node, node_with, number, pid, soon};
use crate::greetings::{Peer, hello, message};

/// Says `frame` again and again, with other numbers, and reads nothing, until it is cut off.
async fn flood(peer: &mut Peer, frame: impl Fn(u64) -> Frame) {
    for number in 0.. {
        let mut batch = Batch::new();
        (0..1000).for_each(|n| batch.frame(frame(1000 * number + n)));
        if soon(peer.raw.lane.0.write(&mut batch.take())).await.is_err() {
            return;
        }
    }
}

async fn is_cut_off(node: &Running, because: &str) {
    eventually("it is cut off", async || {
        let nodes = node.node.nodes();
        nodes.iter().any(|node| matches!(&node.state, NodeState::Unreachable(why) if why.contains(because)))
    })
    .await;
}

// On the real clock: on a paused one no time passes during a flood, and a goodbye takes some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l09_a_peer_that_does_not_read_what_it_makes_us_say_is_cut_off_and_nobody_else() {
    let unlink = |id| Frame::Unlink(Unlink { id, to: Some(pid(1)), from: Some(pid(2)) });
    let monitor =
        |id| Frame::Monitor(Monitor { id, to: Some(pid(3)), from: Some(pid(2)), name: Text16::default() });
    let frames: [&dyn Fn(u64) -> Frame; 2] = [&unlink, &monitor];
    for frame in frames {
        let network = MemoryNetwork::new();
        let a = node_with(&network, NodeConfig { outbound_bytes: 1 << 20, ..NodeConfig::default() }).await;
        a.runtime.end(pid(3), &ExitReason::Normal);
        let other = node(&network).await;
        assert!(other.node.is_up(&a.addr).await);
        let mut peer = Peer::up_with(&network, &a, Hello { caps: 7, ..hello(0) }).await;
        flood(&mut peer, frame).await;
        is_cut_off(&a, "it does not read what it is told").await;
        assert!(other.node.is_up(&a.addr).await);
    }
}

fn small_credit() -> NodeConfig {
    NodeConfig { credit_messages: 100, actor_messages: 100, ..NodeConfig::default() }
}

#[tokio::test(start_paused = true)]
async fn l12_a_peer_that_spares_nobody_is_cut_off_after_what_its_credit_allowed() {
    let network = MemoryNetwork::new();
    let a = node_with(&network, small_credit()).await;
    a.runtime.fill(pid(1), true);
    let mut peer = Peer::up(&network, &a).await;
    let (mut said, mut spared) = (0, None);
    let (code, reason) = 'said: loop {
        // As much as brings a CREDIT each time.
        peer.say((0..50).map(|n| message(1, n))).await;
        said += 50;
        loop {
            match peer.hear().await {
                Frame::Credit(_) => break,
                Frame::Xoff(xoff) => spared = xoff.pid.map(|pid| (pid, said)),
                Frame::Goaway(Goaway { code, reason }) => break 'said (code, reason),
                _ => {}
            }
        }
    };
    assert_eq!(code, CloseCode::CreditViolated.as_u16(), "{reason:?}");
    assert!(reason.as_str().contains("asked to spare"), "{reason:?}");
    assert_eq!(spared, Some((pid(1), 50)));
    // Two windows more, and what one that leaves may have held back.
    let most = 300 + 65_536;
    assert!((most - 50..=most).contains(&said), "{said}");
    assert!(a.runtime.received().len() <= most as usize);
}

#[tokio::test(start_paused = true)]
async fn l12_a_node_that_is_asked_to_spare_an_actor_is_never_cut_off() {
    for (credit, outbound) in [(1, 1000), (7, 50), (100, 5000), (1000, 100)] {
        let network = MemoryNetwork::new();
        let b = node_with(&network, NodeConfig { credit_messages: credit, ..NodeConfig::default() }).await;
        let a =
            node_with(&network, NodeConfig { outbound_messages: outbound, ..NodeConfig::default() }).await;
        b.runtime.fill(pid(1), true);
        let mut taken = 0;
        for round in 0..20 {
            for _ in 0..outbound {
                taken += usize::from(a.node.try_send(&b.addr, pid(1), number(taken)).is_ok());
            }
            for n in 0..5 {
                soon(a.node.send(&b.addr, pid(2), number(n))).await.unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            b.runtime.fill(pid(1), round % 3 != 0);
        }
        b.runtime.fill(pid(1), false);
        let received = b.runtime.wait_for(taken + 100).await;
        let slow: Vec<_> = received.into_iter().filter(|(to, _)| *to == pid(1)).map(|(_, n)| n).collect();
        assert_eq!(slow, (0..taken).map(number).collect::<Vec<_>>(), "{credit} {outbound}");
    }
}

#[tokio::test(start_paused = true)]
async fn l12_an_actor_that_gets_large_payloads_only_is_spared_too() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    b.runtime.fill(pid(1), true);
    let large = || bytes::Bytes::from(vec![7; 300 << 10]);
    soon(a.node.send(&b.addr, pid(1), large())).await.unwrap();
    b.runtime.wait_for(1).await;
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let more = (0..1000).take_while(|_| a.node.try_send(&b.addr, pid(1), large()).is_ok()).count();
    assert_eq!(more, 18, "half of what is left each time");
    soon(a.node.send(&b.addr, pid(2), large())).await.unwrap();
    assert_eq!(b.runtime.wait_for(2).await[1].0, pid(2));
    b.runtime.fill(pid(1), false);
    b.runtime.wait_for(2 + more).await;
}

#[tokio::test(start_paused = true)]
async fn g11_a_peer_whose_signals_an_actor_does_not_take_is_asked_to_spare_it_and_then_cut_off() {
    let network = MemoryNetwork::new();
    let a = node_with(&network, small_credit()).await;
    a.runtime.fill(pid(1), true);
    let mut peer = Peer::up_with(&network, &a, Hello { caps: 7, ..hello(0) }).await;
    let demonitor = |id| Frame::Demonitor(Demonitor { id, to: Some(pid(1)), from: Some(pid(2)) });
    peer.say((0..101).map(demonitor)).await;
    assert!(matches!(peer.answer().await, Frame::Xoff(_)));
    peer.say((0..66_000).map(demonitor)).await;
    assert_eq!(peer.code().await, CloseCode::CreditViolated.as_u16());
}

#[tokio::test(start_paused = true)]
async fn g11_signals_that_an_actor_takes_may_be_any_number() {
    let network = MemoryNetwork::new();
    let a = node_with(&network, small_credit()).await;
    let mut peer = Peer::up_with(&network, &a, Hello { caps: 7, ..hello(0) }).await;
    let demonitor = |id| Frame::Demonitor(Demonitor { id, to: Some(pid(1)), from: Some(pid(2)) });
    peer.say((0..10_000).map(demonitor)).await;
    peer.say([message(1, 1)]).await;
    a.runtime.wait_for(1).await;
}

#[tokio::test(start_paused = true)]
async fn g11_a_monitor_by_a_name_that_nobody_can_have_is_not_kept() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::up(&network, &a).await;
    let name = Text16::from("x".repeat(256).as_str());
    peer.say([Frame::Monitor(Monitor { id: 1, to: Some(pid(1)), from: None, name })]).await;
    assert_eq!(peer.code().await, CloseCode::TooLarge.as_u16());
    assert_eq!(a.runtime.watchers(), 0);
}

#[tokio::test(start_paused = true)]
async fn l12_a_level_1_peer_is_not_read_while_an_actor_does_not_keep_up() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.fill(pid(1), true);
    let mut flooding = RawPeer::dial(&network, &a.addr).await;
    let mut said = 0;
    let mut write = async |from: usize| {
        let mut batch = Batch::new();
        (0..1000).for_each(|n| batch.message(Some(pid(1)), number(from + n)));
        let mut parts = batch.take();
        let written = flooding.lane.0.write(&mut parts);
        tokio::time::timeout(std::time::Duration::from_secs(30), written).await.is_ok()
    };
    while write(said).await {
        said += 1000;
        assert!(said < 1_000_000, "it is read all the same");
    }
    assert!(a.runtime.received().len() < 10_000, "one read, and no more");
    let mut other = RawPeer::dial(&network, &a.addr).await;
    other.say(&[2][..]).await;
    assert_eq!(other.hear(1).await, [3]);
    a.runtime.fill(pid(1), false);
    let received = a.runtime.wait_for(said).await;
    assert!(received.iter().map(|(_, n)| n.clone()).eq((0..received.len()).map(number)), "G2");
}

#[tokio::test(start_paused = true)]
async fn l07_a_level_1_peer_that_goes_while_an_actor_is_spared_leaves_no_connection() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.fill(pid(1), true);
    let mut peer = RawPeer::dial(&network, &a.addr).await;
    let mut batch = Batch::new();
    batch.message(Some(pid(1)), number(0));
    peer.say_batch(&mut batch).await;
    a.runtime.wait_for(1).await;
    peer.lane.0.finish().await.unwrap();
    peer.hear_end().await;
}

#[tokio::test(start_paused = true)]
async fn l20_a10_one_actor_has_so_many_monitors_of_peers_and_the_others_have_theirs() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::up(&network, &a).await;
    let monitor = |id, index| {
        Frame::Monitor(Monitor { id, to: Some(pid(index)), from: Some(pid(9)), name: Text16::default() })
    };
    peer.say((0..10_001).map(|id| monitor(id, 1))).await;
    let Frame::Down(down) = peer.answer().await else { panic!("one is too many") };
    assert_eq!((down.id, down.text.as_str()), (10_000, "too many monitors of that actor"));
    peer.say([monitor(20_000, 2), Frame::Demonitor(Demonitor { id: 5, to: Some(pid(1)), from: None })]).await;
    peer.say([monitor(20_001, 1)]).await;
    eventually("there is room again", async || a.runtime.watchers() == 10_001).await;
}
