//! Level 2: one link between two nodes, whoever dials.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::ExitReason;
use myrmidon::config::{Level, NodeConfig};
use myrmidon::node::{DownReason, Node, RemoteDown, RemoteMonitor, RemoteSendError};
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;

use crate::fake::{Running, eventually, node, node_one, node_with, number, pid, soon};

fn level(from: &Running, to: &NodeAddr) -> Option<Level> {
    from.node.peers().iter().find(|peer| peer.addr == *to).and_then(|peer| peer.level)
}

#[derive(Clone, Default)]
struct Downs(Arc<Mutex<Vec<RemoteDown>>>);

impl Downs {
    fn monitor(&self, node: &Node, addr: &NodeAddr, index: u32) -> RemoteMonitor {
        let downs = self.0.clone();
        node.monitor(addr, pid(index), Box::new(move |down| downs.lock().unwrap().push(down)))
    }

    fn seen(&self) -> Vec<(u32, DownReason)> {
        self.0.lock().unwrap().iter().map(|down| (down.pid.index(), down.reason.clone())).collect()
    }

    async fn wait_for(&self, count: usize) -> Vec<(u32, DownReason)> {
        eventually("the monitors fire", async || self.seen().len() >= count).await;
        self.seen()
    }
}

/// Long enough for every clock of the mesh.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn f26_the_highest_common_level_is_spoken_in_both_directions() {
    let network = MemoryNetwork::new();
    let (two, other, one) = (node(&network).await, node(&network).await, node_one(&network).await);
    for (from, to, expected) in [
        (&two, &other, Level::Two),
        (&two, &one, Level::One),
        (&one, &two, Level::One),
        (&other, &two, Level::Two),
    ] {
        to.runtime.register("name", pid(9));
        assert_eq!(from.node.resolve(&to.addr, "name").await, Ok(Some(pid(9))));
        assert_eq!(from.node.resolve(&to.addr, "nobody").await, Ok(None));
        from.node.send(&to.addr, pid(1), number(1)).await.unwrap();
        assert!(from.node.is_up(&to.addr).await);
        assert_eq!(level(from, &to.addr), Some(expected));
    }
    two.runtime.wait_for(2).await;
}

#[tokio::test(start_paused = true)]
async fn both_directions_share_one_link() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    for n in 0..1000 {
        a.node.send(&b.addr, pid(n % 3), number(n as usize)).await.unwrap();
        b.node.send(&a.addr, pid(n % 3), number(n as usize)).await.unwrap();
    }
    for node in [&a, &b] {
        let received = node.runtime.wait_for(1000).await;
        for receiver in 0..3 {
            let own: Vec<_> =
                received.iter().filter(|(to, _)| *to == pid(receiver)).map(|(_, n)| n).collect();
            assert!(own.is_sorted(), "G2");
        }
    }
    assert_eq!(network.cut(&a.addr) + network.cut(&b.addr), 1, "connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f12_nodes_that_dial_each_other_at_once_are_linked_and_lose_nothing() {
    let network = MemoryNetwork::new();
    for _ in 0..100 {
        let (a, b) = (node(&network).await, node(&network).await);
        let send = |from: &Running, to: &Running| {
            let (node, addr) = (from.node.clone(), to.addr.clone());
            tokio::spawn(async move {
                for n in 0..20 {
                    node.send(&addr, pid(n as u32 % 5), number(n)).await.unwrap();
                }
            })
        };
        let (there, back) = (send(&a, &b), send(&b, &a));
        soon(there).await.unwrap();
        soon(back).await.unwrap();
        a.runtime.wait_for(20).await;
        b.runtime.wait_for(20).await;
        assert_eq!((a.runtime.received().len(), b.runtime.received().len()), (20, 20));
        // That one connection is left, of whoever dialled, is tested with each transport.
        eventually("they are linked", async || {
            let up = |node: &Running, to: &Running| {
                node.node.peers().iter().any(|p| p.addr == to.addr && p.connected)
            };
            up(&a, &b) && up(&b, &a)
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn s24_s25_the_end_of_one_actor_is_told_once_with_its_reason() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let downs = Downs::default();
    b.runtime.end(pid(7), &ExitReason::Normal);
    downs.monitor(&a.node, &b.addr, 7);
    assert_eq!(downs.wait_for(1).await, [(7, DownReason::Ended(ExitReason::NoProcess))]);

    for index in 0..3 {
        downs.monitor(&a.node, &b.addr, index);
    }
    eventually("they are known there", async || b.runtime.watchers() == 3).await;
    let panic = ExitReason::Panic("index out of bounds".into());
    b.runtime.end(pid(1), &panic);
    assert_eq!(downs.wait_for(2).await[1], (1, DownReason::Ended(panic)));
    a_while().await;
    assert_eq!(downs.seen().len(), 2, "the others live, and no second DOWN comes");

    let addr = b.addr.clone();
    b.kill(&network).await;
    let seen = downs.wait_for(4).await;
    assert!(seen[2..].iter().all(|(_, reason)| matches!(reason, DownReason::Crashed(_))), "{seen:?}");
    a_while().await;
    assert_eq!(downs.seen().len(), 4);
    downs.monitor(&a.node, &addr, 5);
    assert!(matches!(downs.wait_for(5).await[4], (5, DownReason::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn s30_ends_are_told_in_their_order() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let downs = Downs::default();
    for index in 0..100 {
        downs.monitor(&a.node, &b.addr, index);
    }
    eventually("they are known there", async || b.runtime.watchers() == 100).await;
    for index in (0..100).rev() {
        b.runtime.end(pid(index), &ExitReason::Normal);
    }
    let told: Vec<_> = downs.wait_for(100).await.into_iter().map(|(index, _)| index).collect();
    assert!(told.iter().rev().is_sorted() && told.len() == 100, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn s27_a_removed_monitor_is_forgotten_at_both_ends() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let downs = Downs::default();
    let (kept, removed) = (downs.monitor(&a.node, &b.addr, 1), downs.monitor(&a.node, &b.addr, 2));
    eventually("they are known there", async || b.runtime.watchers() == 2).await;
    assert!(a.node.demonitor(removed));
    eventually("one is left", async || b.runtime.watchers() == 1).await;
    b.runtime.end(pid(2), &ExitReason::Normal);
    b.runtime.end(pid(1), &ExitReason::Shutdown);
    assert_eq!(downs.wait_for(1).await, [(1, DownReason::Ended(ExitReason::Shutdown))]);
    assert!(!a.node.demonitor(kept), "it has fired");
}

#[tokio::test(start_paused = true)]
async fn the_monitors_of_a_lost_peer_are_forgotten() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    Downs::default().monitor(&a.node, &b.addr, 1);
    eventually("it is known there", async || b.runtime.watchers() == 1).await;
    network.cut(&b.addr);
    eventually("it is forgotten", async || b.runtime.watchers() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn d12_a_frozen_scheduler_is_stalled_and_not_dead() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let downs = Downs::default();
    downs.monitor(&a.node, &b.addr, 1);
    let stalled = || a.node.peers()[0].stalled;
    a_while().await;
    assert!(!stalled());
    b.runtime.freeze();
    eventually("it shows", async || stalled()).await;
    assert!(!a.node.is_up(&b.addr).await);
    a.node.send(&b.addr, pid(1), number(1)).await.unwrap();
    b.runtime.wait_for(1).await;
    a_while().await;
    assert!(stalled() && downs.seen().is_empty());
    b.runtime.thaw();
    eventually("it recovers", async || !stalled()).await;
    assert!(a.node.is_up(&b.addr).await);
}

#[tokio::test(start_paused = true)]
async fn g8_two_nodes_that_leave_at_once_lose_nothing() {
    let network = MemoryNetwork::new();
    for messages in [0, 1, 100, 5000] {
        let (a, b) = (node(&network).await, node(&network).await);
        a.node.ping(&b.addr).await.unwrap();
        b.node.ping(&a.addr).await.unwrap();
        for n in 0..messages {
            a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
            b.node.try_send(&a.addr, pid(1), number(n)).unwrap();
        }
        let limit = Duration::from_secs(10);
        assert_eq!(tokio::join!(a.node.shutdown(limit), b.node.shutdown(limit)), (0, 0));
        assert_eq!((a.runtime.received().len(), b.runtime.received().len()), (messages, messages));
    }
}

#[tokio::test(start_paused = true)]
async fn g8_what_a_peer_that_dies_meanwhile_has_not_confirmed_is_counted() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    a.node.ping(&b.addr).await.unwrap();
    for n in 0..100 {
        a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
    }
    let cut = async {
        b.runtime.wait_for(1).await;
        network.cut(&b.addr);
    };
    let (unconfirmed, ()) = tokio::join!(a.node.shutdown(Duration::from_secs(10)), cut);
    assert!(unconfirmed <= 100, "{unconfirmed}");
    let lost = 100 - b.runtime.received().len();
    assert!(unconfirmed >= lost, "{unconfirmed} unconfirmed, {lost} lost");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_is_told_of_as_left() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let downs = Downs::default();
    downs.monitor(&a.node, &b.addr, 1);
    a.node.ping(&b.addr).await.unwrap();
    assert_eq!(b.node.shutdown(Duration::from_secs(5)).await, 0);
    assert_eq!(downs.wait_for(1).await, [(1, DownReason::Left)]);
}

#[tokio::test(start_paused = true)]
async fn l11_a_small_credit_slows_a_sender_down_and_loses_nothing() {
    let network = MemoryNetwork::new();
    let small = NodeConfig { credit_messages: 4, credit_bytes: 100, ..NodeConfig::default() };
    let (a, b) = (node(&network).await, node_with(&network, small).await);
    for n in 0..1000 {
        a.node.send(&b.addr, pid(n as u32 % 7), Bytes::from(vec![1; n % 90])).await.unwrap();
    }
    assert_eq!(a.node.shutdown(Duration::from_secs(10)).await, 0);
    assert_eq!(b.runtime.received().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn l12_f17_an_actor_that_does_not_keep_up_holds_up_its_own_senders_only() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { outbound_messages: 80, ..NodeConfig::default() };
    let (a, b) = (node_with(&network, config).await, node(&network).await);
    let (slow, fast) = (pid(1), pid(2));
    b.runtime.fill(slow, true);
    a.node.send(&b.addr, slow, number(0)).await.unwrap();
    b.runtime.wait_for(1).await;
    a_while().await;
    let mut accepted = 1;
    while a.node.try_send(&b.addr, slow, number(accepted)).is_ok() {
        accepted += 1;
    }
    assert_eq!(accepted, 1 + 27, "half of the 53 that are left");
    for n in 0..1000 {
        soon(a.node.send(&b.addr, fast, number(n))).await.unwrap();
    }
    let received = b.runtime.wait_for(1001).await;
    assert_eq!(received.iter().filter(|(to, _)| *to == slow).count(), 1);

    let (waiting, addr) = (a.node.clone(), b.addr.clone());
    let waiting = tokio::spawn(async move { waiting.send(&addr, slow, number(accepted)).await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    b.runtime.fill(slow, false);
    soon(waiting).await.unwrap().unwrap();
    let received = b.runtime.wait_for(1001 + accepted).await;
    let own: Vec<_> = received.iter().filter(|(to, _)| *to == slow).map(|(_, n)| n.clone()).collect();
    assert_eq!(own, (0..=accepted).map(number).collect::<Vec<_>>(), "G2");
}

#[tokio::test(start_paused = true)]
async fn g8_a_node_that_leaves_loses_nothing_that_was_held_back() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    b.runtime.fill(pid(1), true);
    a.node.send(&b.addr, pid(1), number(0)).await.unwrap();
    b.runtime.wait_for(1).await;
    a_while().await;
    for n in 1..100 {
        a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
    }
    assert_eq!(a.node.shutdown(Duration::from_secs(10)).await, 0);
    assert_eq!(b.runtime.received().len(), 100);
}

/// G1, G2, S28 under cuts: whatever breaks when, messages of one sender arrive at most once and in
/// order, and a monitor that was made before a cut fires once.
#[tokio::test(start_paused = true)]
async fn g1_g2_cuts_lose_messages_but_never_double_or_reorder_them() {
    for seed in 0..40u64 {
        let network = MemoryNetwork::new();
        let (a, b) = (node(&network).await, node(&network).await);
        let downs = Downs::default();
        let mut random = seed;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as u32
        };
        let (mut accepted, mut cuts) = (0, 0);
        for n in 0..2_000 {
            let message =
                if next() % 100 == 0 { [number(n), pattern(300 << 10)].concat().into() } else { number(n) };
            accepted += usize::from(a.node.try_send(&b.addr, pid(next() % 6), message).is_ok());
            if next() % 50 == 0 {
                tokio::time::sleep(Duration::from_micros((next() % 20_000).into())).await;
            }
            if next() % 400 == 0 {
                downs.monitor(&a.node, &b.addr, 1000 + cuts);
                a.node.is_up(&b.addr).await;
                network.cut(&b.addr);
                cuts += 1;
                tokio::time::sleep(Duration::from_millis((next() % 300).into())).await;
            }
        }
        let lost = a.node.shutdown(Duration::from_secs(30)).await;
        let info = &a.node.peers()[0];
        let received = b.runtime.received();
        assert!(received.len() <= accepted, "seed {seed}: more than was accepted");
        for receiver in 0..6 {
            let own = received.iter().filter(|(to, _)| *to == pid(receiver));
            let numbers: Vec<_> = own.map(|(_, data)| data.slice(..8)).collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "seed {seed}: doubled or out of order");
        }
        let known = received.len() + usize::try_from(info.dead_letters).unwrap();
        assert!(cuts > 0 || known + lost == accepted, "seed {seed}: without a cut nothing is lost");
        let seen = downs.seen();
        assert!(
            seen.len() == cuts as usize && seen.iter().all(|(_, why)| matches!(why, DownReason::Crashed(_))),
            "{seen:?}"
        );
    }
}

fn pattern(len: u32) -> Bytes {
    (0..len).map(|n| (n % 251) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn l02_large_payloads_arrive_whole_in_their_place_and_larger_ones_come_back() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { max_bulk_payload: 4 << 20, ..NodeConfig::default() };
    let (a, b) = (node_with(&network, config).await, node(&network).await);
    let large = [(4 << 20), (256 << 10) + 1, (1 << 20) + 1].map(pattern);
    let mut sent = Vec::new();
    for (n, payload) in large.iter().cycle().take(9).enumerate() {
        for message in [number(n), payload.clone(), number(n + 100)] {
            a.node.send(&b.addr, pid(1), message.clone()).await.unwrap();
            sent.push(message);
        }
        a.node.send(&b.addr, pid(n as u32 + 2), number(n)).await.unwrap();
    }
    let received = b.runtime.wait_for(36).await;
    let own: Vec<_> = received.into_iter().filter(|(to, _)| *to == pid(1)).map(|(_, data)| data).collect();
    assert!(own == sent, "G2: every message is whole and in its place");

    let larger = Bytes::from(vec![0; (4 << 20) + 1]);
    let error = a.node.send(&b.addr, pid(1), larger.clone()).await.unwrap_err();
    assert!(matches!(error, RemoteSendError::TooLarge { max: 0x40_0000, .. }), "{error}");
    assert_eq!(error.into_message().as_ptr(), larger.as_ptr());
    assert_eq!(a.node.shutdown(Duration::from_secs(10)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn l02_a_node_that_takes_short_frames_is_sent_everything_in_such() {
    let network = MemoryNetwork::new();
    // No frame has more than 64 KiB besides.
    let config = NodeConfig { credit_bytes: 1000, ..NodeConfig::default() };
    let (a, b) = (node(&network).await, node_with(&network, config).await);
    let lengths = [1000, 64 << 10, 100_000, 256 << 10, (256 << 10) + 1, 1 << 20];
    for (n, len) in lengths.into_iter().enumerate() {
        a.node.send(&b.addr, pid(1), pattern(len)).await.unwrap();
        assert!(b.runtime.wait_for(n + 1).await[n] == (pid(1), pattern(len)), "{len} bytes");
    }
    assert_eq!(a.node.shutdown(Duration::from_secs(10)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_large_payload_is_sent_to_a_node_that_is_not_linked_yet() {
    let network = MemoryNetwork::new();
    let (a, b, one) = (node(&network).await, node(&network).await, node_one(&network).await);
    let payload = pattern(3 << 20);
    let early = a.node.try_send(&b.addr, pid(1), payload.clone()).unwrap_err();
    assert!(matches!(early, RemoteSendError::TooLarge { max: 0x10_0000, .. }), "its level is not known");
    a.node.send(&b.addr, pid(1), payload.clone()).await.unwrap();
    assert!(b.runtime.wait_for(1).await == [(pid(1), payload.clone())]);
    let refused = a.node.send(&one.addr, pid(1), payload).await.unwrap_err();
    assert!(matches!(refused, RemoteSendError::TooLarge { max: 0x10_0000, .. }), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn g8_a_shutdown_waits_for_large_payloads() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    a.node.ping(&b.addr).await.unwrap();
    for index in 0..5 {
        a.node.try_send(&b.addr, pid(index), pattern(3 << 20)).unwrap();
    }
    assert_eq!(a.node.shutdown(Duration::from_secs(10)).await, 0);
    let received = b.runtime.received();
    assert!(received.len() == 5 && received.iter().all(|(_, data)| *data == pattern(3 << 20)));
}

#[tokio::test(start_paused = true)]
async fn a_large_payload_holds_up_its_receiver_only() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    a.node.ping(&b.addr).await.unwrap();
    a.node.try_send(&b.addr, pid(1), pattern(8 << 20)).unwrap();
    a.node.try_send(&b.addr, pid(1), number(1)).unwrap();
    for n in 0..100 {
        a.node.try_send(&b.addr, pid(2 + n), number(0)).unwrap();
    }
    let received = b.runtime.wait_for(102).await;
    let place = |index| received.iter().position(|(to, _)| *to == pid(index)).unwrap();
    assert!((2..102).all(|index| place(index) < place(1)), "small ones do not wait");
    assert_eq!(received[100].1.len(), 8 << 20);
    assert_eq!(received[101], (pid(1), number(1)));
}

#[tokio::test(start_paused = true)]
async fn d8_any_number_of_lanes_carries_everything() {
    let network = MemoryNetwork::new();
    for (here, there) in [(0, 4), (4, 0), (1, 16), (16, 16)] {
        let with = |message_lanes| NodeConfig { message_lanes, ..NodeConfig::default() };
        let (a, b) = (node_with(&network, with(here)).await, node_with(&network, with(there)).await);
        let downs = Downs::default();
        downs.monitor(&a.node, &b.addr, 3);
        for n in 0..100 {
            a.node.send(&b.addr, pid(n % 40), number(n as usize)).await.unwrap();
        }
        b.runtime.wait_for(100).await;
        eventually("it is known there", async || b.runtime.watchers() == 1).await;
        b.runtime.end(pid(3), &ExitReason::Killed);
        assert_eq!(downs.wait_for(1).await, [(3, DownReason::Ended(ExitReason::Killed))]);
        assert_eq!(a.node.shutdown(Duration::from_secs(5)).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn several_addresses_of_one_node_share_its_link() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let second = b.node.listen(&NodeAddr::new("alias", 0)).await.unwrap();
    for n in 0..100 {
        a.node.send(if n % 2 == 0 { &b.addr } else { &second }, pid(1), number(n)).await.unwrap();
    }
    b.runtime.wait_for(100).await;
    let downs = Downs::default();
    downs.monitor(&a.node, &second, 1);
    eventually("it is known there", async || b.runtime.watchers() == 1).await;
    assert_eq!(network.cut(&b.addr) + network.cut(&second), 1, "connections");
    assert!(matches!(downs.wait_for(1).await[..], [(1, DownReason::Crashed(_))]));
}

#[tokio::test(start_paused = true)]
async fn a_node_reaches_itself_by_its_address() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.register("me", pid(3));
    eventually("it resolves", async || a.node.resolve(&a.addr, "me").await == Ok(Some(pid(3)))).await;
    a.node.send(&a.addr, pid(3), number(1)).await.unwrap();
    assert_eq!(a.runtime.wait_for(1).await, [(pid(3), number(1))]);
    assert!(a.node.is_up(&a.addr).await);
}
