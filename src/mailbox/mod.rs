//! Mailboxes: the payload, the pool of message nodes, and the one-word inbox.

mod inbox;
mod node_pool;
mod payload;

pub(crate) use inbox::{Chain, Inbox, Node, Push};
pub(crate) use node_pool::NodeRun;
pub use payload::{IntoBytes, Payload, Value};
