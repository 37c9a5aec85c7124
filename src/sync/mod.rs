//! What the lock-free parts are built from: the standard library's primitives, or loom's models of
//! them in unit tests compiled with `--cfg myrmidon_loom` (`scripts/loom.sh`).
//!
//! A file whose protocol has a model takes its primitives from here. What other files use, such as
//! `Arc`, stays the standard library's: loom then sees no switch of threads in it, and takes no
//! order of memory from it.

#[cfg(not(all(test, myrmidon_loom)))]
mod asymmetric;
#[cfg(all(test, myrmidon_loom))]
mod model;
mod prompt;
#[cfg(not(all(test, myrmidon_loom)))]
mod standard;

#[cfg(all(test, myrmidon_loom))]
pub(crate) use model::*;
#[cfg(not(all(test, myrmidon_loom)))]
pub(crate) use standard::*;

pub(crate) use prompt::be_prompt;

/// Whether this is a build for loom, where sizes are small so that few steps reach their limits.
pub(crate) const MODEL: bool = cfg!(all(test, myrmidon_loom));
