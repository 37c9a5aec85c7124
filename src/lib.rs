//! Myrmidon: a distributed actor runtime with the BEAM's concurrency model.
//!
//! The folders mirror the modules; each may use only those before it:
//! `sync, clock, random → pid, error, config → wire → transport → mailbox → wheel → actor → scheduler →
//! (supervision, registry, timer, buffer) → node → runtime, sim`.
#![deny(unsafe_code)]

pub mod actor;
pub mod buffer;
pub mod clock;
pub mod config;
pub mod error;
pub mod mailbox;
pub mod node;
pub mod pid;
mod random;
pub mod registry;
pub mod runtime;
pub mod scheduler;
pub mod sim;
pub mod supervision;
mod sync;
pub mod timer;
pub mod transport;
mod wheel;
pub mod wire;

pub use pid::Pid;
pub use runtime::{Runtime, RuntimeBuilder};
pub use sim::Sim;

/// The programs on these pages run as tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/rust.md")]
    struct Rust;
}
