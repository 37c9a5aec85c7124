//! How one field of a frame looks.

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};

use crate::pid::Pid;

/// What is wrong with the inside of a frame.
pub(super) type Malformed = &'static str;

/// Something that a frame holds, written and read in one way.
pub(super) trait Field: Sized {
    fn put(&self, out: &mut BytesMut);
    fn get(fields: &mut &[u8]) -> Result<Self, Malformed>;
}

/// A name of 16 bytes: of a node, of a link, or a key. All zero means "none".
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub [u8; 16]);

impl Id {
    /// No id at all.
    pub const NONE: Self = Self([0; 16]);

    /// Whether it names anything.
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// 32 lower-case hexadecimal digits.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

/// A text whose length fits into one byte; a longer one is cut where a character ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text8(String);

/// A text whose length fits into two bytes; a longer one is cut where a character ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text16(String);

macro_rules! text {
    ($name:ident, $length:ty, $put:ident, $get:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text[..text.floor_char_boundary(<$length>::MAX.into())].to_owned())
            }
        }

        impl Field for $name {
            fn put(&self, out: &mut BytesMut) {
                let len = <$length>::try_from(self.0.len()).expect("the constructor has cut it");
                out.$put(len);
                out.put_slice(self.0.as_bytes());
            }

            fn get(fields: &mut &[u8]) -> Result<Self, Malformed> {
                let len = fields.$get().map_err(|_| TOO_SHORT)?;
                let (text, rest) = fields.split_at_checked(len.into()).ok_or(TOO_SHORT)?;
                *fields = rest;
                let text = str::from_utf8(text).map_err(|_| "a text is not UTF-8")?;
                Ok(Self(text.to_owned()))
            }
        }
    };
}

text!(Text8, u8, put_u8, try_get_u8);
text!(Text16, u16, put_u16, try_get_u16);

macro_rules! number {
    ($type:ty, $put:ident, $get:ident) => {
        impl Field for $type {
            fn put(&self, out: &mut BytesMut) {
                out.$put(*self);
            }

            fn get(fields: &mut &[u8]) -> Result<Self, Malformed> {
                fields.$get().map_err(|_| TOO_SHORT)
            }
        }
    };
}

number!(u8, put_u8, try_get_u8);
number!(u16, put_u16, try_get_u16);
number!(u32, put_u32, try_get_u32);
number!(u64, put_u64, try_get_u64);

/// 0 on the wire is nobody.
impl Field for Option<Pid> {
    fn put(&self, out: &mut BytesMut) {
        out.put_u64(self.map_or(0, Pid::as_u64));
    }

    fn get(fields: &mut &[u8]) -> Result<Self, Malformed> {
        u64::get(fields).map(Pid::from_u64)
    }
}

impl Field for Id {
    fn put(&self, out: &mut BytesMut) {
        out.put_slice(&self.0);
    }

    fn get(fields: &mut &[u8]) -> Result<Self, Malformed> {
        let (id, rest) = fields.split_first_chunk().ok_or(TOO_SHORT)?;
        *fields = rest;
        Ok(Self(*id))
    }
}

const TOO_SHORT: Malformed = "it ends before its fields do";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_does_not_fit_is_cut_between_two_characters() {
        let text = Text8::from("ö".repeat(200).as_str());
        assert_eq!(text.as_str(), "ö".repeat(127));
        assert_eq!(Text16::from("x".repeat(70_000).as_str()).as_str().len(), 65_535);
    }

    #[test]
    fn an_id_is_printed_as_the_probe_has_it() {
        let id = Id([0x0F; 16]);
        assert_eq!(id.to_string(), "0f".repeat(16));
        assert!(id.is_some() && !Id::NONE.is_some());
    }
}
