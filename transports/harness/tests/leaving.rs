//! Nodes that leave while others link with them, in memory.

use std::sync::Arc;

use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_transport_harness::Leaving;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g10_a_node_that_leaves_while_another_links_with_it_is_missed_at_once() {
    for _ in 0..5 {
        let network = MemoryNetwork::new();
        let transport: Arc<dyn Transport> = Arc::new(MemoryTransport::new(&network));
        Leaving { transports: [transport.clone(), transport], bind: NodeAddr::new("node", 0) }.check().await;
    }
}
