//! One socket: its two halves, and what became of it.
//!
//! Each half sits in a lock of its own, which only its user takes in normal operation: so a reset or
//! a close takes both away at once, and the file descriptor is closed even while the other half of
//! the lane lies idle.
//!
//! The kernel reports a broken connection once: whoever comes second sees an end of stream. The
//! writer therefore notes a failure under its lock, and a reader at the end looks there before it
//! calls the stream complete.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use myrmidon::transport::TransportError;
use tokio::sync::Notify;

use crate::link::Link;
use crate::stream::{ReadHalf, Stream, WriteHalf};
use crate::tls::{explain, of_tls};

/// Pieces that one system call writes at most.
const MAX_SLICES: usize = 128;
/// Of a lane for messages the system takes so much more than it may send at the moment.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 16 << 10;

pub(crate) struct Socket {
    read: Mutex<Option<ReadHalf>>,
    write: Mutex<Writing>,
    /// How many of the two halves are in use.
    halves: AtomicU8,
    /// Why the socket is over, or will be: the first reason stays.
    over: OnceLock<TransportError>,
    /// Wake the reader and the writer when their half was taken away.
    pub(crate) reader: Notify,
    pub(crate) writer: Notify,
    link: Arc<Link>,
}

struct Writing {
    half: Option<WriteHalf>,
    failure: Option<TransportError>,
}

impl Socket {
    /// A socket that counts as a member of `link` until it is over.
    pub(crate) fn new(stream: Stream, link: Arc<Link>) -> Self {
        let (read, write) = stream.split();
        Self {
            read: Mutex::new(Some(read)),
            write: Mutex::new(Writing { half: Some(write), failure: None }),
            halves: AtomicU8::new(2),
            over: OnceLock::new(),
            reader: Notify::new(),
            writer: Notify::new(),
            link,
        }
    }

    /// Reads up to `max` bytes into `buf`. `Ok(false)` is the end of a complete stream.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        max: usize,
    ) -> Poll<Result<bool, TransportError>> {
        let mut half = lock(&self.read);
        let Some(stream) = half.as_mut() else { return Poll::Ready(Err(self.reason())) };
        match ready!(stream.poll_read(cx, buf, max)) {
            Ok(0) => {
                drop(half);
                Poll::Ready(self.end_of_stream().map(|()| false))
            }
            Ok(_) => Poll::Ready(Ok(true)),
            Err(error) => {
                drop(half);
                self.end(self.lost(&error));
                Poll::Ready(Err(self.reason()))
            }
        }
    }

    /// Writes from the front of `bufs`, and says how many bytes were taken.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        bufs: &[Bytes],
    ) -> Poll<Result<usize, TransportError>> {
        let mut writing = lock(&self.write);
        let Some(stream) = writing.half.as_mut() else {
            return Poll::Ready(Err(writing.failure.clone().unwrap_or_else(|| self.reason())));
        };
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = fill(&mut slices, bufs);
        match ready!(stream.poll_write(cx, &slices[..count])) {
            Ok(written) => Poll::Ready(Ok(written)),
            Err(error) => Poll::Ready(Err(self.write_failed(writing, &error))),
        }
    }

    /// Has the system take no more than it can send, and [`UNSENT`] bytes.
    pub(crate) fn hold_little(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(half) = lock(&self.write).half.as_ref() {
            // Without it everything works, and messages wait longer on a slow path.
            let _ = half.on_socket(|socket| socket.set_tcp_notsent_lowat(UNSENT));
        }
    }

    /// Waits until what was written is with the system.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut writing = lock(&self.write);
        let Some(stream) = writing.half.as_mut() else {
            return Poll::Ready(Err(writing.failure.clone().unwrap_or_else(|| self.reason())));
        };
        match ready!(stream.poll_flush(cx)) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(self.write_failed(writing, &error))),
        }
    }

    /// Shuts the writing side; reading goes on.
    pub(crate) fn poll_finish(&self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        let mut writing = lock(&self.write);
        let Some(stream) = writing.half.as_mut() else {
            return Poll::Ready(writing.failure.clone().map_or_else(|| self.finished(), Err));
        };
        let shut = ready!(stream.poll_finish(cx));
        self.drop_write_half(writing, TransportError::ClosedLocally);
        Poll::Ready(shut.map_err(|error| self.lost(&error)))
    }

    fn write_failed(&self, mut writing: MutexGuard<'_, Writing>, error: &io::Error) -> TransportError {
        let failure = self.lost(error);
        writing.failure = Some(failure.clone());
        self.drop_write_half(writing, failure.clone());
        failure
    }

    /// Stops reading. What the peer still writes is neither read nor refused until the writing side
    /// has ended too.
    pub(crate) fn stop_reading(&self) {
        if lock(&self.read).take().is_some() {
            self.half_gone(TransportError::ClosedLocally);
        }
    }

    /// Breaks the connection so that the peer fails, unless the writing side has ended in order.
    pub(crate) fn reset(&self) {
        let writing = lock(&self.write);
        let Some(stream) = writing.half.as_ref() else { return };
        // An error means that the connection is gone, which is what is wanted.
        let _ = stream.on_socket(|socket| socket.set_linger(Some(Duration::ZERO)));
        drop(writing);
        self.end(TransportError::ClosedLocally);
    }

    /// Ends both directions. The peer sees the end of the stream.
    pub(crate) fn close(&self) {
        if let Some(stream) = lock(&self.read).as_ref() {
            let _ = stream.on_socket(|socket| socket.shutdown(Shutdown::Both));
        } else if let Some(stream) = lock(&self.write).half.as_ref() {
            let _ = stream.on_socket(|socket| socket.shutdown(Shutdown::Both));
        }
        self.end(TransportError::ClosedLocally);
    }

    /// Takes both halves away; dropping the second closes the descriptor.
    fn end(&self, reason: TransportError) {
        let _ = self.over.set(reason.clone());
        let write = lock(&self.write).half.take();
        let read = lock(&self.read).take();
        let taken = u8::from(write.is_some()) + u8::from(read.is_some());
        if let Some(half) = write {
            // Without the shutdown that dropping it would do: a reset must not begin with a FIN.
            half.forget();
        }
        drop(read);
        self.reader.notify_one();
        self.writer.notify_one();
        (0..taken).for_each(|_| self.half_gone(reason.clone()));
    }

    fn end_of_stream(&self) -> Result<(), TransportError> {
        if let Some(failure) = &lock(&self.write).failure {
            return Err(failure.clone());
        }
        if lock(&self.read).take().is_none() {
            return Err(self.reason());
        }
        let reason = TransportError::ClosedByPeer { code: 0, reason: "the end of the stream".into() };
        let _ = self.over.set(reason.clone());
        self.half_gone(reason);
        Ok(())
    }

    fn drop_write_half(&self, mut writing: MutexGuard<'_, Writing>, reason: TransportError) {
        let half = writing.half.take();
        drop(writing);
        if let Some(half) = half {
            half.forget();
            self.half_gone(reason);
        }
    }

    fn half_gone(&self, reason: TransportError) {
        if self.halves.fetch_sub(1, Ordering::AcqRel) == 1 {
            let reason = self.over.get_or_init(|| reason).clone();
            self.link.socket_over(reason);
        }
    }

    /// `finish` when the writing side is already gone.
    fn finished(&self) -> Result<(), TransportError> {
        match self.over.get() {
            Some(reason) if is_failure(reason) => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    /// What the kernel gives up by itself may live; what the other end resets does not. A peer that
    /// refuses us lives.
    fn lost(&self, error: &io::Error) -> TransportError {
        use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
        match error.kind() {
            TimedOut | HostUnreachable | NetworkUnreachable | NetworkDown => {
                TransportError::Cut(error.to_string())
            }
            _ if of_tls(error).is_some() => {
                TransportError::Handshake { addr: self.link.peer.clone(), reason: explain(error) }
            }
            _ => TransportError::Lost(error.to_string()),
        }
    }

    fn reason(&self) -> TransportError {
        self.over.get().cloned().unwrap_or(TransportError::ClosedLocally)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.end(TransportError::ClosedLocally);
    }
}

fn fill<'a>(slices: &mut [IoSlice<'a>], bufs: &'a [Bytes]) -> usize {
    let filled = bufs.iter().filter(|buf| !buf.is_empty()).zip(slices);
    filled.map(|(buf, slice)| *slice = IoSlice::new(buf)).count()
}

/// Whether the end is none in good order.
pub(crate) fn is_failure(end: &TransportError) -> bool {
    matches!(end, TransportError::Lost(_) | TransportError::Cut(_) | TransportError::Handshake { .. })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
