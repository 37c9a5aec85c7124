//! Cluster CA, node certificates, trust, and plain rustls configs
#![forbid(unsafe_code)]
