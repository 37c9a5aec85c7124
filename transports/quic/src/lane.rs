//! A lane is one bidirectional stream.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use myrmidon::transport::{CloseCode, Lane, LaneClass, LaneReceiver, LaneSender, TransportError};
use quinn::{ReadError, RecvStream, SendStream, StoppedError, VarInt, WriteError};

use crate::error;

/// How long `finish` waits for the peer's acknowledgement before it leaves the rest to quinn.
const FINISH_WAIT: Duration = Duration::from_secs(2);

pub(crate) fn lane((send, recv): (SendStream, RecvStream)) -> Lane {
    (Box::new(QuicSender { stream: send, over: false }), Box::new(QuicReceiver { stream: recv }))
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
    /// Finished or reset, so that dropping it need not reset it.
    over: bool,
}

#[async_trait]
impl LaneSender for QuicSender {
    async fn write(&mut self, bufs: &mut [Bytes]) -> Result<(), TransportError> {
        self.stream.write_all_chunks(bufs).await.map_err(|error| match error {
            WriteError::Stopped(code) => TransportError::Reset { code: code.into_inner() },
            WriteError::ConnectionLost(error) => error::ended(&error),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => TransportError::ClosedLocally,
        })
    }

    fn set_class(&mut self, class: LaneClass) {
        // Fails only if the stream is over already, which its next use will tell.
        let _ = self.stream.set_priority(priority(class));
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
}

#[async_trait]
impl LaneReceiver for QuicReceiver {
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        match self.stream.read_chunk(max, true).await {
            Ok(chunk) => Ok(chunk.map(|chunk| chunk.bytes)),
            Err(ReadError::Reset(code)) => Err(TransportError::Reset { code: VarInt::into_inner(code) }),
            Err(ReadError::ConnectionLost(error)) => Err(error::ended(&error)),
            Err(ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected) => {
                Err(TransportError::ClosedLocally)
            }
        }
    }

    fn stop(&mut self, code: CloseCode) {
        // Fails only if the stream is over already.
        let _ = self.stream.stop(error::code(code));
    }
}
