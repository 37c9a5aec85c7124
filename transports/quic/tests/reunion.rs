//! Runtimes that lose each other and find each other again, over QUIC.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_transport_harness::{Reunion, reunion};

fn arrangement() -> Reunion {
    let cluster = common::Cluster::new("reunion");
    let transports =
        ["here", "there", "there"].map(|name| -> Arc<dyn Transport> { Arc::new(cluster.node(name)) });
    Reunion { transports, bind: NodeAddr::new("127.0.0.1", 0) }
}

reunion!(arrangement());
