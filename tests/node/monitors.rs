//! Life and death of peers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::config::NodeConfig;
use myrmidon::node::{DownReason, Node, PingError, RemoteDown, RemoteMonitor};
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::transport::{CloseCode, Listener, NodeAddr};
use tokio::time::Instant;

use crate::fake::{accept_lane, eventually, listen, node, node_at, node_one, pid, soon};

/// Collects what monitors say.
#[derive(Clone, Default)]
struct Downs(Arc<Mutex<Vec<RemoteDown>>>);

impl Downs {
    fn monitor(&self, node: &Node, addr: &NodeAddr, index: u32) -> RemoteMonitor {
        let downs = self.0.clone();
        node.monitor(addr, pid(index), Box::new(move |down| downs.lock().unwrap().push(down)))
    }

    fn seen(&self) -> Vec<RemoteDown> {
        self.0.lock().unwrap().clone()
    }

    async fn wait_for(&self, count: usize) -> Vec<RemoteDown> {
        eventually("the monitors fire", async || self.seen().len() >= count).await;
        self.seen()
    }
}

/// Long enough for every clock of the mesh.
async fn a_while() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn g6_g10_the_death_of_a_process_fires_every_monitor_once_and_at_once() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let (addr, downs) = (b.addr.clone(), Downs::default());
    for index in 0..100 {
        downs.monitor(&a.node, &addr, index);
    }
    a.node.ping(&addr).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let death = Instant::now();
    b.kill(&network).await;
    let seen = downs.wait_for(100).await;
    assert!(death.elapsed() < Duration::from_secs(1), "{:?}", death.elapsed());
    for (index, down) in (0u32..).zip(&seen) {
        assert_eq!((&down.addr, down.pid), (&addr, pid(index)));
        assert!(matches!(down.reason, DownReason::Crashed(_)), "{}", down.reason);
    }
    a_while().await;
    assert_eq!(downs.seen().len(), 100);
    assert_eq!(a.node.peers()[0].monitors, 0);
}

#[tokio::test(start_paused = true)]
async fn s28_a_peer_that_restarts_at_once_still_fires_and_only_once() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let (addr, downs) = (b.addr.clone(), Downs::default());
    downs.monitor(&a.node, &addr, 1);
    a_while().await;
    b.kill(&network).await;
    let b = node_at(&network, &addr, NodeConfig::default()).await;
    downs.wait_for(1).await;
    assert!(a.node.is_up(&addr).await);
    downs.monitor(&a.node, &addr, 2);
    a_while().await;
    assert_eq!(downs.seen().len(), 1, "the old monitor stays fired, the new one holds");
    b.kill(&network).await;
    assert_eq!(downs.wait_for(2).await[1].pid, pid(2));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_of_an_unreachable_node_fires() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let downs = Downs::default();
    for index in 0..3 {
        downs.monitor(&a.node, &NodeAddr::new("absent", 1), index);
        let seen = downs.wait_for(index as usize + 1).await;
        assert!(matches!(seen.last().unwrap().reason, DownReason::Refused(_)));
    }
    a_while().await;
    assert_eq!(downs.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn g10_d12_a_frozen_peer_fires_in_time_and_may_come_back() {
    let network = MemoryNetwork::new();
    let (a, b) = (node_one(&network).await, node_one(&network).await);
    let downs = Downs::default();
    downs.monitor(&a.node, &b.addr, 1);
    a_while().await;
    assert!(downs.seen().is_empty(), "no false alarm");
    let frozen = Instant::now();
    b.runtime.freeze();
    let seen = downs.wait_for(1).await;
    assert_eq!(seen[0].reason, DownReason::Unreachable("no pong for 5s".to_owned()));
    // The last pong may have come an interval and its jitter before the freeze.
    assert!((3900..=6000).contains(&frozen.elapsed().as_millis()), "{:?}", frozen.elapsed());
    b.runtime.thaw();
    assert!(a.node.is_up(&b.addr).await);
    a_while().await;
    assert_eq!(downs.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn s27_a_removed_monitor_never_fires() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let downs = Downs::default();
    let (kept, removed) = (downs.monitor(&a.node, &b.addr, 1), downs.monitor(&a.node, &b.addr, 2));
    assert!(a.node.demonitor(removed.clone()) && !a.node.demonitor(removed));
    b.kill(&network).await;
    assert_eq!(downs.wait_for(1).await[0].pid, pid(1));
    assert!(!a.node.demonitor(kept), "it has fired");
    a_while().await;
    assert_eq!(downs.seen().len(), 1);
}

/// Answers one ping per lane and closes the lane, as a simple peer does; counts the lanes.
async fn close_after_each_pong(mut listener: Box<dyn Listener>, lanes: Arc<Mutex<usize>>) {
    loop {
        let Ok(connection) = listener.accept().await else { return };
        let lanes = lanes.clone();
        tokio::spawn(async move {
            while let Ok(Some((mut sender, mut receiver))) = connection.accept_lane().await {
                *lanes.lock().unwrap() += 1;
                if let Ok(Some(_)) = receiver.read(1).await {
                    let _ = sender.write(&mut [Bytes::from_static(&[3])]).await;
                    let _ = sender.finish().await;
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_after_every_pong_lives_until_it_refuses() {
    let network = MemoryNetwork::new();
    let (listener, addr) = listen(&network).await;
    let (a, downs, lanes) = (node_one(&network).await, Downs::default(), Arc::new(Mutex::new(0)));
    let serving = tokio::spawn(close_after_each_pong(listener, lanes.clone()));
    downs.monitor(&a.node, &addr, 1);
    a_while().await;
    assert!(downs.seen().is_empty(), "{:?}", downs.seen());
    let pings = *lanes.lock().unwrap();
    assert!((50..75).contains(&pings), "{pings} pings in a minute");
    serving.abort();
    network.cut(&addr);
    let seen = downs.wait_for(1).await;
    assert!(matches!(seen[0].reason, DownReason::Refused(_)), "{}", seen[0].reason);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_and_never_answers_is_down_in_time() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let (a, downs) = (node_one(&network).await, Downs::default());
    tokio::spawn(async move {
        while let Ok(connection) = listener.accept().await {
            drop(connection.accept_lane().await);
        }
    });
    let began = Instant::now();
    downs.monitor(&a.node, &addr, 1);
    downs.wait_for(1).await;
    assert!(began.elapsed() < Duration::from_millis(6_100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nobody_is_pinged_when_nobody_wants_to_know() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let (a, downs) = (node_one(&network).await, Downs::default());
    let monitor = downs.monitor(&a.node, &addr, 1);
    let (_connection, (mut sender, mut receiver)) = accept_lane(&mut listener).await;
    for _ in 0..3 {
        assert_eq!(soon(receiver.read(1)).await.unwrap().unwrap()[..], [2]);
        soon(sender.write(&mut [Bytes::from_static(&[3])])).await.unwrap();
    }
    a.node.demonitor(monitor);
    assert_eq!(soon(receiver.read(1)).await.unwrap(), None, "the lane is finished");
}

#[tokio::test(start_paused = true)]
async fn pings_tell_who_is_up() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    assert!(a.node.is_up(&b.addr).await && b.node.is_up(&a.addr).await);
    let absent = NodeAddr::new("absent", 1);
    assert!(matches!(a.node.ping(&absent).await, Err(PingError::NoConnection { .. })));
    let pings: Vec<_> = (0..100)
        .map(|_| {
            let (node, addr) = (a.node.clone(), b.addr.clone());
            tokio::spawn(async move { node.ping(&addr).await })
        })
        .collect();
    for ping in pings {
        soon(ping).await.unwrap().unwrap();
    }
    b.runtime.freeze();
    assert!(!a.node.is_up(&b.addr).await);
    let addr = b.addr.clone();
    b.kill(&network).await;
    assert!(!a.node.is_up(&addr).await);
    let _b = node_at(&network, &addr, NodeConfig::default()).await;
    assert!(a.node.is_up(&addr).await, "a ping dials even right after a failure");
}

#[tokio::test(start_paused = true)]
async fn a_panicking_callback_does_not_keep_others_from_firing() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let (absent, downs) = (NodeAddr::new("absent", 1), Downs::default());
    a.node.monitor(&absent, pid(1), Box::new(|_| panic!("on purpose")));
    downs.monitor(&a.node, &absent, 2);
    downs.wait_for(1).await;
    downs.monitor(&a.node, &absent, 3);
    downs.wait_for(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_monitor_may_be_renewed_from_its_callback_without_spinning() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let fired = Arc::new(Mutex::new(0));
    renew(a.node.clone(), NodeAddr::new("absent", 1), fired.clone());
    a_while().await;
    let fired = *fired.lock().unwrap();
    assert!((5..100).contains(&fired), "{fired} attempts in a minute (L28)");
}

fn renew(node: Node, addr: NodeAddr, fired: Arc<Mutex<u32>>) {
    let (again, at) = (node.clone(), addr.clone());
    let on_down = move |_| {
        *fired.lock().unwrap() += 1;
        renew(again, at, fired);
    };
    node.monitor(&addr, pid(1), Box::new(on_down));
}

#[tokio::test(start_paused = true)]
async fn g4_a_broken_data_lane_fires_though_the_peer_still_answers_pings() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let (a, downs) = (node_one(&network).await, Downs::default());
    a.node.try_send(&addr, pid(1), Bytes::from_static(b"x")).unwrap();
    let (connection, (mut answers, mut data)) = accept_lane(&mut listener).await;
    soon(data.read(64)).await.unwrap();
    downs.monitor(&a.node, &addr, 1);
    let (mut pongs, mut pings) = soon(connection.accept_lane()).await.unwrap().unwrap();
    let heart = tokio::spawn(async move {
        while let Ok(Some(asked)) = pings.read(1).await {
            assert_eq!(asked, [2][..]);
            if pongs.write(&mut [Bytes::from_static(&[3])]).await.is_err() {
                break;
            }
        }
    });
    a.node.ping(&addr).await.unwrap();
    assert_eq!(downs.seen().len(), 0);
    answers.reset(CloseCode::Internal);
    data.stop(CloseCode::Internal);
    let seen = downs.wait_for(1).await;
    assert!(matches!(seen[0].reason, DownReason::Unreachable(_)), "{}", seen[0].reason);
    heart.abort();
}
