//! A structure for each type of frame, with its fields in the order of the wire. PIDs are optional where the wire may say 0. Numbers of the side that asks are not used twice.

use bytes::{Bytes, BytesMut};

use super::field::{Field, Id, Malformed, Text8, Text16};
use crate::pid::Pid;

/// What follows the head of a frame.
pub(super) trait Body: Sized {
    fn put(&self, out: &mut BytesMut);
    fn get(fields: &mut &[u8], data: Bytes) -> Result<Self, Malformed>;
    /// What comes after the fields.
    fn into_data(self) -> Bytes;
}

macro_rules! body {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* } $($data:ident)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            $(/// What comes after the fields.
            pub $data: Bytes,)?
        }

        impl Body for $name {
            fn put(&self, out: &mut BytesMut) {
                $(self.$field.put(out);)*
            }

            fn get(fields: &mut &[u8], _data: Bytes) -> Result<Self, Malformed> {
                Ok(Self { $($field: Field::get(fields)?,)* $($data: _data,)? })
            }

            fn into_data(self) -> Bytes {
                #[allow(unused_variables, reason = "shadowed by the frames that have data")]
                let data = Bytes::new();
                $(let data = self.$data;)?
                data
            }
        }
    };
}

body! {
    /// The first frame of a link: who dials, and what it can take.
    Hello {
        /// The trust domain, or nothing.
        cluster: Text8,
        /// The node's name, or nothing.
        name: Text8,
        /// The node's id.
        node: Id,
        /// Which life of the node it is; compared for equality only.
        incarnation: u64,
        /// The link's id, chosen by the dialler.
        link: Id,
        /// The lowest version that is spoken.
        vmin: u16,
        /// The highest version that is spoken.
        vmax: u16,
        /// Capability bits.
        caps: u64,
        /// Message lanes wanted.
        lanes: u8,
        /// The largest frame that is taken, in bytes.
        max_frame: u32,
        /// The largest payload that is taken, in bytes.
        max_message: u64,
        /// Messages that may be sent before any CREDIT.
        credit_msgs: u32,
        /// Their bytes.
        credit_bytes: u32,
        /// Large payloads that may be under way at once.
        bulk_slots: u8,
        /// How often this side pings, in milliseconds.
        heartbeat_ms: u32,
        /// Where this node can be dialled; empty if nowhere.
        advertised: Text8,
    }
}

/// The answer to HELLO; both versions are the chosen one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloAck {
    /// The acceptor's own HELLO.
    pub hello: Hello,
    /// The link that the acceptor has up with the dialler's node.
    pub other: Id,
    /// What the further lanes must show; zero over TLS.
    pub key: Id,
}

impl Body for HelloAck {
    fn put(&self, out: &mut BytesMut) {
        self.hello.put(out);
        self.other.put(out);
        self.key.put(out);
    }

    fn get(fields: &mut &[u8], data: Bytes) -> Result<Self, Malformed> {
        let hello = Hello::get(fields, data)?;
        Ok(Self { hello, other: Field::get(fields)?, key: Field::get(fields)? })
    }

    fn into_data(self) -> Bytes {
        Bytes::new()
    }
}

body! {
    /// The last frame of a lane, or why the link ends.
    Goaway {
        /// A close code.
        code: u16,
        /// In words.
        reason: Text16,
    }
}

body! {
    /// The first frame of a further lane.
    Lane {
        /// 1 for messages, 2 for bulk.
        kind: u8,
        /// Which of its kind.
        number: u8,
        /// The link it belongs to.
        link: Id,
        /// The key of HELLO_ACK.
        key: Id,
    }
}

body! {
    /// The answer to LANE.
    LaneOk {
        /// As in LANE.
        kind: u8,
        /// As in LANE.
        number: u8,
    }
}

body! {
    /// The link is up.
    Ready {
        /// The number of message lanes; with 0 control carries everything.
        lanes: u8,
    }
}

body! {
    /// Everything that came is where it belongs.
    Drained {
        /// How many messages came.
        received: u64,
    }
}

body! {
    /// Asks for the PID of a name.
    Resolve {
        /// The question.
        rid: u64,
        /// Who asks; the answer travels in its lane.
        from: Option<Pid>,
        /// The name.
        name: Text16,
    }
}

body! {
    /// The answer to RESOLVE.
    Resolved {
        /// The question.
        rid: u64,
        /// Who asked.
        to: Option<Pid>,
        /// The PID, if anybody has the name.
        pid: Option<Pid>,
        /// The life of the node in which that PID is valid.
        incarnation: u64,
    }
}

body! {
    /// A message that wants an answer.
    Ask {
        /// The question.
        rid: u64,
        /// The receiver.
        to: Option<Pid>,
        /// Who asks.
        from: Option<Pid>,
        /// How long an answer is wanted; `u32::MAX` means for ever.
        left_ms: u32,
    } data
}

body! {
    /// The answer to ASK.
    Reply {
        /// The question.
        rid: u64,
        /// Who asked.
        to: Option<Pid>,
    } data
}

body! {
    /// Why there is no answer to ASK.
    Error {
        /// The question.
        rid: u64,
        /// Who asked.
        to: Option<Pid>,
        /// A number for programs.
        code: u16,
        /// A text for people.
        text: Text16,
    }
}

body! {
    /// Asks for one DOWN when an actor ends.
    Monitor {
        /// The monitor.
        id: u64,
        /// Who is monitored; nobody means the owner of `name`.
        to: Option<Pid>,
        /// Who monitors.
        from: Option<Pid>,
        /// The name that is monitored, or nothing.
        name: Text16,
    }
}

body! {
    /// Takes a MONITOR back.
    Demonitor {
        /// The monitor.
        id: u64,
        /// Who is monitored.
        to: Option<Pid>,
        /// Who monitors.
        from: Option<Pid>,
    }
}

body! {
    /// A monitored actor has ended.
    Down {
        /// The monitor.
        id: u64,
        /// Who monitors.
        to: Option<Pid>,
        /// Who has ended.
        pid: Option<Pid>,
        /// Why, by number (`PROTOCOL.md`, reasons).
        reason: u8,
        /// The name that was monitored, or nothing.
        name: Text16,
        /// Why, in words.
        text: Text16,
    }
}

body! {
    /// Links two actors.
    Link {
        /// The other.
        to: Option<Pid>,
        /// This side's.
        from: Option<Pid>,
    }
}

body! {
    /// Removes a link.
    Unlink {
        /// The removal, for its acknowledgement.
        id: u64,
        /// The other.
        to: Option<Pid>,
        /// This side's.
        from: Option<Pid>,
    }
}

body! {
    /// The answer to UNLINK.
    UnlinkAck {
        /// The removal.
        id: u64,
        /// The other.
        to: Option<Pid>,
        /// This side's.
        from: Option<Pid>,
    }
}

body! {
    /// An exit signal.
    Exit {
        /// Who gets it.
        to: Option<Pid>,
        /// Who ended, or sent it.
        from: Option<Pid>,
        /// 0 through a link, 1 explicit.
        kind: u8,
        /// Why, as in DOWN.
        reason: u8,
        /// Why, in words.
        text: Text16,
    }
}

body! {
    /// Stop sending to one actor.
    Xoff {
        /// The actor.
        pid: Option<Pid>,
    }
}

body! {
    /// Go on sending to it.
    Xon {
        /// The actor.
        pid: Option<Pid>,
    }
}

body! {
    /// How much may be sent in all, counted from the beginning of the link.
    Credit {
        /// Messages.
        msgs: u64,
        /// Their bytes.
        bytes: u64,
        /// Messages that have come.
        received: u64,
    }
}

body! {
    /// Announces a large payload in its receiver's lane.
    Bulk {
        /// The payload.
        bulk: u64,
        /// The receiver.
        to: Option<Pid>,
        /// What it is: the type `00`, `20` or `21`.
        kind: u8,
        /// The question, of an ASK or REPLY.
        rid: u64,
        /// Who asks, of an ASK.
        from: Option<Pid>,
        /// As in ASK.
        left_ms: u32,
        /// Its length in bytes.
        total: u64,
    }
}

body! {
    /// A piece of a large payload.
    Chunk {
        /// The payload.
        bulk: u64,
        /// The receiver.
        to: Option<Pid>,
        /// Its length in bytes.
        total: u64,
        /// Where this piece begins.
        offset: u64,
    } data
}

body! {
    /// The rest of a large payload will not come.
    BulkCancel {
        /// The payload.
        bulk: u64,
        /// The receiver.
        to: Option<Pid>,
    }
}

body! {
    /// How the sender is. May be ignored.
    Info {
        /// How long the Python lane has been busy with one turn, in milliseconds.
        python_age_ms: u32,
        /// How late the scheduler is, in milliseconds.
        scheduler_lag_ms: u32,
    } data
}
