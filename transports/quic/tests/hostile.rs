//! Peers that abuse the confidence of a node, over QUIC.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_transport_harness::{Hostile, hostile};

fn arrangement() -> Hostile {
    let cluster = common::Cluster::new("hostile");
    let transports =
        ["node", "intruder", "other"].map(|name| -> Arc<dyn Transport> { Arc::new(cluster.node(name)) });
    Hostile { transports, bind: NodeAddr::new("127.0.0.1", 0) }
}

hostile!(arrangement());
hostile!(arrangement(); l07_one_node_has_an_eighth_of_the_connections,
    l16_who_resets_lane_after_lane_is_cut_off);
