//! A stream and its two halves, plain or with TLS.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{BufMut, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_rustls::TlsStream;

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    pub(crate) fn split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Plain(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Plain(read), WriteHalf::Plain(write))
            }
            Self::Tls(stream) => {
                let session = Arc::new(Session(Mutex::new(stream)));
                (ReadHalf::Tls(session.clone()), WriteHalf::Tls(session))
            }
        }
    }
}

/// TLS has one state for both directions, so its halves take turns.
pub(crate) struct Session(Mutex<Box<TlsStream<TcpStream>>>);

impl Session {
    fn stream(&self) -> MutexGuard<'_, Box<TlsStream<TcpStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) enum ReadHalf {
    Plain(OwnedReadHalf),
    Tls(Arc<Session>),
}

impl ReadHalf {
    /// Reads up to `max` bytes into `buf`; none is the end of a complete stream.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let mut limited = buf.limit(max);
        match self {
            Self::Plain(half) => pin!(half.read_buf(&mut limited)).poll(cx),
            Self::Tls(session) => pin!(session.stream().read_buf(&mut limited)).poll(cx),
        }
    }

    /// Does something to the socket itself.
    pub(crate) fn on_socket<T>(&self, act: impl FnOnce(SockRef<'_>) -> T) -> T {
        match self {
            Self::Plain(half) => act(SockRef::from(half.as_ref())),
            Self::Tls(session) => act(SockRef::from(session.stream().get_ref().0)),
        }
    }
}

pub(crate) enum WriteHalf {
    Plain(OwnedWriteHalf),
    Tls(Arc<Session>),
}

impl WriteHalf {
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Tls(session) => Pin::new(&mut **session.stream()).poll_write_vectored(cx, slices),
        }
    }

    /// Brings out what was written: TLS keeps the last of it until there is room.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(Ok(())),
            Self::Tls(session) => Pin::new(&mut **session.stream()).poll_flush(cx),
        }
    }

    /// Ends this direction, with TLS by a word of its own that tells the end from a cut.
    pub(crate) fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(_) => Poll::Ready(self.on_socket(|socket| socket.shutdown(Shutdown::Write))),
            Self::Tls(session) => Pin::new(&mut **session.stream()).poll_shutdown(cx),
        }
    }

    /// Does something to the socket itself.
    pub(crate) fn on_socket<T>(&self, act: impl FnOnce(SockRef<'_>) -> T) -> T {
        match self {
            Self::Plain(half) => act(SockRef::from(half.as_ref())),
            Self::Tls(session) => act(SockRef::from(session.stream().get_ref().0)),
        }
    }

    /// Lets go without the shutdown that dropping a plain half would do: a reset must not begin with a
    /// FIN.
    pub(crate) fn forget(self) {
        if let Self::Plain(half) = self {
            half.forget();
        }
    }
}
