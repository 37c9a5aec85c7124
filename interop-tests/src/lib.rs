//! Real processes on both transports: Rust and Python nodes, level-1 peers, faults.
//!
//! `README.md` has the matrix and the commands. The scenarios are plain functions of a [`Setup`];
//! `tests/scenarios.rs` turns each into a test per transport and pair of languages.
#![forbid(unsafe_code)]

pub mod ledger;
pub mod legacy;
pub mod node;
pub mod process;
pub mod program;
pub mod raw;
pub mod scenario;
pub mod traffic;
pub mod wait;
#[cfg(target_os = "linux")]
pub mod wan;

pub use node::{Counts, Kind, Language, Node, Setup};
