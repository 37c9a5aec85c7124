//! A lane that has written little lets more come together before it writes again. The clock of these tests stands
//! still as long as anybody has something to do, so nothing here depends on how long that takes.

use std::time::Duration;

use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::MemoryNetwork;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::fake::{Running, node, node_with, number, pid, soon};

const MANY: usize = 1000;

/// Two nodes with one lane for all messages, that are connected.
async fn pair() -> (Running, Running) {
    let network = MemoryNetwork::new();
    let config = NodeConfig { message_lanes: 1, ..NodeConfig::default() };
    let (a, b) = (node_with(&network, config).await, node(&network).await);
    assert!(a.node.is_up(&b.addr).await);
    (a, b)
}

/// Sends one message after the other, each when the writer has had the thread.
async fn send_many(a: &Running, b: &Running) {
    for n in 0..MANY {
        a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
        yield_now().await;
    }
}

async fn check_all_came(b: &Running) {
    let received = b.runtime.wait_for(MANY).await;
    assert_eq!(received, (0..MANY).map(|n| (pid(1), number(n))).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_without_a_pause_comes_together_in_its_order() {
    let (a, b) = pair().await;
    send_many(&a, &b).await;
    check_all_came(&b).await;
    let writes = b.runtime.deliveries() as usize;
    assert!(writes < MANY / 10, "{writes} for {MANY} messages");
}

#[tokio::test(start_paused = true)]
async fn a_message_for_which_nothing_else_comes_is_written_by_itself() {
    let (a, b) = pair().await;
    let began = Instant::now();
    for n in 0..50 {
        a.node.try_send(&b.addr, pid(1), number(n)).unwrap();
        assert_eq!(b.runtime.wait_for(n + 1).await[n], (pid(1), number(n)));
    }
    assert_eq!(b.runtime.deliveries(), 50);
    assert_eq!(Instant::now(), began, "nobody had to wait for the clock");
}

#[tokio::test(start_paused = true)]
async fn g8_a_node_that_leaves_while_a_lane_gathers_loses_nothing() {
    let (a, b) = pair().await;
    send_many(&a, &b).await;
    assert_eq!(soon(a.node.shutdown(Duration::from_secs(2))).await, 0, "unconfirmed");
    check_all_came(&b).await;
}
