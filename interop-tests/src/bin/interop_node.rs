//! A Rust node for the interop tests, driven by lines (see `src/node.rs`).
#![forbid(unsafe_code)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    myrmidon_interop_tests::program::run(std::env::args().skip(1))
}
