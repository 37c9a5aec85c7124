//! The two halves of a lane, over one socket.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use myrmidon::transport::{CloseCode, Lane, LaneClass, LaneReceiver, LaneSender, TransportError};

use crate::socket::Socket;

/// Room that a read asks for. Many small messages share one such block, and the block is used again
/// when nobody holds a piece of it any more.
const BLOCK: usize = 64 * 1024;

/// The only lane of `socket`.
pub(crate) fn lane(socket: Socket) -> (Lane, Arc<Socket>) {
    let socket = Arc::new(socket);
    let sender = TcpSender { socket: socket.clone(), finished: false };
    let receiver = TcpReceiver { socket: socket.clone(), block: BytesMut::new(), ended: false };
    ((Box::new(sender), Box::new(receiver)), socket)
}

struct TcpSender {
    socket: Arc<Socket>,
    finished: bool,
}

#[async_trait]
impl LaneSender for TcpSender {
    async fn write(&mut self, bufs: &mut [Bytes]) -> Result<(), TransportError> {
        let mut rest = bufs;
        while let Some(first) = rest.iter().position(|buf| !buf.is_empty()) {
            rest = &mut rest[first..];
            let pending: &[Bytes] = rest;
            let written = tokio::select! {
                biased;
                () = self.socket.writer.notified() => continue,
                written = poll_fn(|cx| self.socket.poll_write(cx, pending)) => written?,
            };
            consume(rest, written);
        }
        poll_fn(|cx| self.socket.poll_flush(cx)).await
    }

    /// What the kernel of the sender holds back is in front of everything that comes later. So it is given little of
    /// messages beyond what may be under way, and the rest waits in the queues of the node, where receivers take turns.
    fn set_class(&mut self, class: LaneClass) {
        if class == LaneClass::Message {
            self.socket.hold_little();
        }
    }

    fn writes_at_once(&self) -> bool {
        true
    }

    fn try_write(&mut self, bufs: &mut [Bytes]) -> Result<bool, TransportError> {
        // Nobody waits for room but `write`, which asks for it anew.
        let mut nobody = Context::from_waker(Waker::noop());
        let mut rest = bufs;
        while let Some(first) = rest.iter().position(|buf| !buf.is_empty()) {
            rest = &mut rest[first..];
            match self.socket.poll_write(&mut nobody, rest) {
                Poll::Ready(written) => consume(rest, written?),
                Poll::Pending => return Ok(false),
            }
        }
        match self.socket.poll_flush(&mut nobody) {
            Poll::Ready(flushed) => flushed.map(|()| true),
            Poll::Pending => Ok(false),
        }
    }

    async fn finish(&mut self) -> Result<(), TransportError> {
        self.finished = true;
        poll_fn(|cx| self.socket.poll_finish(cx)).await
    }

    fn reset(&mut self, _code: CloseCode) {
        self.socket.reset();
    }
}

impl Drop for TcpSender {
    fn drop(&mut self) {
        if !self.finished {
            self.socket.reset();
        }
    }
}

struct TcpReceiver {
    socket: Arc<Socket>,
    /// Empty but for the room after the last piece that was handed out.
    block: BytesMut,
    ended: bool,
}

#[async_trait]
impl LaneReceiver for TcpReceiver {
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        let wanted = max.clamp(1, BLOCK);
        if self.block.capacity() < wanted / 2 {
            self.block.reserve(BLOCK);
        }
        let some = fill(&self.socket, &mut self.ended, &mut self.block, wanted).await?;
        Ok(some.then(|| self.block.split().freeze()))
    }

    async fn read_into(&mut self, into: &mut BytesMut, max: usize) -> Result<usize, TransportError> {
        let before = into.len();
        fill(&self.socket, &mut self.ended, into, max.max(1)).await?;
        Ok(into.len() - before)
    }

    fn stop(&mut self, _code: CloseCode) {
        self.socket.stop_reading();
    }
}

impl Drop for TcpReceiver {
    fn drop(&mut self) {
        self.socket.stop_reading();
    }
}

/// Reads to the end of `into`; false at the end of the stream.
async fn fill(
    socket: &Socket,
    ended: &mut bool,
    into: &mut BytesMut,
    max: usize,
) -> Result<bool, TransportError> {
    while !*ended {
        let some = tokio::select! {
            biased;
            () = socket.reader.notified() => continue,
            some = poll_fn(|cx| socket.poll_read(cx, into, max)) => some?,
        };
        if some {
            return Ok(true);
        }
        *ended = true;
    }
    Ok(false)
}

/// Takes the first `count` bytes off `bufs`; a buffer that is used up lets go of its memory.
fn consume(bufs: &mut [Bytes], mut count: usize) {
    for buf in bufs {
        let part = count.min(buf.len());
        count -= part;
        if part == buf.len() {
            *buf = Bytes::new();
        } else {
            buf.advance(part);
            return;
        }
    }
}
