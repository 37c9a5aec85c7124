//! The table of types, and how a frame is written.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::bodies::{self, Body};
use super::field::Malformed;
use crate::pid::Pid;
use crate::wire::Batch;
use crate::wire::opcode::Opcode;

/// Type, flags and length.
pub(super) const HEAD: usize = 1 + 1 + 4;
/// The length of the fields.
const FIELDS_LEN: usize = 2;

/// The type byte of HELLO, with which level 2 begins.
pub const HELLO: u8 = 0x10;
/// The type byte of LANE, with which every further lane begins.
pub const LANE: u8 = 0x13;
/// The type byte of CHUNK.
pub(super) const CHUNK: u8 = 0x41;

macro_rules! frames {
    ($($byte:literal $name:ident($body:ty) $(=> $write:ident)?;)*) => {
        /// One frame of level 2.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each body says what its frame is")]
        pub enum Frame {
            /// A message; `to` is `None` where the wire says 0, which names nobody.
            Message { to: Option<Pid>, data: Bytes },
            /// Asks for a sign of life.
            Ping,
            /// A sign of life.
            Pong,
            $($name($body),)*
        }

        impl Frame {
            /// Whether the frames of this type have a length.
            pub(super) const fn is_known(byte: u8) -> bool {
                matches!(byte, $($byte)|*)
            }

            pub(super) fn read(byte: u8, fields: &mut &[u8], data: Bytes) -> Result<Self, Malformed> {
                match byte {
                    $($byte => Ok(Self::$name(<$body>::get(fields, data)?)),)*
                    _ => Err("its type is not known"),
                }
            }

            fn write(self, batch: &mut Batch) {
                match self {
                    Self::Message { to, data } => batch.message(to, data),
                    Self::Ping => batch.ping(),
                    Self::Pong => batch.pong(),
                    $(Self::$name(body) => framed(batch, $byte, body),)*
                }
            }
        }
    };
}

frames! {
    0x10 Hello(Box<bodies::Hello>);
    0x11 HelloAck(Box<bodies::HelloAck>);
    0x12 Goaway(bodies::Goaway);
    0x13 Lane(bodies::Lane);
    0x14 LaneOk(bodies::LaneOk);
    0x15 Ready(bodies::Ready);
    0x17 Drained(bodies::Drained);
    0x18 Resolve(bodies::Resolve);
    0x19 Resolved(bodies::Resolved);
    0x20 Ask(bodies::Ask);
    0x21 Reply(bodies::Reply);
    0x22 Error(bodies::Error);
    0x28 Monitor(bodies::Monitor);
    0x29 Demonitor(bodies::Demonitor);
    0x2A Down(Box<bodies::Down>);
    0x2B Link(bodies::Link);
    0x2C Unlink(bodies::Unlink);
    0x2D Exit(bodies::Exit);
    0x2E UnlinkAck(bodies::UnlinkAck);
    0x38 Xoff(bodies::Xoff);
    0x39 Xon(bodies::Xon);
    0x3A Credit(bodies::Credit);
    0x40 Bulk(bodies::Bulk);
    0x41 Chunk(bodies::Chunk);
    0x42 BulkCancel(bodies::BulkCancel);
    0x80 Info(bodies::Info);
}

impl<B: Body> Body for Box<B> {
    fn put(&self, out: &mut BytesMut) {
        (**self).put(out);
    }

    fn get(fields: &mut &[u8], data: Bytes) -> Result<Self, Malformed> {
        B::get(fields, data).map(Self::new)
    }

    fn into_data(self) -> Bytes {
        (*self).into_data()
    }
}

impl Frame {
    /// The actor that it is for; none for a frame of the link itself.
    pub const fn to(&self) -> Option<Pid> {
        match self {
            Self::Message { to, .. }
            | Self::Resolved(bodies::Resolved { to, .. })
            | Self::Ask(bodies::Ask { to, .. })
            | Self::Reply(bodies::Reply { to, .. })
            | Self::Error(bodies::Error { to, .. })
            | Self::Monitor(bodies::Monitor { to, .. })
            | Self::Demonitor(bodies::Demonitor { to, .. })
            | Self::Link(bodies::Link { to, .. })
            | Self::Unlink(bodies::Unlink { to, .. })
            | Self::UnlinkAck(bodies::UnlinkAck { to, .. })
            | Self::Exit(bodies::Exit { to, .. })
            | Self::Bulk(bodies::Bulk { to, .. }) => *to,
            Self::Down(down) => down.to,
            _ => None,
        }
    }

    /// The frame of type `byte` whose part behind the head is `body`.
    pub(super) fn parse(byte: u8, mut body: Bytes) -> Result<Self, Malformed> {
        let len: usize =
            body.try_get_u16().map_err(|_| "it has no room for the length of its fields")?.into();
        if len > body.len() {
            return Err("its fields are longer than the frame");
        }
        let fields = body.split_to(len);
        Self::read(byte, &mut &fields[..], body)
    }
}

impl Batch {
    /// Appends a frame of level 2.
    ///
    /// # Panics
    /// When its data is longer than the wire can say (4 GiB); senders refuse far shorter ones.
    pub fn frame(&mut self, frame: Frame) {
        frame.write(self);
    }
}

fn framed(batch: &mut Batch, byte: u8, body: impl Body) {
    let mut fields = BytesMut::new();
    body.put(&mut fields);
    let data = body.into_data();
    let hlen = u16::try_from(fields.len()).expect("no frame has fields of 64 KiB");
    let len = u32::try_from(FIELDS_LEN + fields.len() + data.len()).expect("data is limited far below 4 GiB");
    batch.head(HEAD + FIELDS_LEN + fields.len(), |out| {
        out.put_u8(byte);
        out.put_u8(0);
        out.put_u32(len);
        out.put_u16(hlen);
        out.put_slice(&fields);
    });
    batch.payload(data);
}

/// The length that `00`, `02` and `03` have before their payload.
pub(super) const fn short_head(byte: u8) -> Option<usize> {
    match Opcode::from_byte(byte) {
        // Its bare answer could not be told from typed frames.
        None | Some(Opcode::Resolve) => None,
        Some(opcode) => Some(opcode.header_len()),
    }
}
