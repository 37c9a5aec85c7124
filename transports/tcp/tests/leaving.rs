//! Nodes that leave while others link with them, over TCP without TLS and with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_tcp::TcpTransport;
use myrmidon_transport_harness::Leaving;

async fn check(transports: [Arc<dyn Transport>; 2]) {
    let leaving = Leaving { transports, bind: NodeAddr::new("127.0.0.1", 0) };
    for _ in 0..5 {
        leaving.check().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_node_that_leaves_while_another_links_with_it_is_missed_at_once() {
    check([(); 2].map(|()| -> Arc<dyn Transport> { Arc::new(TcpTransport::default()) })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_node_that_leaves_while_another_links_with_it_is_missed_at_once_over_tls() {
    let cluster = common::Cluster::new("leaving");
    check(["here", "there"].map(|name| -> Arc<dyn Transport> { Arc::new(cluster.node(name)) })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_an_address_that_does_not_answer_spoils_the_end_towards_nobody_else() {
    let transports = [(); 2].map(|()| -> Arc<dyn Transport> { Arc::new(TcpTransport::default()) });
    Leaving { transports, bind: NodeAddr::new("127.0.0.1", 0) }.check_beside_silence().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g8_an_address_that_does_not_answer_spoils_the_end_towards_nobody_else_over_tls() {
    let cluster = common::Cluster::new("leaving");
    let transports = ["here", "there"].map(|name| -> Arc<dyn Transport> { Arc::new(cluster.node(name)) });
    Leaving { transports, bind: NodeAddr::new("127.0.0.1", 0) }.check_beside_silence().await;
}
