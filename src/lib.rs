//! Myrmidon: a distributed actor runtime with the BEAM's concurrency model.
//!
//! The folders mirror the modules; each may use only those before it:
//! `pid, error, config → wire → transport → mailbox → actor → scheduler →
//! (supervision, registry, timer, buffer) → node → runtime`.
#![deny(unsafe_code)]

pub mod config;
pub mod error;
pub mod pid;
pub mod transport;
pub mod wire;

pub use pid::Pid;
