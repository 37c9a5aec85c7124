//! Runtimes that lose each other and find each other again, over TCP without TLS and with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use myrmidon::transport::{NodeAddr, Transport};
use myrmidon_tcp::TcpTransport;
use myrmidon_transport_harness::{Reunion, reunion};

fn bind() -> NodeAddr {
    NodeAddr::new("127.0.0.1", 0)
}

mod plain {
    use super::*;

    fn arrangement() -> Reunion {
        let transports = [(); 3].map(|()| -> Arc<dyn Transport> { Arc::new(TcpTransport::default()) });
        Reunion { transports, bind: bind() }
    }

    reunion!(arrangement());
}

mod tls {
    use super::*;

    fn arrangement() -> Reunion {
        let cluster = common::Cluster::new("reunion");
        let transports =
            ["here", "there", "there"].map(|name| -> Arc<dyn Transport> { Arc::new(cluster.node(name)) });
        Reunion { transports, bind: bind() }
    }

    reunion!(arrangement());
}
