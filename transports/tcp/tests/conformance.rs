//! TCP passes the suite, by IP address and by host name (which may resolve to IPv6).

use std::sync::Arc;

use myrmidon_tcp::TcpTransport;
use myrmidon_transport_harness::{Subject, conformance};

mod ipv4 {
    use super::*;

    conformance!(Subject::new(Arc::new(TcpTransport::default()), "127.0.0.1:0"));
}

mod by_name {
    use super::*;

    conformance!(Subject::new(Arc::new(TcpTransport::default()), "localhost:0"));
}
