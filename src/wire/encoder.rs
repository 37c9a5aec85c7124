//! Frames to bytes, many at a time.

use bytes::{BufMut, Bytes, BytesMut};

use super::limits::COPY_BELOW;
use super::opcode::Opcode;
use crate::pid::Pid;

/// Frames and answers in the order in which they will be written.
///
/// Short pieces are gathered in one buffer; a payload of [`COPY_BELOW`] bytes or more goes as it is,
/// without being copied.
#[derive(Debug, Default)]
pub struct Batch {
    parts: Vec<Bytes>,
    open: BytesMut,
    len: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message.
    ///
    /// # Panics
    /// When `data` is longer than the wire can say (4 GiB); senders refuse far shorter ones.
    pub fn message(&mut self, to: Option<Pid>, data: Bytes) {
        put_head(&mut self.open, to, data.len());
        self.len += Opcode::Message.header_len();
        self.payload(data);
    }

    /// Appends frames that are encoded already, such as those of [`put_message`].
    pub(crate) fn encoded(&mut self, bytes: BytesMut) {
        self.len += bytes.len();
        if bytes.len() < COPY_BELOW {
            self.open.put_slice(&bytes);
        } else {
            self.close_open();
            self.parts.push(bytes.freeze());
        }
    }

    /// Appends a question for the PID of `name`.
    ///
    /// # Panics
    /// When `name` is longer than the wire can say (4 GiB); senders refuse far shorter ones.
    pub fn resolve(&mut self, name: &str) {
        let len = u32::try_from(name.len()).expect("names are limited far below 4 GiB");
        self.open.put_u8(Opcode::Resolve as u8);
        self.open.put_u32(len);
        self.open.put_slice(name.as_bytes());
        self.len += Opcode::Resolve.header_len() + name.len();
    }

    /// Appends a ping.
    pub fn ping(&mut self) {
        self.byte(Opcode::Ping);
    }

    /// Appends the answer to a ping.
    pub fn pong(&mut self) {
        self.byte(Opcode::Pong);
    }

    /// Appends the answer to a resolve: a bare number, 0 for "nobody".
    pub fn resolved(&mut self, pid: Option<Pid>) {
        self.number(pid.map_or(0, Pid::as_u64));
    }

    /// Appends eight bare bytes, where an answer says something else than a PID.
    pub fn number(&mut self, number: u64) {
        self.open.put_u64(number);
        self.len += 8;
    }

    /// How many bytes the batch holds.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing to write.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes everything out, ready for a lane, and leaves the batch empty.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.close_open();
        self.len = 0;
        std::mem::take(&mut self.parts)
    }

    fn byte(&mut self, opcode: Opcode) {
        self.open.put_u8(opcode as u8);
        self.len += 1;
    }

    /// Appends `len` bytes by `write`.
    pub(super) fn head(&mut self, len: usize, write: impl FnOnce(&mut BytesMut)) {
        write(&mut self.open);
        self.len += len;
    }

    pub(super) fn payload(&mut self, data: Bytes) {
        self.len += data.len();
        if data.len() < COPY_BELOW {
            self.open.put_slice(&data);
        } else {
            self.close_open();
            self.parts.push(data);
        }
    }

    fn close_open(&mut self) {
        if !self.open.is_empty() {
            self.parts.push(self.open.split().freeze());
        }
    }
}

/// Writes a message.
///
/// # Panics
/// As [`Batch::message`].
pub(crate) fn put_message(out: &mut BytesMut, to: Option<Pid>, data: &[u8]) {
    put_head(out, to, data.len());
    out.put_slice(data);
}

fn put_head(out: &mut BytesMut, to: Option<Pid>, len: usize) {
    let len = u32::try_from(len).expect("payloads are limited far below 4 GiB");
    let mut head = [0; Opcode::Message.header_len()];
    head[0] = Opcode::Message as u8;
    head[1..9].copy_from_slice(&to.map_or(0, Pid::as_u64).to_be_bytes());
    head[9..].copy_from_slice(&len.to_be_bytes());
    out.put_slice(&head);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_payloads_are_passed_along_and_short_ones_gathered() {
        let large = Bytes::from(vec![7; COPY_BELOW]);
        let mut batch = Batch::new();
        batch.message(Pid::new(1, 1), Bytes::from_static(b"short"));
        batch.message(Pid::new(1, 2), large.clone());
        batch.ping();
        batch.resolved(None);
        let len = batch.len();
        let parts = batch.take();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[1].as_ptr(), large.as_ptr());
        assert_eq!(parts.iter().map(Bytes::len).sum::<usize>(), len);
        assert!(batch.is_empty() && batch.take().is_empty());
    }
}
