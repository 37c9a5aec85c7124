//! Listening, flushing and leaving.

use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::NodeState;
use myrmidon::node::{DownReason, ListenError, NodeInfo, PingError, RemoteSendError, ResolveError};
use myrmidon::transport::TransportError;
use myrmidon::transport::memory::MemoryNetwork;
use tokio::time::Instant;

use crate::fake::{RawPeer, accept_lane, any, eventually, listen, node, node_one, number, pid, soon};

#[tokio::test(start_paused = true)]
async fn listen_returns_the_bound_address_and_says_what_is_wrong() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    assert_ne!(a.addr.port(), 0);
    let second = a.node.listen(&any()).await.unwrap();
    assert_eq!(a.node.listening_on(), [a.addr.clone(), second]);
    let error = a.node.listen(&a.addr).await.unwrap_err();
    assert!(matches!(error, ListenError::Transport(TransportError::Bind { .. })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn flush_waits_until_everything_is_written() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    assert_eq!(a.node.flush(Duration::ZERO).await, 0);
    for n in 0..5000 {
        a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
    }
    assert_eq!(a.node.flush(Duration::from_secs(10)).await, 0);
    assert_eq!(a.node.peers()[0].sent, 5000);
    b.runtime.wait_for(5000).await;
}

#[tokio::test(start_paused = true)]
async fn g8_a_shutdown_loses_nothing_while_the_peer_stays_up() {
    let network = MemoryNetwork::new();
    for messages in [0, 1, 100, 5000] {
        let (a, b) = (node(&network).await, node(&network).await);
        for n in 0..messages {
            a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
        }
        assert_eq!(a.node.shutdown(Duration::from_secs(10)).await, 0);
        assert_eq!(b.runtime.received().len(), messages, "all were read before shutdown returned");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f10_a_shutdown_while_others_send_loses_no_accepted_message() {
    let network = MemoryNetwork::new();
    for _ in 0..20 {
        let (a, b) = (node(&network).await, node(&network).await);
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let (node, addr) = (a.node.clone(), b.addr.clone());
                tokio::spawn(async move {
                    let mut accepted = 0;
                    while node.send(&addr, pid(sender), number(accepted)).await.is_ok() {
                        accepted += 1;
                    }
                    accepted
                })
            })
            .collect();
        b.runtime.wait_for(100).await;
        assert_eq!(a.node.shutdown(Duration::from_secs(30)).await, 0);
        let mut accepted = 0;
        for sender in senders {
            accepted += soon(sender).await.unwrap();
        }
        assert_eq!(b.runtime.received().len(), accepted);
    }
}

#[tokio::test(start_paused = true)]
async fn g8_d12_an_address_that_does_not_answer_spoils_the_end_towards_nobody_else() {
    let network = MemoryNetwork::new();
    let (_silent, hole) = listen(&network).await;
    for lost in [0, 1] {
        let (a, b) = (node(&network).await, node(&network).await);
        a.node.ping(&b.addr).await.unwrap();
        for n in 0..lost {
            a.node.try_send(&hole, pid(1), number(n)).unwrap();
        }
        let (asking, at) = (a.node.clone(), hole.clone());
        let asked = tokio::spawn(async move { asking.is_up(&at).await });
        eventually("it is dialled", async || a.node.peers().len() == 2).await;
        for n in 0..100 {
            a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
        }
        let began = Instant::now();
        assert_eq!(a.node.shutdown(Duration::from_secs(3)).await, lost, "what nobody takes");
        let most = if lost == 0 { Duration::from_secs(1) } else { Duration::from_millis(3_600) };
        assert!(began.elapsed() < most, "{:?}", began.elapsed());
        assert_eq!(b.runtime.received().len(), 100);
        let nodes = b.node.nodes();
        assert!(matches!(nodes[..], [NodeInfo { state: NodeState::Left, .. }]), "{nodes:?}");
        assert!(!soon(asked).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn g8_what_waits_for_another_address_of_a_node_goes_into_a_link_of_its_own() {
    let network = MemoryNetwork::new();
    for _ in 0..20 {
        let (a, b) = (node(&network).await, node(&network).await);
        let second = b.node.listen(&any()).await.unwrap();
        a.node.ping(&b.addr).await.unwrap();
        for n in 0..100 {
            a.node.try_send(&second, pid(1), number(n)).unwrap();
        }
        // The link with that node leaves while the address is dialled.
        assert_eq!(a.node.shutdown(Duration::from_secs(30)).await, 0);
        let numbers: Vec<_> = b.runtime.received().into_iter().map(|(_, message)| message).collect();
        assert_eq!(numbers, (0..100).map(number).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn f11_a_shutdown_with_a_stuck_peer_returns_at_its_limit_with_the_number_unwritten() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_one(&network).await;
    for _ in 0..100 {
        a.node.try_send(&addr, pid(1), Bytes::from(vec![1; 10_000])).unwrap();
    }
    let _stuck = accept_lane(&mut listener).await;
    let began = Instant::now();
    let unwritten = a.node.shutdown(Duration::from_secs(3)).await;
    assert!(began.elapsed() < Duration::from_millis(3_600), "{:?}", began.elapsed());
    assert!((80..=100).contains(&unwritten), "{unwritten}");
    assert_eq!(a.node.peers()[0].dead_letters, unwritten as u64);
}

#[tokio::test(start_paused = true)]
async fn after_a_shutdown_everything_says_so_and_nothing_listens() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    a.node.send(&b.addr, pid(1), number(1)).await.unwrap();
    a.node.shutdown(Duration::from_secs(1)).await;
    for addr in [&b.addr, &any()] {
        let refused = a.node.try_send(addr, pid(1), number(2)).unwrap_err();
        assert!(matches!(&refused, RemoteSendError::Closed { message } if *message == number(2)));
        assert_eq!(a.node.resolve(addr, "database").await, Err(ResolveError::Closed));
        assert_eq!(a.node.ping(addr).await, Err(PingError::Closed));
    }
    assert!(matches!(a.node.listen(&any()).await, Err(ListenError::Closed)));
    assert!(a.node.listening_on().is_empty() && !b.node.is_up(&a.addr).await);
    let (told, reason) = std::sync::mpsc::sync_channel(1);
    a.node.monitor(&b.addr, pid(1), Box::new(move |down| told.send(down.reason).unwrap()));
    assert_eq!(reason.try_recv(), Ok(DownReason::Closed));
    assert_eq!(a.node.shutdown(Duration::from_secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_drops_monitors_without_firing_them() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
    a.node.monitor(&b.addr, pid(1), Box::new(move |_| alive.send(()).unwrap()));
    a.node.ping(&b.addr).await.unwrap();
    a.node.shutdown(Duration::from_secs(1)).await;
    assert!(soon(dropped).await.is_err(), "dropped, not called");
}

#[tokio::test(start_paused = true)]
async fn peers_of_a_node_that_shuts_down_get_their_answers_and_an_orderly_end() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = RawPeer::dial(&network, &a.addr).await;
    peer.say(&[2][..]).await;
    assert_eq!(peer.hear(1).await, [3]);
    let leaving = tokio::spawn(async move { a.node.shutdown(Duration::from_secs(1)).await });
    peer.hear_end().await;
    drop(peer);
    assert_eq!(soon(leaving).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_node_stops_listening_and_closes_its_connections() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    let addr = a.addr.clone();
    assert!(b.node.is_up(&addr).await);
    drop(a);
    eventually("it is gone", async || !b.node.is_up(&addr).await).await;
}
