//! QUIC keeps the promises of all transports.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use myrmidon_transport_harness::{Subject, conformance};

conformance!({
    let dir = tempfile::tempdir().unwrap();
    Subject::new(Arc::new(common::local(dir.path())), "127.0.0.1:0")
});
