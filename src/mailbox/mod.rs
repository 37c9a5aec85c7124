//! Mailboxes: the one-word inbox, the queue of a bounded one, the pool of message nodes, the payload.

mod bounded;
mod chain;
mod inbox;
#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod node;
mod node_pool;
mod payload;
mod policy;
mod waiters;

pub(crate) use bounded::{Bounded, Next, Offer};
pub(crate) use chain::{Batch, Chain};
pub(crate) use inbox::{Inbox, Push};
pub(crate) use node::Node;
pub(crate) use node_pool::{NodeRun, Stay};
pub use payload::{IntoBytes, Payload, Value};
pub use policy::{Mailbox, Overflow};
