//! One TCP connection.

use std::io::ErrorKind;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::frames::Pipe;
use super::{text, work};

pub(super) struct Listener(TcpListener);

impl Listener {
    pub(super) async fn bind() -> Result<Self, String> {
        TcpListener::bind(("127.0.0.1", 0)).await.map(Self).map_err(text)
    }

    pub(super) fn addr(&self) -> Result<SocketAddr, String> {
        self.0.local_addr().map_err(text)
    }

    /// Serves one connection, after saying where if that is wanted.
    pub(super) async fn serve_all(self, work: &str, say: bool) -> Result<(), String> {
        if say {
            println!("{}", self.addr()?);
        }
        work::serve(self.accept().await?, work).await
    }

    pub(super) async fn accept(&self) -> Result<TcpStream, String> {
        let (stream, _) = self.0.accept().await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        Ok(stream)
    }
}

pub(super) async fn connect(addr: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(addr).await.map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    Ok(stream)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Pipe for S {
    async fn write(&mut self, bytes: Bytes) -> Result<(), String> {
        self.write_all(&bytes).await.map_err(text)?;
        // TLS keeps the last of it.
        self.flush().await.map_err(text)
    }

    async fn read(&mut self, into: &mut BytesMut) -> Result<bool, String> {
        match self.read_buf(into).await {
            // Whoever drives over TLS just ends.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            read => read.map(|len| len > 0).map_err(text),
        }
    }
}
