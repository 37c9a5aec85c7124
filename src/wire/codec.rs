//! Bytes to frames, however the bytes are split.

use bytes::{Buf, Bytes};

use super::body::{Growing, append};
use super::close_code::CloseCode;
use super::frame::{Frame, Name};
use super::limits::{Limits, MAX_NAME_FRAME};
use super::opcode::Opcode;
use crate::pid::Pid;

/// Why a peer's bytes are no frames. The lane is closed with [`code`](Self::code).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A type byte that level 1 does not know.
    #[error("unknown frame type {0:#04x}: the peer speaks another protocol or a newer level")]
    UnknownType(u8),
    /// A payload longer than the limit.
    #[error("a payload of {len} bytes is announced and {max} are accepted: raise max_accepted_payload")]
    TooLarge {
        /// What the frame announces.
        len: usize,
        /// What is accepted.
        max: usize,
    },
    /// A name far longer than any that can be registered.
    #[error("a name of {0} bytes is announced and names have at most {MAX_NAME_FRAME} on the wire")]
    NameTooLong(usize),
    /// A name that is no text.
    #[error("a name is not UTF-8")]
    NameNotUtf8,
    /// A frame of level 2 whose inside contradicts its lengths, or says what cannot be.
    #[error("a frame of type {0:#04x} is malformed: {1}")]
    Malformed(u8, &'static str),
    /// A frame of level 2 with flags that change its meaning, and that are not known.
    #[error("a frame of type {0:#04x} has the unknown flags {1:#04x}: the peer speaks a newer protocol")]
    UnknownFlags(u8, u8),
}

impl DecodeError {
    /// What the lane is closed with.
    pub const fn code(&self) -> CloseCode {
        match self {
            Self::UnknownType(_) | Self::UnknownFlags(..) => CloseCode::UnknownType,
            Self::TooLarge { .. } | Self::NameTooLong(_) => CloseCode::TooLarge,
            Self::NameNotUtf8 | Self::Malformed(..) => CloseCode::Malformed,
        }
    }
}

/// Turns the bytes of one lane into frames.
///
/// Feed it what was read, then call [`next_frame`](Self::next_frame) until it returns `None`. Lengths
/// are checked as soon as they are known; memory follows the bytes that have arrived, never the length
/// that was announced (L03). After an error the decoder stays at that error.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    input: Bytes,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Collecting a header; the buffer is shorter than the longest header.
    Header(Partial),
    /// Collecting what follows a header.
    Body {
        kind: Body,
        body: Growing,
    },
    Failed(DecodeError),
}

#[derive(Clone, Copy, Debug)]
enum Body {
    Message(Option<Pid>),
    Name,
}

impl Decoder {
    /// A decoder at the beginning of a lane.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, input: Bytes::new(), state: State::Header(Partial::new()) }
    }

    /// Adds bytes. Call only when [`next_frame`](Self::next_frame) has returned `None`, so that what
    /// is buffered stays bounded by one read and one frame.
    pub fn feed(&mut self, bytes: Bytes) {
        append(&mut self.input, bytes);
    }

    /// The next complete frame, or `None` until more bytes are fed.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        match self.advance() {
            Err(error) => {
                self.input = Bytes::new();
                self.state = State::Failed(error.clone());
                Err(error)
            }
            frame => frame,
        }
    }

    /// Whether a frame has begun and is not complete (L08; a cut lane loses it).
    pub fn mid_frame(&self) -> bool {
        match &self.state {
            State::Header(partial) => !partial.is_empty() || !self.input.is_empty(),
            State::Body { .. } => true,
            State::Failed(_) => false,
        }
    }

    /// Whether the next frame begins with `byte`, with nothing of an earlier one outstanding.
    pub fn begins_with(&self, byte: u8) -> bool {
        matches!(&self.state, State::Header(partial) if partial.is_empty())
            && self.input.first() == Some(&byte)
    }

    /// Whether bytes were fed that are not part of a complete frame.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// The bytes that were fed and are not part of a frame yet, for a decoder of another level. Only
    /// between two frames.
    pub fn into_rest(self) -> Bytes {
        self.input
    }

    fn advance(&mut self) -> Result<Option<Frame>, DecodeError> {
        loop {
            match &mut self.state {
                State::Header(partial) => {
                    let Some(opcode) = partial.fill(&mut self.input)? else { return Ok(None) };
                    let header = std::mem::replace(partial, Partial::new());
                    match opcode {
                        Opcode::Ping => return Ok(Some(Frame::Ping)),
                        Opcode::Pong => return Ok(Some(Frame::Pong)),
                        Opcode::Message => self.begin_message(&header)?,
                        Opcode::Resolve => self.begin_name(&header)?,
                    }
                }
                State::Body { kind, body } => {
                    let Some(data) = body.fill(&mut self.input) else { return Ok(None) };
                    let kind = *kind;
                    self.state = State::Header(Partial::new());
                    return finish(kind, data).map(Some);
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    fn begin_message(&mut self, header: &Partial) -> Result<(), DecodeError> {
        let mut fields = header.fields();
        let to = Pid::from_u64(fields.get_u64());
        let len = fields.get_u32() as usize;
        if len > self.limits.max_payload {
            return Err(DecodeError::TooLarge { len, max: self.limits.max_payload });
        }
        self.state = State::Body { kind: Body::Message(to), body: Growing::new(len) };
        Ok(())
    }

    fn begin_name(&mut self, header: &Partial) -> Result<(), DecodeError> {
        let len = header.fields().get_u32() as usize;
        if len > MAX_NAME_FRAME {
            return Err(DecodeError::NameTooLong(len));
        }
        self.state = State::Body { kind: Body::Name, body: Growing::new(len) };
        Ok(())
    }
}

fn finish(kind: Body, data: Bytes) -> Result<Frame, DecodeError> {
    match kind {
        Body::Message(to) => Ok(Frame::Message { to, data }),
        Body::Name => {
            let name = String::from_utf8(data.into()).map_err(|_| DecodeError::NameNotUtf8)?;
            Ok(Frame::Resolve(Name::new(name)))
        }
    }
}

/// A header that may arrive byte by byte.
#[derive(Debug)]
struct Partial {
    bytes: [u8; Opcode::Message.header_len()],
    len: usize,
}

impl Partial {
    const fn new() -> Self {
        Self { bytes: [0; Opcode::Message.header_len()], len: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes from `input` what is missing; the type once the header is complete.
    fn fill(&mut self, input: &mut Bytes) -> Result<Option<Opcode>, DecodeError> {
        if self.is_empty() {
            self.take(input, 1);
        }
        if self.is_empty() {
            return Ok(None);
        }
        let opcode = Opcode::from_byte(self.bytes[0]).ok_or(DecodeError::UnknownType(self.bytes[0]))?;
        self.take(input, opcode.header_len() - self.len);
        Ok((self.len == opcode.header_len()).then_some(opcode))
    }

    fn take(&mut self, input: &mut Bytes, wanted: usize) {
        let n = wanted.min(input.len());
        input.copy_to_slice(&mut self.bytes[self.len..self.len + n]);
        self.len += n;
    }

    /// What follows the type byte.
    fn fields(&self) -> &[u8] {
        &self.bytes[1..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Batch, STEP};

    fn decoder() -> Decoder {
        Decoder::new(Limits::default())
    }

    #[test]
    fn l03_memory_follows_the_bytes_and_not_the_announced_length() {
        let mut decoder = decoder();
        let mut head = vec![0; 13];
        head[9..].copy_from_slice(&(64u32 << 20).to_be_bytes());
        decoder.feed(head.into());
        assert_eq!(decoder.next_frame(), Ok(None));
        decoder.feed(Bytes::from_static(b"x"));
        assert_eq!(decoder.next_frame(), Ok(None));
        let State::Body { body, .. } = &decoder.state else { panic!("a body is awaited") };
        assert!(body.pieces.is_empty() && body.block.capacity() <= 2 * STEP);
    }

    #[test]
    fn l02_a_payload_beyond_the_limit_fails_before_its_bytes_arrive() {
        let mut decoder = Decoder::new(Limits { max_payload: 10 });
        let mut head = vec![0; 13];
        head[12] = 11;
        decoder.feed(head.into());
        let error = DecodeError::TooLarge { len: 11, max: 10 };
        assert_eq!(decoder.next_frame(), Err(error.clone()));
        decoder.feed(Bytes::from_static(&[2, 2]));
        assert_eq!(decoder.next_frame(), Err(error), "an error is final");
    }

    #[test]
    fn a_large_payload_in_pieces_becomes_one_buffer() {
        let data: Bytes = (0..300_001u32).map(|n| n as u8).collect();
        let mut batch = Batch::new();
        batch.message(Pid::new(5, 6), data.clone());
        let bytes: Bytes = batch.take().concat().into();
        let mut decoder = decoder();
        for piece in bytes.chunks(10_007) {
            assert_eq!(decoder.next_frame(), Ok(None));
            decoder.feed(Bytes::copy_from_slice(piece));
        }
        let frame = decoder.next_frame().unwrap();
        assert_eq!(frame, Some(Frame::Message { to: Pid::new(5, 6), data }));
        assert!(!decoder.mid_frame());
    }

    #[test]
    fn a_short_payload_does_not_keep_the_read_buffer_alive() {
        let mut batch = Batch::new();
        batch.message(Pid::new(1, 1), Bytes::from_static(b"short"));
        let read: Bytes = batch.take().concat().into();
        let kept = read.clone();
        let mut decoder = decoder();
        decoder.feed(read);
        let _frame = decoder.next_frame().unwrap().unwrap();
        assert_eq!(decoder.next_frame(), Ok(None));
        drop(decoder);
        assert!(kept.is_unique());
    }
}
