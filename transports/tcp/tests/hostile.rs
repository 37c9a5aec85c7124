//! Peers that abuse the confidence of a node, over TCP without TLS and with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_tcp::TcpTransport;
use myrmidon_transport_harness::Hostile;

fn bind() -> NodeAddr {
    NodeAddr::new("127.0.0.1", 0)
}

mod plain {
    use super::*;

    fn arrangement() -> Hostile {
        let transports = [(); 3].map(|()| -> Arc<dyn Transport> { Arc::new(TcpTransport::default()) });
        Hostile { transports, bind: bind() }
    }

    myrmidon_transport_harness::hostile!(arrangement());
}

mod tls {
    use super::*;

    fn arrangement() -> Hostile {
        let cluster = common::Cluster::new("hostile");
        let transports =
            ["node", "intruder", "other"].map(|name| -> Arc<dyn Transport> { Arc::new(cluster.node(name)) });
        Hostile { transports, bind: bind() }
    }

    myrmidon_transport_harness::hostile!(arrangement());
    myrmidon_transport_harness::hostile!(arrangement(); l07_one_node_has_an_eighth_of_the_connections);
}
