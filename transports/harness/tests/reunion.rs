//! Runtimes that lose each other and find each other again, in memory.

use std::sync::Arc;

use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_transport_harness::{Reunion, reunion};

fn arrangement() -> Reunion {
    let network = MemoryNetwork::new();
    let transports = [(); 3].map(|()| -> Arc<dyn Transport> { Arc::new(MemoryTransport::new(&network)) });
    Reunion { transports, bind: NodeAddr::new("node", 0) }
}

reunion!(arrangement());
