//! Actors: what they are made of, how one starts, runs a slice, and ends.
//!
//! | file | holds |
//! |---|---|
//! | `behaviour` | the trait under every kind of actor, typed or bytes, sync or async |
//! | `typed` | `Actor`, `ActorRef` for Rust users |
//! | `async_actor` | `AsyncActor`: one future for all messages of an actor |
//! | `waker` | wakes an actor that waits for a future |
//! | `ask` | questions: messages that carry the way back for an answer |
//! | `priority` | who runs first |
//! | `slot`, `table` | where actors live; a PID is an index and a generation |
//! | `cell` | what only the running owner touches |
//! | `signal` | system signals and which of them overtake (S41) |
//! | `system` | send, spawn (the one way to start) |
//! | `slice`, `signals` | one turn of an actor: messages by budget, signals first |
//! | `exit` | the one way to end |
//! | `guard` | what holds up panics of code that is not ours |

mod ask;
mod async_actor;
mod behaviour;
mod cell;
mod context;
mod exit;
mod guard;
#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod observed;
mod priority;
mod reason;
mod signal;
mod signals;
mod slice;
mod slot;
mod system;
mod table;
mod typed;
mod waker;

pub use ask::{AskError, Reply};
pub use async_actor::AsyncActor;
pub(crate) use async_actor::AsyncAdapter;
pub use behaviour::{Behaviour, Flow, ParkedFuture};
pub use context::{Context, current};
pub use exit::{ExitHook, ExitNotice};
pub(crate) use guard::{discard, panic_text, shielded};
pub use observed::{Observed, Observers};
pub use priority::Priority;
pub use reason::ExitReason;
pub use signal::{ExitCause, MonitorRef, SystemMessage};
pub(crate) use signal::{Signal, Watcher};
pub use slice::SliceLimits;
pub(crate) use slice::{After, Runner, run_slice};
pub(crate) use slot::{LifoSlot, LifoThief, Ready};
pub use system::SpawnOptions;
pub(crate) use system::{Schedule, System, SystemHooks};
pub(crate) use typed::SyncAdapter;
pub use typed::{Actor, ActorRef, BytesFn, Codec, bytes_fn};
