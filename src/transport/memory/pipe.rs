//! One direction of a lane: a bounded queue of bytes between one writer and one reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::connection::Handle;
use crate::transport::{CloseCode, LaneReceiver, LaneSender, TransportError};

/// Bytes that a pipe holds before its writer waits.
pub(super) const CAPACITY: usize = 64 * 1024;

/// Shared by the two ends. Each `Notify` has one waiter, and a permit is stored when it is not
/// waiting yet, so no wake-up is lost.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    len: usize,
    finished: bool,
    /// Set once, by a reset, a stop or the end of the connection; nothing is readable from then on.
    failed: Option<Failure>,
}

/// What each end is told.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) reader: TransportError,
    pub(super) writer: TransportError,
}

impl Pipe {
    /// Ends the pipe with an error, unless it failed before or everything was already read.
    pub(super) fn fail(&self, failure: Failure) {
        let mut state = self.state();
        if state.failed.is_none() && !state.is_complete() {
            state.failed = Some(failure);
            state.chunks = VecDeque::new();
            state.len = 0;
        }
        drop(state);
        self.readable.notify_one();
        self.writable.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_complete(&self) -> bool {
        self.finished && self.chunks.is_empty()
    }

    /// Takes as much of `buf` as there is room for.
    fn push(&mut self, buf: &mut Bytes) -> Result<(), TransportError> {
        if let Some(failure) = &self.failed {
            return Err(failure.writer.clone());
        }
        if self.finished {
            return Err(TransportError::ClosedLocally);
        }
        let room = (CAPACITY - self.len).min(buf.len());
        if room > 0 {
            self.len += room;
            self.chunks.push_back(buf.split_to(room));
        }
        if buf.is_empty() {
            *buf = Bytes::new();
        }
        Ok(())
    }

    /// The next bytes; `Ok(None)` means that the reader has to wait.
    fn pop(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        if let Some(failure) = &self.failed {
            return Err(failure.reader.clone());
        }
        let Some(front) = self.chunks.front_mut() else { return Ok(None) };
        let piece = front.split_to(max.clamp(1, front.len()));
        if front.is_empty() {
            self.chunks.pop_front();
        }
        self.len -= piece.len();
        Ok(Some(piece))
    }
}

/// The writing end.
pub(super) struct PipeSender {
    pub(super) pipe: Arc<Pipe>,
    /// Keeps this side of the connection alive; none while the lane waits to be accepted.
    pub(super) handle: Option<Arc<Handle>>,
}

#[async_trait]
impl LaneSender for PipeSender {
    async fn write(&mut self, bufs: &mut [Bytes]) -> Result<(), TransportError> {
        for buf in bufs {
            while !buf.is_empty() {
                self.pipe.state().push(buf)?;
                self.pipe.readable.notify_one();
                if !buf.is_empty() {
                    self.pipe.writable.notified().await;
                }
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), TransportError> {
        let mut state = self.pipe.state();
        if let Some(failure) = &state.failed {
            return Err(failure.writer.clone());
        }
        state.finished = true;
        drop(state);
        self.pipe.readable.notify_one();
        Ok(())
    }

    fn reset(&mut self, code: CloseCode) {
        self.pipe.fail(Failure {
            reader: TransportError::Reset { code: code.as_u16().into() },
            writer: TransportError::ClosedLocally,
        });
    }
}

impl Drop for PipeSender {
    fn drop(&mut self) {
        if !self.pipe.state().finished {
            self.reset(CloseCode::Normal);
        }
    }
}

/// The reading end.
pub(super) struct PipeReceiver {
    pub(super) pipe: Arc<Pipe>,
    /// Keeps this side of the connection alive; none while the lane waits to be accepted.
    pub(super) handle: Option<Arc<Handle>>,
}

#[async_trait]
impl LaneReceiver for PipeReceiver {
    async fn read(&mut self, max: usize) -> Result<Option<Bytes>, TransportError> {
        loop {
            {
                let mut state = self.pipe.state();
                if let Some(bytes) = state.pop(max)? {
                    self.pipe.writable.notify_one();
                    return Ok(Some(bytes));
                }
                if state.finished {
                    return Ok(None);
                }
            }
            self.pipe.readable.notified().await;
        }
    }

    fn stop(&mut self, code: CloseCode) {
        self.pipe.fail(Failure {
            reader: TransportError::ClosedLocally,
            writer: TransportError::Reset { code: code.as_u16().into() },
        });
    }
}

impl Drop for PipeReceiver {
    fn drop(&mut self) {
        self.stop(CloseCode::Normal);
    }
}
