//! Bytes to frames of level 2, however the bytes are split.

use bytes::{Buf, Bytes};

use super::MAX_HELLO;
use super::bodies::{Body, Chunk};
use super::frame::{CHUNK, Frame, HEAD, HELLO, short_head};
use crate::pid::Pid;
use crate::wire::body::{Growing, append, whole};
use crate::wire::codec::DecodeError;
use crate::wire::opcode::Opcode;

/// The longest head: that of a message.
const LONGEST: usize = Opcode::Message.header_len();
/// From here on unknown types are skipped.
const SKIPPED_FROM: u8 = 0x80;
/// Flags that may not be ignored.
const STRICT_FLAGS: u8 = 0x0F;
/// HELLO_ACK.
const HELLO_ACK: u8 = HELLO + 1;

/// Turns the bytes of one lane of level 2 into frames.
///
/// Feed it what was read, then call [`next_frame`](Self::next_frame) until it returns `None`. Lengths
/// are checked as soon as they are known; memory follows the bytes that have arrived (L03). After an
/// error the decoder stays at that error.
#[derive(Debug)]
pub struct Decoder {
    /// The longest payload of a message, and the longest rest of any other frame, in bytes.
    max_frame: usize,
    input: Bytes,
    state: State,
    skipped: u64,
}

#[derive(Debug)]
enum State {
    Head {
        bytes: [u8; LONGEST],
        len: usize,
    },
    Message {
        to: Option<Pid>,
        body: Growing,
    },
    Framed {
        byte: u8,
        body: Growing,
    },
    /// Of the data of a CHUNK so much is missing; the chunk says where that belongs.
    Data {
        chunk: Chunk,
        missing: usize,
    },
    /// A frame of a type that is not known, of which so many bytes are missing.
    Skip(usize),
    Failed(DecodeError),
}

const START: State = State::Head { bytes: [0; LONGEST], len: 0 };

impl Decoder {
    /// A decoder at the beginning of a frame. Frames beyond `max_frame` bytes are refused; HELLO and
    /// its answer have a limit of their own.
    pub const fn new(max_frame: usize) -> Self {
        Self { max_frame, input: Bytes::new(), state: START, skipped: 0 }
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

    /// The next frame, if that is a message that lies complete in what was fed: the short way to
    /// most frames, which [`next_frame`](Self::next_frame) takes too.
    pub fn next_message(&mut self) -> Option<(Option<Pid>, Bytes)> {
        let State::Head { len: 0, .. } = self.state else { return None };
        let head = self.input.first_chunk::<LONGEST>()?;
        if head[0] != Opcode::Message as u8 {
            return None;
        }
        let mut rest = &head[1..];
        let (to, len) = (Pid::from_u64(rest.get_u64()), rest.get_u32() as usize);
        if len > self.max_frame || self.input.len() < LONGEST + len {
            return None;
        }
        self.input.advance(LONGEST);
        Some((to, whole(&mut self.input, len)))
    }

    /// What has come of the data of a CHUNK, as one of its own, without waiting for the rest: the short way for a CHUNK
    /// whose fields lie complete in what was fed. Everything else is for [`next_frame`](Self::next_frame).
    pub fn next_piece(&mut self) -> Option<Chunk> {
        if let State::Head { len: 0, .. } = self.state {
            let (chunk, missing) = self.peek_chunk()?;
            self.state = State::Data { chunk, missing };
        }
        let State::Data { missing, .. } = &self.state else { return None };
        if self.input.is_empty() {
            return None;
        }
        let data = self.input.split_to(self.input.len().min(*missing));
        let mut piece = self.passed(data.len())?;
        piece.data = data;
        Some(piece)
    }

    /// A CHUNK whose data is next and was not fed, and how many bytes of it are missing. Those may be read past the
    /// decoder, to where they belong.
    pub fn awaited(&self) -> Option<(&Chunk, usize)> {
        match &self.state {
            State::Data { chunk, missing } if self.input.is_empty() => Some((chunk, *missing)),
            _ => None,
        }
    }

    /// The next `len` bytes, at most those that are [`awaited`](Self::awaited), have come; a CHUNK without data that
    /// says where they belong. `None` if none are awaited.
    pub fn passed(&mut self, len: usize) -> Option<Chunk> {
        let State::Data { chunk, missing } = &mut self.state else { return None };
        let piece = chunk.clone();
        chunk.offset = chunk.offset.saturating_add(len as u64);
        *missing = missing.saturating_sub(len);
        if *missing == 0 {
            self.state = START;
        }
        Some(piece)
    }

    /// Whether of the data of a CHUNK more is to come.
    pub const fn is_mid_data(&self) -> bool {
        matches!(self.state, State::Data { .. })
    }

    /// The fields of a CHUNK that lie complete in what was fed, and how much data it has; they are taken.
    fn peek_chunk(&mut self) -> Option<(Chunk, usize)> {
        let head = self.input.first_chunk::<{ HEAD + 2 }>()?;
        let (byte, mut rest) = (head[0], &head[1..]);
        let (flags, len, fields_len) = (rest.get_u8(), rest.get_u32() as usize, usize::from(rest.get_u16()));
        let data_len = len.checked_sub(2 + fields_len)?;
        if byte != CHUNK || flags & STRICT_FLAGS != 0 || len > self.max_frame || data_len == 0 {
            return None;
        }
        let mut fields = self.input.get(head.len()..head.len() + fields_len)?;
        let chunk = Chunk::get(&mut fields, Bytes::new()).ok()?;
        if chunk.offset.checked_add(data_len as u64)? > chunk.total {
            // It is refused, and none of it is to be taken before.
            return None;
        }
        self.input.advance(HEAD + 2 + fields_len);
        Some((chunk, data_len))
    }

    /// Whether a frame has begun and is not complete.
    pub fn mid_frame(&self) -> bool {
        match &self.state {
            State::Head { len, .. } => *len > 0 || !self.input.is_empty(),
            State::Failed(_) => false,
            _ => true,
        }
    }

    /// How many frames of unknown types were skipped.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }

    fn advance(&mut self) -> Result<Option<Frame>, DecodeError> {
        if let Some((to, data)) = self.next_message() {
            return Ok(Some(Frame::Message { to, data }));
        }
        loop {
            match &mut self.state {
                // Nobody begins a CHUNK by pieces and goes on otherwise; if so, it is pieces all the same.
                State::Data { .. } => return Ok(self.next_piece().map(Frame::Chunk)),
                State::Head { bytes, len } => {
                    let Some(head) = collect(bytes, len, &mut self.input)? else { return Ok(None) };
                    let head = *head;
                    self.state = START;
                    if let Some(frame) = self.begin(&head)? {
                        return Ok(Some(frame));
                    }
                }
                State::Message { to, body } => {
                    let Some(data) = body.fill(&mut self.input) else { return Ok(None) };
                    let to = *to;
                    self.state = START;
                    return Ok(Some(Frame::Message { to, data }));
                }
                State::Framed { byte, body } => {
                    let Some(body) = body.fill(&mut self.input) else { return Ok(None) };
                    let byte = *byte;
                    self.state = START;
                    let malformed = |what| DecodeError::Malformed(byte, what);
                    return Frame::parse(byte, body).map(Some).map_err(malformed);
                }
                State::Skip(missing) => {
                    let n = self.input.len().min(*missing);
                    self.input.advance(n);
                    *missing -= n;
                    if *missing > 0 {
                        return Ok(None);
                    }
                    self.skipped += 1;
                    self.state = START;
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    /// Acts on a complete head: a frame that is nothing but its head, or what to collect next.
    fn begin(&mut self, head: &[u8; LONGEST]) -> Result<Option<Frame>, DecodeError> {
        let (byte, mut rest) = (head[0], &head[1..]);
        match Opcode::from_byte(byte) {
            Some(Opcode::Ping) => return Ok(Some(Frame::Ping)),
            Some(Opcode::Pong) => return Ok(Some(Frame::Pong)),
            Some(_) => {
                let to = Pid::from_u64(rest.get_u64());
                let len = self.allowed(rest.get_u32(), self.max_frame)?;
                self.state = State::Message { to, body: Growing::new(len) };
            }
            None => {
                let flags = rest.get_u8();
                let most = if matches!(byte, HELLO | HELLO_ACK) { MAX_HELLO } else { self.max_frame };
                let len = self.allowed(rest.get_u32(), most)?;
                self.state = match Frame::is_known(byte) {
                    false => State::Skip(len),
                    true if flags & STRICT_FLAGS != 0 => return Err(DecodeError::UnknownFlags(byte, flags)),
                    true => State::Framed { byte, body: Growing::new(len) },
                };
            }
        }
        Ok(None)
    }

    fn allowed(&self, len: u32, max: usize) -> Result<usize, DecodeError> {
        let len = len as usize;
        if len > max { Err(DecodeError::TooLarge { len, max }) } else { Ok(len) }
    }
}

/// Takes from `input` what is missing of a head; the head once it is complete.
fn collect<'a>(
    bytes: &'a mut [u8; LONGEST],
    len: &mut usize,
    input: &mut Bytes,
) -> Result<Option<&'a [u8; LONGEST]>, DecodeError> {
    if *len == 0 {
        let Some(&first) = input.first() else { return Ok(None) };
        bytes[0] = first;
    }
    let whole = head_len(bytes[0])?;
    let n = input.len().min(whole - *len);
    input.copy_to_slice(&mut bytes[*len..*len + n]);
    *len += n;
    Ok((*len == whole).then_some(bytes))
}

fn head_len(byte: u8) -> Result<usize, DecodeError> {
    match short_head(byte) {
        Some(len) => Ok(len),
        None if byte == Opcode::Resolve as u8 => {
            Err(DecodeError::Malformed(byte, "names are asked for by type 18 at level 2"))
        }
        None if Frame::is_known(byte) || byte >= SKIPPED_FROM => Ok(HEAD),
        None => Err(DecodeError::UnknownType(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Batch;
    use crate::wire::level2::Credit;

    fn fed(bytes: &[u8]) -> Decoder {
        let mut decoder = Decoder::new(1000);
        decoder.feed(Bytes::copy_from_slice(bytes));
        decoder
    }

    fn credit() -> Frame {
        Frame::Credit(Credit { msgs: 1, bytes: 2, received: 3 })
    }

    fn encoded(frame: Frame) -> Vec<u8> {
        let mut batch = Batch::new();
        batch.frame(frame);
        batch.take().concat()
    }

    #[test]
    fn l26_types_from_80_up_are_skipped_and_counted() {
        let unknown = [&[0xF0, 0x0F, 0, 0, 0, 5, 1, 2, 3, 4, 5][..], &encoded(credit())].concat();
        for split in 1..unknown.len() {
            let mut decoder = fed(&unknown[..split]);
            let early = decoder.next_frame().unwrap();
            decoder.feed(Bytes::copy_from_slice(&unknown[split..]));
            assert_eq!(early.or_else(|| decoder.next_frame().unwrap()), Some(credit()), "split at {split}");
            assert_eq!(decoder.skipped(), 1);
        }
    }

    /// Everything that comes of `bytes` fed in these parts, with the data of CHUNKs in pieces; `past` reads that past
    /// the decoder where it may be. The pieces of one chunk are joined, and errors end it.
    fn in_pieces<'a>(parts: impl Iterator<Item = &'a [u8]>, past: bool) -> (Vec<Frame>, Option<DecodeError>) {
        let (mut decoder, mut frames) = (Decoder::new(1000), Vec::new());
        for mut part in parts {
            while !part.is_empty() {
                match decoder.awaited() {
                    Some((_, missing)) if past => {
                        let (data, rest) = part.split_at(missing.min(part.len()));
                        part = rest;
                        let mut piece = decoder.passed(data.len()).unwrap();
                        piece.data = Bytes::copy_from_slice(data);
                        join(&mut frames, piece);
                    }
                    _ => decoder.feed(Bytes::copy_from_slice(std::mem::take(&mut part))),
                }
                loop {
                    if let Some(piece) = decoder.next_piece() {
                        join(&mut frames, piece);
                        continue;
                    }
                    match decoder.next_frame() {
                        Ok(Some(frame)) => frames.push(frame),
                        Ok(None) => break,
                        Err(error) => return (frames, Some(error)),
                    }
                }
            }
        }
        assert!(!decoder.mid_frame() && decoder.awaited().is_none());
        (frames, None)
    }

    fn join(frames: &mut Vec<Frame>, piece: Chunk) {
        match frames.last_mut() {
            Some(Frame::Chunk(last)) if last.offset + last.data.len() as u64 == piece.offset => {
                last.data = [&last.data[..], &piece.data].concat().into();
            }
            _ => frames.push(Frame::Chunk(piece)),
        }
    }

    #[test]
    fn f05_the_pieces_of_a_chunk_are_the_chunk_wherever_it_is_split() {
        let chunk = |offset, len: u8| {
            let data: Bytes = (0..len).collect();
            Frame::Chunk(Chunk { bulk: 7, to: Pid::new(1, 2), total: 500, offset, data })
        };
        // They do not follow each other, so each stays apart when pieces are joined.
        let frames = [chunk(0, 90), credit(), chunk(200, 1), chunk(300, 70)];
        let bytes = frames.clone().map(encoded).concat();
        for split in 1..bytes.len() {
            for second in [split + 1, split + 60, bytes.len()] {
                let second = second.min(bytes.len());
                let parts = [&bytes[..split], &bytes[split..second], &bytes[second..]];
                for past in [false, true] {
                    let got = in_pieces(parts.into_iter(), past);
                    assert_eq!(got, (frames.to_vec(), None), "split at {split} and {second}");
                }
            }
        }
        assert_eq!(in_pieces(bytes.chunks(1), true), (frames.to_vec(), None), "byte by byte");
    }

    #[test]
    fn what_is_wrong_with_a_chunk_is_wrong_in_pieces_too() {
        let good =
            encoded(Frame::Chunk(Chunk { bulk: 7, to: None, total: 9, offset: 0, data: vec![1; 9].into() }));
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        // A flag that may not be ignored, a length beyond the limit, fields that are too short or too long.
        for bytes in [changed(1, 1), changed(4, 9), changed(7, 31), changed(7, 200)] {
            let whole = fed(&bytes).next_frame().expect_err("it is wrong");
            assert_eq!(in_pieces([&bytes[..]].into_iter(), true), (Vec::new(), Some(whole)));
        }
        let empty =
            encoded(Frame::Chunk(Chunk { bulk: 7, to: None, total: 9, offset: 0, data: Bytes::new() }));
        let (frames, _) = in_pieces([&empty[..]].into_iter(), true);
        assert_eq!(frames.len(), 1, "a chunk without data is told as such");
    }

    #[test]
    fn fields_that_are_not_known_are_ignored() {
        let mut longer = encoded(credit());
        let (len, hlen) = (longer.len(), longer[7]);
        longer[5] = (len - HEAD + 2) as u8;
        longer[7] = hlen + 2;
        longer.extend_from_slice(&[9, 9]);
        assert_eq!(fed(&longer).next_frame(), Ok(Some(credit())));
    }

    #[test]
    fn flags_are_refused_or_ignored_by_their_place() {
        for bit in 0..8 {
            let mut bytes = encoded(credit());
            bytes[1] = 1 << bit;
            let read = fed(&bytes).next_frame();
            match bit {
                0..4 => assert_eq!(read, Err(DecodeError::UnknownFlags(0x3A, 1 << bit))),
                _ => assert_eq!(read, Ok(Some(credit()))),
            }
        }
    }

    #[test]
    fn l02_a_frame_beyond_the_limit_fails_before_its_bytes_arrive() {
        let error = DecodeError::TooLarge { len: 1001, max: 1000 };
        assert_eq!(fed(&[0x20, 0, 0, 0, 3, 0xE9]).next_frame(), Err(error.clone()));
        assert_eq!(fed(&[0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 3, 0xE9]).next_frame(), Err(error));
    }

    #[test]
    fn l01_a_greeting_beyond_4_kib_fails_before_its_bytes_arrive() {
        let hello = DecodeError::TooLarge { len: 4097, max: 4096 };
        let mut decoder = Decoder::new(1 << 20);
        decoder.feed(Bytes::from_static(&[0x10, 0, 0, 0, 0x10, 1]));
        assert_eq!(decoder.next_frame(), Err(hello.clone()));
        assert_eq!(decoder.next_frame(), Err(hello), "an error is final");
    }
}
