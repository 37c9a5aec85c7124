//! Nodes that dial each other at once, over TCP.

use std::sync::Arc;

use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_tcp::TcpTransport;
use myrmidon_transport_harness::Mutual;

/// `MYRMIDON_ROUNDS=1000` for as many as are promised; an ordinary run does with fewer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_one_link_is_left_and_nothing_is_lost() {
    let rounds = std::env::var("MYRMIDON_ROUNDS").map_or(300, |text| text.parse().expect("a number"));
    let transport = || -> Arc<dyn Transport> { Arc::new(TcpTransport::default()) };
    // Control, four message lanes and one for large payloads.
    let transports = [transport(), transport()];
    Mutual { transports, bind: NodeAddr::new("127.0.0.1", 0), accepted_per_link: 6 }.check(rounds).await;
}
