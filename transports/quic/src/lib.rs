//! The QUIC transport of Myrmidon
#![forbid(unsafe_code)]
