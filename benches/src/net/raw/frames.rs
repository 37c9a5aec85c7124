//! The documented framing of messages, on any stream of bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const MESSAGE: u8 = 0;
const HEAD: usize = 13;
/// What is gathered before it is written, and what a read has room for.
pub(super) const BLOCK: usize = 64 << 10;

/// A stream of bytes in both directions.
pub(super) trait Pipe: Send {
    async fn write(&mut self, bytes: Bytes) -> Result<(), String>;

    /// Reads some bytes to the end of `into`; false at the end of the stream.
    async fn read(&mut self, into: &mut BytesMut) -> Result<bool, String>;
}

/// Messages over a pipe.
pub(super) struct Frames<P> {
    pipe: P,
    output: BytesMut,
    input: BytesMut,
}

impl<P: Pipe> Frames<P> {
    pub(super) fn new(pipe: P) -> Self {
        Self { pipe, output: BytesMut::new(), input: BytesMut::with_capacity(2 * BLOCK) }
    }

    /// Gathers a short message, and writes when there is enough.
    pub(super) async fn send(&mut self, data: &[u8]) -> Result<(), String> {
        self.head(data.len());
        self.output.put_slice(data);
        if self.output.len() >= BLOCK { self.flush().await } else { Ok(()) }
    }

    /// Writes a long message without a copy.
    pub(super) async fn send_large(&mut self, data: Bytes) -> Result<(), String> {
        self.head(data.len());
        self.flush().await?;
        self.pipe.write(data).await
    }

    pub(super) async fn flush(&mut self) -> Result<(), String> {
        let bytes = self.output.split().freeze();
        if bytes.is_empty() { Ok(()) } else { self.pipe.write(bytes).await }
    }

    /// The next message; `None` at the end of the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(data) = self.buffered()? {
                return Ok(Some(data));
            }
            self.input.reserve(BLOCK);
            if !self.pipe.read(&mut self.input).await? {
                return Ok(None);
            }
        }
    }

    /// A message that has been read completely.
    pub(super) fn buffered(&mut self) -> Result<Option<Bytes>, String> {
        let Some(head) = self.input.first_chunk::<HEAD>() else { return Ok(None) };
        let mut head = &head[..];
        if head.get_u8() != MESSAGE {
            return Err("something else than a message came".to_owned());
        }
        head.advance(size_of::<u64>());
        let len = head.get_u32() as usize;
        if self.input.len() < HEAD + len {
            self.input.reserve(HEAD + len - self.input.len());
            return Ok(None);
        }
        self.input.advance(HEAD);
        Ok(Some(self.input.split_to(len).freeze()))
    }

    fn head(&mut self, len: usize) {
        self.output.put_u8(MESSAGE);
        self.output.put_u64(1);
        self.output.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    }
}
