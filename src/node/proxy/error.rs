//! Why there is no proxy.

use crate::node::error::ResolveError;
use crate::transport::NodeAddr;

/// Why a remote actor did not get a PID here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The node could not be reached or asked.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// No actor of that node has the name.
    #[error(
        "nobody has the name {name:?} at {addr}: is it registered there, and the actor alive and one of that node?"
    )]
    NoName {
        /// The node.
        addr: NodeAddr,
        /// The name.
        name: String,
    },
    /// The reference is to an earlier life of the node, with which its actors have ended.
    #[error("the node at {addr} has been started anew since the reference was made: ask for another one")]
    Restarted {
        /// The node.
        addr: NodeAddr,
    },
    /// The reference has no address, since its node listened nowhere, and that node is not linked with
    /// this one.
    #[error(
        "the reference has no address, and its node has no connection to this one: let it listen, or advertise an address"
    )]
    NoAddress,
    /// As many actors of other nodes are known here as may be (L20).
    #[error("{0} actors of other nodes are known here, which is the most: raise max_proxies")]
    TooMany(usize),
}
