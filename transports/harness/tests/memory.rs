//! The in-process transport passes the suite.

use std::sync::Arc;

use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon_transport_harness::{Subject, conformance};

conformance!(Subject::new(Arc::new(MemoryTransport::new(&MemoryNetwork::new())), "node:0"));
