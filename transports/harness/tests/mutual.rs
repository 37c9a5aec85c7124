//! Nodes that dial each other at once, in memory.

use std::sync::Arc;

use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_transport_harness::Mutual;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_a_thousand_times_one_link_is_left_and_nothing_is_lost() {
    let network = MemoryNetwork::new();
    let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new(&network));
    let transports = [transport.clone(), transport];
    Mutual { transports, bind: NodeAddr::new("node", 0), accepted_per_link: 1 }.check(1000).await;
}
