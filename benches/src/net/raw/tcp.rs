//! One TCP connection.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
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
        let (stream, _) = self.0.accept().await.map_err(text)?;
        stream.set_nodelay(true).map_err(text)?;
        work::serve(stream, work).await
    }
}

pub(super) async fn connect(addr: SocketAddr) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(addr).await.map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    Ok(stream)
}

impl Pipe for TcpStream {
    async fn write(&mut self, bytes: Bytes) -> Result<(), String> {
        self.write_all(&bytes).await.map_err(text)
    }

    async fn read(&mut self, into: &mut BytesMut) -> Result<bool, String> {
        self.read_buf(into).await.map(|len| len > 0).map_err(text)
    }
}
