//! What a node remembers of others, and for how long.

use std::time::Duration;

use myrmidon::config::NodeConfig;
use myrmidon::node::{PingError, RemoteSendError};
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;
use tokio::time::sleep;

use crate::fake::{node, node_with, number, pid};

const IDLE: Duration = Duration::from_secs(60);

fn dead(number: u16) -> NodeAddr {
    NodeAddr::new("dead", number)
}

#[tokio::test(start_paused = true)]
async fn g11_addresses_that_nobody_uses_any_more_are_forgotten_and_who_comes_back_is_found() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    a.node.ping(&b.addr).await.unwrap();
    for round in 0..3 {
        for n in 1..=3000 {
            drop(a.node.try_send(&dead(n), pid(1), number(1)));
            if n % 100 == 0 {
                drop(a.node.ping(&dead(n)).await);
                let fired = tokio::sync::oneshot::channel();
                a.node.monitor(&dead(n), pid(1), Box::new(move |_| fired.0.send(()).unwrap()));
                fired.1.await.unwrap();
            }
        }
        assert!(a.node.peers().len() > 3000, "round {round}");
        sleep(2 * IDLE + Duration::from_secs(1)).await;
        let left = a.node.peers();
        assert_eq!(left.len(), 1, "round {round}: {:?}", &left[..left.len().min(3)]);
        assert_eq!((&left[0].addr, left[0].connected), (&b.addr, true), "a connection is kept");
    }
    // The one that was lost comes back to an address that was forgotten.
    network.cut(&b.addr);
    sleep(3 * IDLE).await;
    assert!(a.node.peers().is_empty());
    a.node.send(&b.addr, pid(1), number(7)).await.unwrap();
    b.runtime.wait_for(1).await;
}

#[tokio::test(start_paused = true)]
async fn g11_what_is_watched_or_was_decided_of_an_address_is_kept() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network).await, node(&network).await);
    a.node.speak_level_1(&dead(1));
    let monitor = a.node.monitor(&b.addr, pid(1), Box::new(|_| {}));
    sleep(5 * IDLE).await;
    assert_eq!(a.node.peers().len(), 2);
    assert!(a.node.demonitor(monitor));
}

#[tokio::test(start_paused = true)]
async fn g11_peers_are_bounded_and_idle_ones_make_room_at_once() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { max_peers: 10, ..NodeConfig::default() };
    let a = node_with(&network, config).await;
    for n in 1..=10 {
        drop(a.node.ping(&dead(n)).await);
    }
    // All of them have a pause before the next dial.
    let refused = a.node.try_send(&dead(11), pid(1), number(1)).unwrap_err();
    let says = |text: &str| text.contains("raise max_peers");
    assert!(matches!(&refused, RemoteSendError::NoConnection { reason, .. } if says(reason)), "{refused}");
    let refused = a.node.ping(&dead(11)).await.unwrap_err();
    assert!(matches!(&refused, PingError::NoConnection { reason, .. } if says(reason)), "{refused}");
    sleep(Duration::from_secs(1)).await;
    assert!(a.node.try_send(&dead(11), pid(1), number(1)).is_ok());
    assert_eq!(a.node.peers().len(), 1);
}
