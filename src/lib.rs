//! Myrmidon: a distributed actor runtime with the BEAM's concurrency model.
//!
//! The folders mirror the modules; each may use only those before it:
//! `sync → pid, error, config → wire → transport → mailbox → wheel → actor → scheduler →
//! (supervision, registry, timer, buffer) → node → runtime`.
#![deny(unsafe_code)]

pub mod actor;
pub mod buffer;
pub mod config;
pub mod error;
pub mod mailbox;
pub mod node;
pub mod pid;
pub mod registry;
pub mod runtime;
pub mod scheduler;
pub mod supervision;
mod sync;
pub mod timer;
pub mod transport;
mod wheel;
pub mod wire;

pub use pid::Pid;
pub use runtime::{Runtime, RuntimeBuilder};

/// The programs on these pages run as tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/rust.md")]
    struct Rust;
}
