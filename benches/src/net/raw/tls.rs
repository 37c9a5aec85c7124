//! TLS 1.3 over one TCP connection, with certificates on both sides, as our transport has it.

use std::net::SocketAddr;
use std::sync::Arc;

use myrmidon_certs::Credentials;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::{tcp, text, work};

const PROTOCOL: &[&[u8]] = &[b"raw"];

/// Serves one connection, after saying where.
pub(super) async fn serve(work: &str) -> Result<(), String> {
    let tls = Credentials::loopback().and_then(|own| own.server_config(PROTOCOL)).map_err(text)?;
    let listener = tcp::Listener::bind().await?;
    println!("{}", listener.addr()?);
    let stream = TlsAcceptor::from(Arc::new(tls)).accept(listener.accept().await?).await.map_err(text)?;
    work::serve(stream, work).await
}

pub(super) async fn connect(addr: SocketAddr) -> Result<TlsStream<TcpStream>, String> {
    let credentials = Credentials::loopback().map_err(text)?;
    let tls = credentials.client_config(PROTOCOL).map_err(text)?;
    let name = credentials.server_name(None).map_err(text)?;
    let stream = tcp::connect(addr).await?;
    TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map(Into::into).map_err(text)
}
