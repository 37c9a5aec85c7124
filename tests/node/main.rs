//! The mesh over the in-process transport, with a fake runtime behind each node.
//!
//! Most tests run on tokio's paused clock: time passes only when nothing else can happen, so they wait
//! for conditions and never for the wall clock.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bulk;
mod events;
mod failures;
mod fake;
mod floods;
mod gathering;
mod greetings;
mod lifecycle;
mod links;
mod messages;
mod monitors;
mod peers;
mod serving;
mod slow;
mod turns;
