//! Names, messages and their order.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::config::NodeConfig;
use myrmidon::node::{RemoteSendError, ResolveError};
use myrmidon::transport::memory::MemoryNetwork;
use tokio::time::Instant;

use crate::fake::{RawPeer, accept_lane, listen, node, node_one, node_with, number, one, pid, soon};

#[tokio::test(start_paused = true)]
async fn names_resolve_both_ways_and_unknown_ones_to_none() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    a.runtime.register("front", pid(1));
    b.runtime.register("database", pid(2));
    assert_eq!(a.node.resolve(&b.addr, "database").await, Ok(Some(pid(2))));
    assert_eq!(b.node.resolve(&a.addr, "front").await, Ok(Some(pid(1))));
    assert_eq!(a.node.resolve(&b.addr, "nobody").await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn l18_a_name_that_cannot_exist_is_an_error_before_any_connection() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    for name in ["", "\0reserved", &"n".repeat(256)] {
        let error = a.node.resolve(&a.addr, name).await.unwrap_err();
        assert_eq!(error, ResolveError::BadName { len: name.len(), max: 255 });
    }
    assert!(a.node.peers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn g1_g2_ten_thousand_messages_arrive_once_and_in_order() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    for n in 0..10_000 {
        a.node.send(&b.addr, pid(n as u32 % 7), number(n)).await.unwrap();
    }
    let received = b.runtime.wait_for(10_000).await;
    assert_eq!(received.len(), 10_000);
    for receiver in 0..7 {
        let own = received.iter().filter(|(to, _)| *to == pid(receiver)).map(|(_, n)| n.clone());
        let sent = (0..10_000).filter(|n| n % 7 == receiver as usize).map(number);
        assert!(own.eq(sent), "another order, or other messages, for receiver {receiver}");
    }
}

#[tokio::test(start_paused = true)]
async fn g2_at_level_1_a_resolve_is_answered_after_the_messages_sent_before_it_are_delivered() {
    let network = MemoryNetwork::new();
    let (a, b) = (node_one(&network).await, node(&network).await);
    for n in 0..1000 {
        a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
    }
    assert_eq!(a.node.resolve(&b.addr, "nobody").await, Ok(None));
    assert_eq!(b.runtime.received().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn l02_at_level_1_payloads_up_to_the_limit_arrive_and_larger_ones_come_back() {
    let network = MemoryNetwork::new();
    let (a, b) = (node_one(&network).await, node(&network).await);
    let largest: Bytes = (0..1u32 << 20).map(|n| (n % 251) as u8).collect();
    for payload in [Bytes::new(), largest.slice(..4096), largest.clone()] {
        a.node.send(&b.addr, pid(1), payload).await.unwrap();
    }
    let received = b.runtime.wait_for(3).await;
    assert!(received[0].1.is_empty() && received[1].1 == largest.slice(..4096) && received[2].1 == largest);

    let larger = Bytes::from(vec![0; (1 << 20) + 1]);
    let error = a.node.try_send(&b.addr, pid(1), larger.clone()).unwrap_err();
    assert!(
        matches!(error, RemoteSendError::TooLarge { len, max, .. } if (len, max) == (larger.len(), 1 << 20))
    );
    assert_eq!(error.into_message().as_ptr(), larger.as_ptr());
}

#[tokio::test(start_paused = true)]
async fn l10_a_peer_that_does_not_read_makes_the_queue_full_and_hands_messages_back() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_with(&network, NodeConfig { outbound_messages: 10, ..one() }).await;
    let payload = Bytes::from(vec![1; 256 << 10]);
    a.node.try_send(&addr, pid(1), payload.clone()).unwrap();
    let (_connection, (_sender, mut receiver)) = accept_lane(&mut listener).await;

    let mut accepted = 1;
    let refused = loop {
        match a.node.try_send(&addr, pid(1), payload.clone()) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        tokio::task::yield_now().await;
    };
    assert!(matches!(&refused, RemoteSendError::Busy { message, .. } if *message == payload));
    assert!(accepted < 100, "memory does not grow");

    let before = Instant::now();
    let waited = a.node.send(&addr, pid(1), payload.clone()).await.unwrap_err();
    assert!(matches!(waited, RemoteSendError::Busy { .. }));
    assert_eq!(before.elapsed().as_secs(), 5, "send waits for send_timeout");

    let reads = tokio::spawn(async move { while let Ok(Some(_)) = receiver.read(64 << 10).await {} });
    soon(a.node.send(&addr, pid(1), payload)).await.unwrap();
    drop(a);
    soon(reads).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn l10_many_waiting_senders_all_get_room() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { outbound_messages: 2, ..NodeConfig::default() };
    let (a, b) = (node_with(&network, config).await, node(&network).await);
    let senders: Vec<_> = (0..50)
        .map(|sender| {
            let (node, addr) = (a.node.clone(), b.addr.clone());
            tokio::spawn(async move {
                for n in 0..40 {
                    node.send(&addr, pid(sender), number(n)).await.unwrap();
                }
            })
        })
        .collect();
    for sender in senders {
        soon(sender).await.unwrap();
    }
    let received = b.runtime.wait_for(2000).await;
    for sender in 0..50 {
        let own: Vec<_> =
            received.iter().filter(|(to, _)| *to == pid(sender)).map(|(_, n)| n.clone()).collect();
        assert_eq!(own, (0..40).map(number).collect::<Vec<_>>(), "G2 for sender {sender}");
    }
}

#[tokio::test(start_paused = true)]
async fn l19_unanswered_resolves_are_bounded() {
    let network = MemoryNetwork::new();
    let (mut listener, addr) = listen(&network).await;
    let a = node_one(&network).await;
    let asked: Vec<_> = (0..1024)
        .map(|_| {
            let (node, addr) = (a.node.clone(), addr.clone());
            tokio::spawn(async move { node.resolve(&addr, "slow").await })
        })
        .collect();
    let (connection, lane) = accept_lane(&mut listener).await;
    let mut peer = RawPeer { connection, lane };
    peer.hear(1024 * (1 + 4 + "slow".len())).await;
    let error = a.node.resolve(&addr, "one too many").await.unwrap_err();
    assert_eq!(error, ResolveError::Busy { addr: addr.clone(), max: 1024 });
    for answer in asked {
        let after = Duration::from_secs(5);
        assert_eq!(soon(answer).await.unwrap(), Err(ResolveError::Timeout { addr: addr.clone(), after }));
    }
}

#[test]
fn every_operation_works_from_a_thread_without_tokio() {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let network = MemoryNetwork::new();
    let (a, b) = io.block_on(async { (node(&network).await, node(&network).await) });
    b.runtime.register("database", pid(2));
    assert_eq!(block_on(a.node.resolve(&b.addr, "database")), Ok(Some(pid(2))));
    block_on(a.node.send(&b.addr, pid(2), number(1))).unwrap();
    a.node.try_send(&b.addr, pid(2), number(2)).unwrap();
    block_on(a.node.ping(&b.addr)).unwrap();
    assert!(block_on(a.node.is_up(&b.addr)));
    block_on(a.node.listen(&crate::fake::any())).unwrap();
    assert_eq!(block_on(a.node.flush(Duration::from_secs(10))), 0);
    assert_eq!(block_on(a.node.shutdown(Duration::from_secs(10))), 0);
    assert_eq!(b.runtime.received(), [(pid(2), number(1)), (pid(2), number(2))]);
}

/// The smallest executor: no reactor, no timer, one parked thread.
fn block_on<F: Future>(work: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}
