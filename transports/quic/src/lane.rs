//! A lane is one bidirectional stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use myrmidon::transport::{CloseCode, Lane, LaneClass, LaneReceiver, LaneSender, TransportError};
use quinn::{ReadError, RecvStream, SendStream, StoppedError, VarInt, WriteError};

use crate::error;
use crate::under_way::UnderWay;

/// How long `finish` waits for the peer's acknowledgement before it leaves the rest to quinn.
const FINISH_WAIT: Duration = Duration::from_secs(2);

/// Beside what the congestion control lets a message lane have under way, and as much again that is ready to go, so
/// many bytes are given to quinn. What comes later waits in the queues of the node, where receivers take turns.
const READY: u64 = 16 << 10;

/// Packets that are taken from quinn at once where a lane is read to where its bytes belong.
const PACKETS: usize = 32;

pub(crate) fn lane(connection: &quinn::Connection, (send, recv): (SendStream, RecvStream)) -> Lane {
    let sender = QuicSender {
        stream: send,
        connection: connection.clone(),
        under_way: None,
        taken: Vec::new(),
        over: false,
    };
    (Box::new(sender), Box::new(QuicReceiver { stream: recv, ready: VecDeque::new() }))
}

/// Larger goes first; what is equal takes turns.
pub(crate) fn priority(class: LaneClass) -> i32 {
    match class {
        LaneClass::Heartbeat => 3,
        LaneClass::Control => 2,
        LaneClass::Message => 1,
        LaneClass::Bulk => 0,
    }
}

struct QuicSender {
    stream: SendStream,
    connection: quinn::Connection,
    /// What the peer has not acknowledged, if there is a bound to that.
    under_way: Option<Arc<UnderWay>>,
    /// Taken from who writes, and not given to quinn yet.
    taken: Vec<Bytes>,
    /// Finished or reset, so that dropping it need not reset it.
    over: bool,
}

impl QuicSender {
    /// Waits until quinn is to be given more; how many bytes.
    async fn room(&self, under_way: &UnderWay) -> Result<usize, TransportError> {
        loop {
            let most = 2 * self.connection.stats().path.cwnd + READY;
            let room = usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(under_way.bytes());
            if room > 0 {
                return Ok(room);
            }
            tokio::select! {
                biased;
                () = under_way.less() => {}
                error = self.connection.closed() => return Err(error::ended(&error)),
                // Of a stream that was stopped nothing more is acknowledged; the next write says so.
                _ = self.stream.stopped() => return Ok(1),
            }
        }
    }

    /// Gives quinn what was taken; what it has is taken out, also when this is dropped.
    async fn give_taken(&mut self) -> Result<(), TransportError> {
        give(&mut self.stream, &mut self.taken).await?;
        self.taken.clear();
        Ok(())
    }
}

/// What quinn has taken is left empty, also when this is dropped.
async fn give(stream: &mut SendStream, bufs: &mut [Bytes]) -> Result<(), TransportError> {
    stream.write_all_chunks(bufs).await.map_err(|error| match error {
        WriteError::Stopped(code) => TransportError::Reset { code: code.into_inner() },
        WriteError::ConnectionLost(error) => error::ended(&error),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => TransportError::ClosedLocally,
    })
}

#[async_trait]
impl LaneSender for QuicSender {
    async fn write(&mut self, bufs: &mut [Bytes]) -> Result<(), TransportError> {
        // What an earlier call took that was dropped.
        self.give_taken().await?;
        let Some(under_way) = self.under_way.clone() else { return give(&mut self.stream, bufs).await };
        let mut rest = bufs;
        while !rest.is_empty() {
            let room = self.room(&under_way).await?;
            self.taken = under_way.take(&mut rest, room);
            self.give_taken().await?;
        }
        Ok(())
    }

    fn set_class(&mut self, class: LaneClass) {
        // Fails only if the stream is over already, which its next use will tell.
        let _ = self.stream.set_priority(priority(class));
        self.under_way = (class == LaneClass::Message).then(Arc::default);
    }

    async fn finish(&mut self) -> Result<(), TransportError> {
        self.over = true;
        if self.stream.finish().is_err() {
            return Err(TransportError::ClosedLocally);
        }
        match tokio::time::timeout(FINISH_WAIT, self.stream.stopped()).await {
            // Acknowledged; or still on its way, which goes on without us.
            Ok(Ok(None)) | Err(_) => Ok(()),
            Ok(Ok(Some(code))) => Err(TransportError::Reset { code: code.into_inner() }),
            Ok(Err(StoppedError::ConnectionLost(error))) => after_finish(error::ended(&error)),
            Ok(Err(StoppedError::ZeroRttRejected)) => Err(TransportError::ClosedLocally),
        }
    }

    fn reset(&mut self, code: CloseCode) {
        self.over = true;
        // Fails only if the stream is over already.
        let _ = self.stream.reset(error::code(code));
    }
}

/// A peer that has read all it wants may close before its last acknowledgement reaches us.
fn after_finish(end: TransportError) -> Result<(), TransportError> {
    match end {
        TransportError::ClosedByPeer { .. } if error::is_in_good_order(&end) => Ok(()),
        end => Err(end),
    }
}

impl Drop for QuicSender {
    /// Quinn would finish the stream, and a half-written lane would look whole to the peer.
    fn drop(&mut self) {
        if !self.over {
            let _ = self.stream.reset(error::code(CloseCode::Normal));
        }
    }
}

struct QuicReceiver {
    stream: RecvStream,
    /// Taken from quinn, and not read yet.
    ready: VecDeque<Bytes>,
}

impl QuicReceiver {
    /// The first `max` bytes of what is ready, as far as they are in one piece.
    fn take(&mut self, max: usize) -> Option<Bytes> {
        let first = self.ready.front_mut()?;
        if first.len() > max {
            return Some(first.split_to(max));
        }
        self.ready.pop_front()
    }
}

/// What quinn says of a stream that cannot be read.
fn unreadable(error: ReadError) -> TransportError {
    match error {
        ReadError::Reset(code) => TransportError::Reset { code: VarInt::into_inner(code) },
        ReadError::ConnectionLost(error) => error::ended(&error),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            TransportError::ClosedLocally
        }
    }
}

#[async_trait]
impl LaneReceiver for QuicReceiver {
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        if let Some(bytes) = self.take(max) {
            return Ok(Some(bytes));
        }
        let chunk = self.stream.read_chunk(max, true).await.map_err(unreadable)?;
        Ok(chunk.map(|chunk| chunk.bytes))
    }

    /// Takes many packets at once, since each look is one at a lock that the connection shares.
    async fn read_into(&mut self, into: &mut BytesMut, max: usize) -> Result<usize, TransportError> {
        if self.ready.is_empty() {
            let mut packets = [const { Bytes::new() }; PACKETS];
            let Some(count) = self.stream.read_chunks(&mut packets).await.map_err(unreadable)? else {
                return Ok(0);
            };
            self.ready.extend(packets.into_iter().take(count));
        }
        let before = into.len();
        while let Some(bytes) = self.take(max - (into.len() - before)) {
            into.extend_from_slice(&bytes);
            if into.len() - before == max {
                break;
            }
        }
        Ok(into.len() - before)
    }

    fn stop(&mut self, code: CloseCode) {
        // Fails only if the stream is over already.
        let _ = self.stream.stop(error::code(code));
    }
}
