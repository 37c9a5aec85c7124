//! Actors of other nodes behind PIDs of this one.
//!
//! | file | holds |
//! |---|---|
//! | `neighbours` | the nodes of which actors are known here, each in one of its lives |
//! | `far` | an actor of a node that speaks level 2, as its proxy sees it |
//! | `plain` | the same at level 1, where only messages travel |
//! | `finding` | from an address and a name, or a reference, to a proxy |
//! | `following`, `follower` | proxies that stand for whoever has a name, one after the other |
//! | `seeking`, `waiting` | looking for him again, and what waits meanwhile |
//! | `absence` | what is said while nobody is found |
//! | `own` | an actor of this node behind a name that is followed |
//! | `error` | why there is none |
//!
//! A proxy outlives the connection: when that is lost its monitors and links fire, and it waits for the
//! node to come back in the same life. It ends with its actor, with that life, when the node leaves, or, when
//! there are too many, while the node is lost.

mod absence;
mod error;
mod far;
mod finding;
mod follower;
mod following;
mod found;
mod neighbours;
mod own;
mod plain;
mod seeking;
mod waiting;

pub use error::RemoteError;
pub use finding::Target;
pub(super) use neighbours::Neighbours;

use std::sync::Arc;

use self::neighbours::Neighbour;
use super::link::Link;

/// The node at the other end of `link`.
pub(super) fn neighbour(link: &Arc<Link>) -> Arc<Neighbour> {
    link.neighbours().of(link, None)
}
