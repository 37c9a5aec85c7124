//! The peers: runtimes that do the same work with the same checks.

mod erlang;
#[cfg(feature = "peers")]
mod rust;

pub(crate) use self::erlang::{output, release as erlang_release};
use crate::rounds::Peer;

/// Every peer that can be had here; says on standard error which cannot, and why.
pub(crate) fn available() -> Vec<Box<dyn Peer>> {
    let mut peers: Vec<Box<dyn Peer>> = Vec::new();
    match erlang::Erlang::build() {
        Ok(erlang) => peers.push(Box::new(erlang)),
        Err(error) => eprintln!("without Erlang: {error}"),
    }
    if cfg!(not(feature = "peers")) {
        eprintln!("without the Rust peers: build with --features peers");
    }
    peers.extend(inside());
    peers
}

/// The peers that run inside this process.
pub(crate) fn inside() -> Vec<Box<dyn Peer>> {
    #[cfg(feature = "peers")]
    return rust::all();
    #[cfg(not(feature = "peers"))]
    Vec::new()
}
