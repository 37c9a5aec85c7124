//! Mailboxes: the payload, the pool of message nodes, and the one-word inbox.

mod inbox;
#[cfg(all(test, myrmidon_loom))]
mod loom_tests;
mod node_pool;
mod payload;

pub(crate) use inbox::{Chain, Inbox, Node, Push};
pub(crate) use node_pool::NodeRun;
pub use payload::{IntoBytes, Payload, Value};
