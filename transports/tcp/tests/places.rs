//! How many nodes a node can have over TCP, where a link has a connection for each of its lanes (L07).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use myrmidon::actor::Context;
use myrmidon::config::{NodeConfig, RuntimeConfig};
use myrmidon::transport::NodeAddr;
use myrmidon::{Pid, Runtime};
use myrmidon_tcp::TcpTransport;

/// Connections that the node accepts.
const MOST: usize = 16;
/// Those of a link that is being made.
const OF_ONE: usize = 6;

fn start(node: NodeConfig) -> Runtime {
    let config = RuntimeConfig { workers: 1, node, ..RuntimeConfig::default() };
    Runtime::builder().config(config).transport(Arc::new(TcpTransport::default())).start().unwrap()
}

/// A node that has linked, or why it could not.
fn link(addr: &NodeAddr, far: Pid) -> Result<Runtime, String> {
    let rt = start(NodeConfig::default());
    match rt.io().block_on(rt.remote(addr, far)) {
        Ok(_) => Ok(rt),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn l07_each_node_takes_one_place_whatever_its_link_is_made_of_and_one_too_many_is_told_so() {
    let hub = start(NodeConfig { max_connections: MOST, ..NodeConfig::default() });
    let far = hub.spawn_fn(|_: Bytes, _: &mut Context<'_>| {});
    let addr = hub.io().block_on(hub.node().listen(&"127.0.0.1:0".parse().unwrap())).unwrap();
    let mut linked = Vec::new();
    let refused = loop {
        match link(&addr, far) {
            Ok(rt) => linked.push(rt),
            Err(error) => break error,
        }
    };
    assert!((MOST - OF_ONE + 1..=MOST).contains(&linked.len()), "{} are linked: {refused}", linked.len());
    assert!(refused.contains("0x24"), "{refused}");
    for rt in linked.drain(..OF_ONE) {
        rt.shutdown(Duration::from_secs(5));
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = link(&addr, far) {
        assert!(Instant::now() < deadline, "there is room again: {error}");
    }
}
