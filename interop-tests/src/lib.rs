//! Real processes on both transports: Rust and Python nodes, legacy peers, faults
#![forbid(unsafe_code)]
