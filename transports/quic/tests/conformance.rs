//! QUIC keeps the promises of all transports.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use myrmidon_quic::QuicTransport;
use myrmidon_transport_harness::{Subject, conformance};

conformance!({
    let dir = tempfile::tempdir().unwrap();
    let mut config = common::local_config(dir.path());
    // A hundred handshakes at once, unoptimised and on a machine with other work, may take their time.
    config.loopback.handshake_timeout = Duration::from_secs(25);
    Subject::new(Arc::new(QuicTransport::new(config).unwrap()), "127.0.0.1:0")
});
