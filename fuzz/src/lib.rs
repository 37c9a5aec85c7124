//! Arbitrary bytes against everything that reads what a peer has written.
//!
//! A target is a function of bytes that panics when something is wrong. `tests/replay.rs` gives each of
//! them its corpus and a bounded number of changed inputs, in every test run; `scripts/fuzz.sh` goes on
//! for as long as it is told, with a build that says which branches an input has reached, so that inputs
//! which reach new ones are kept.
//!
//! | file | holds |
//! |---|---|
//! | `codec` | the decoders of both levels, and of answers: however the bytes are split |
//! | `text` | addresses, and the names that ask for a level |
//! | `talk` | a whole conversation with a node: greetings, lanes, frames in any order |
//! | `input` | choices out of bytes |
//! | `mutate` | inputs out of inputs |
//! | `coverage` | which branches were reached |
//! | `driver` | runs a target on many inputs |
//! | `corpus` | what they begin with |

mod codec;
pub mod corpus;
mod coverage;
pub mod driver;
mod input;
mod mutate;
mod talk;
mod text;

/// What can be fuzzed.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its folder of inputs.
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// How many inputs an ordinary test run gives it: as many as take a few seconds.
    pub rounds: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "level1", run: codec::level1, rounds: 20_000 },
    Target { name: "level2", run: codec::level2, rounds: 20_000 },
    Target { name: "answers", run: codec::answers, rounds: 20_000 },
    Target { name: "text", run: text::text, rounds: 20_000 },
    Target { name: "talk", run: talk::talk, rounds: 400 },
];
