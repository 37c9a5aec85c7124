//! TCP passes the suite, by IP address and by host name (which may resolve to IPv6), and with TLS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use myrmidon_tcp::TcpTransport;
use myrmidon_transport_harness::{Subject, conformance};

mod common;

mod ipv4 {
    use super::*;

    conformance!(Subject::new(Arc::new(TcpTransport::default()), "127.0.0.1:0"));
}

mod by_name {
    use super::*;

    conformance!(Subject::new(Arc::new(TcpTransport::default()), "localhost:0"));
}

mod with_tls {
    use super::*;

    conformance!({
        let dir = tempfile::tempdir().unwrap();
        let mut config = common::local_config(dir.path());
        // A hundred handshakes at once, unoptimised and on a machine with other work, may take their time.
        config.handshake_timeout = std::time::Duration::from_secs(25);
        Subject::new(Arc::new(common::transport(config)), "127.0.0.1:0")
    });
}
