//! Level 2: the frames that two nodes of ours speak once they have agreed to (`PROTOCOL.md`).
//!
//! `00`, `02` and `03` are as at level 1; every other frame says how long it is and can grow:
//! `type:u8 · flags:u8 · len:u32 · hlen:u16 · fields[hlen] · data[len-2-hlen]`.
//!
//! | file | holds |
//! |---|---|
//! | `field` | how one field looks: numbers, ids, PIDs, short and long texts |
//! | `bodies` | a structure for each type of frame |
//! | `frame` | the table of types, and encoding |
//! | `decoder` | bytes to frames, however they are split |
//! | `probe` | how a dialler on plain TCP finds out who is there |

mod bodies;
mod decoder;
mod field;
mod frame;
mod probe;

pub use bodies::{
    Ask, Bulk, BulkCancel, Chunk, Credit, Demonitor, Down, Drained, Error, Exit, Goaway, Hello, HelloAck,
    Info, Lane, LaneOk, Link, Monitor, Ready, Reply, Resolve, Resolved, Unlink, UnlinkAck, Xoff, Xon,
};
pub use decoder::Decoder;
pub use field::{Id, Text8, Text16};
pub use frame::{Frame, HELLO, LANE};
pub use probe::{Probe, magic, read_magic};

/// The version of the protocol that this node speaks at most.
pub const VERSION: u16 = 2;
/// The lowest version that it still speaks.
pub const MIN_VERSION: u16 = 2;
/// HELLO and HELLO_ACK are never longer (L01).
pub const MAX_HELLO: usize = 4096;

impl Default for Hello {
    /// The greeting of a node without a name and an id, in its first life, which has no lanes but control, offers
    /// nothing beyond what every node must, and takes 1 MiB. Who writes a peer by hand fills in the rest.
    fn default() -> Self {
        Self {
            cluster: Text8::default(),
            name: Text8::default(),
            node: Id::NONE,
            incarnation: 1,
            link: Id::NONE,
            vmin: MIN_VERSION,
            vmax: VERSION,
            caps: 0,
            lanes: 0,
            max_frame: 1 << 20,
            max_message: 1 << 20,
            credit_msgs: 1000,
            credit_bytes: 1 << 20,
            bulk_slots: 0,
            heartbeat_ms: 1000,
            advertised: Text8::default(),
        }
    }
}
