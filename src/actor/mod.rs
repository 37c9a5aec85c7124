//! Actors: what they are made of, how one starts, runs a slice, and ends.
//!
//! | file | holds |
//! |---|---|
//! | `behaviour` | the trait under every kind of actor, typed or bytes, sync or async |
//! | `typed` | `Actor`, `ActorRef` for Rust users |
//! | `async_actor` | `AsyncActor`: one future for all messages of an actor |
//! | `waker` | wakes an actor that waits for a future |
//! | `wait` | a thread that waits for a future |
//! | `ask` | questions: messages that carry the way back for an answer |
//! | `request` | questions to actors of bytes, by bare PID |
//! | `one_shot` | the way back of an answer |
//! | `priority` | who runs first |
//! | `proxy` | PIDs that stand for actors of other nodes |
//! | `reference` | an actor in words that any node understands |
//! | `slot`, `table` | where actors live; a PID is an index and a generation |
//! | `cell` | what only the running owner touches |
//! | `signal` | system signals and which of them overtake (S41) |
//! | `system` | spawn (the one way to start), and the calls about single actors |
//! | `sending`, `sending_here`, `send_many` | to one actor, to a bounded mailbox; with its turn at once; many messages |
//! | `send_async` | waiting for room |
//! | `debt` | what a sender to a very long queue owes |
//! | `dead_letters` | messages that nobody will handle |
//! | `sinks` | callbacks that are shown things as they happen |
//! | `node_event` | what an actor is told of other nodes |
//! | `slice`, `signals` | one turn of an actor: messages by budget, signals first |
//! | `apart` | the same where messages lie in a bounded mailbox, or wait long |
//! | `exit` | the one way to end |
//! | `swapping` | asking for other code |
//! | `options` | how an actor is started |
//! | `trust` | whose messages reach an actor |
//! | `timed` | messages sent later; they end with their actor |
//! | `blocking` | handlers that block their thread |
//! | `guard` | what holds up panics of code that is not ours |
//! | `info` | what can be told about a living actor |

mod apart;
mod ask;
mod async_actor;
mod behaviour;
mod blocking;
#[cfg(all(test, myrmidon_loom))]
mod bounded_loom_tests;
mod cell;
mod context;
mod dead_letters;
mod debt;
mod exit;
mod fork;
mod guard;
mod info;
#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod node_event;
mod observed;
mod one_shot;
mod options;
mod priority;
mod proxy;
mod reason;
mod reference;
mod request;
mod send_async;
mod send_many;
mod sending;
mod sending_here;
mod signal;
mod signals;
mod sinks;
mod slice;
mod slot;
mod swapping;
mod system;
mod table;
mod timed;
mod trust;
mod typed;
mod wait;
mod waker;
mod winding;

pub use ask::{AskError, LateReplies, Reply, ending};
pub use async_actor::AsyncActor;
pub(crate) use async_actor::AsyncAdapter;
pub use behaviour::{Behaviour, Flow, ParkedFuture};
pub(crate) use context::Running;
pub use context::{Context, current};
pub use dead_letters::{DeadLetter, DeadLetterReason, DeadLetterWatch};
pub(crate) use debt::forgive as forgive_debt;
pub use exit::{ExitHook, ExitNotice};
pub use fork::ForkGuard;
pub(crate) use guard::{discard, panic_text, shielded};
pub(crate) use info::Work;
pub use info::{ActorBonds, ActorInfo, TopBy};
pub use node_event::{NodeEvent, NodeState};
pub use observed::{Observed, Observers};
pub use options::SpawnOptions;
pub use priority::Priority;
pub(crate) use proxy::{LaterSend, Remote};
pub use reason::ExitReason;
pub use reference::{Reference, ReferenceError};
pub use request::Request;
#[cfg(test)]
pub(crate) use request::Waits;
pub use signal::{ExitCause, MonitorRef, SystemMessage};
pub(crate) use signal::{ExitSignal, Mark, Signal, Watcher};
pub(crate) use sinks::Sinks;
pub use sinks::Subscription;
pub use slice::SliceLimits;
pub(crate) use slice::{After, Runner, run_slice};
pub(crate) use slot::{LifoSlot, LifoThief, Ready};
pub(crate) use system::{Schedule, System, SystemHooks};
pub(crate) use typed::SyncAdapter;
pub use typed::{Actor, ActorRef, BytesFn, Codec, bytes_fn};
pub(crate) use wait::wait;
pub(crate) use waker::serving;
