//! Dialling: the first socket of a connection, and those of its further lanes.

use std::net::SocketAddr;
use std::sync::Arc;

use myrmidon::transport::{NodeAddr, TransportError};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::TcpConfig;
use crate::stream::Stream;
use crate::tls::{Proof, Tls};

/// What a socket to one peer needs, with TLS or without.
pub(crate) struct Dialler {
    /// The address as given.
    pub(crate) addr: NodeAddr,
    /// Where it led.
    pub(crate) remote: SocketAddr,
    pub(crate) config: TcpConfig,
    /// With TLS: what the peer's certificate must say.
    pub(crate) tls: Option<(Arc<Tls>, ServerName<'static>)>,
}

impl Dialler {
    /// Dials the first of `candidates` that answers, and shakes hands with it.
    pub(crate) async fn first(
        addr: &NodeAddr,
        candidates: &[SocketAddr],
        config: &TcpConfig,
        tls: Option<(Arc<Tls>, ServerName<'static>)>,
    ) -> Result<(Self, Stream, Option<Proof>), TransportError> {
        let failed = |reason| TransportError::Connect { addr: addr.clone(), reason };
        let (stream, remote) = dial(candidates, config).await.map_err(failed)?;
        let mut dialler = Self { addr: addr.clone(), remote, config: config.clone(), tls };
        let (stream, proof) = dialler.secure(stream).await?;
        if let (Some((tls, name)), Some(proof)) = (&mut dialler.tls, &proof) {
            // Whoever answered, further lanes are with that very node.
            *name = tls.name_of(&proof.peer).map_err(failed)?;
        }
        Ok((dialler, stream, proof))
    }

    /// Another socket to the same node.
    pub(crate) async fn further(&self) -> Result<Stream, TransportError> {
        let failed = |reason| TransportError::Connect { addr: self.addr.clone(), reason };
        let (stream, _) = dial(&[self.remote], &self.config).await.map_err(failed)?;
        Ok(self.secure(stream).await?.0)
    }

    async fn secure(&self, stream: TcpStream) -> Result<(Stream, Option<Proof>), TransportError> {
        let Some((tls, name)) = &self.tls else { return Ok((Stream::Plain(stream), None)) };
        let (stream, proof) = tls
            .connect(stream, name.clone())
            .await
            .map_err(|reason| TransportError::Handshake { addr: self.addr.clone(), reason })?;
        Ok((Stream::Tls(Box::new(stream)), Some(proof)))
    }
}

/// Dials the first of `candidates` that answers; the error says what each of them said.
async fn dial(candidates: &[SocketAddr], config: &TcpConfig) -> Result<(TcpStream, SocketAddr), String> {
    let mut refusals = vec![];
    for &candidate in candidates {
        match dial_one(candidate, config).await {
            Ok(stream) => return Ok((stream, candidate)),
            Err(error) if candidates.len() == 1 => return Err(error.to_string()),
            Err(error) => refusals.push(format!("{candidate}: {error}")),
        }
    }
    Err(refusals.join("; "))
}

async fn dial_one(remote: SocketAddr, config: &TcpConfig) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(remote).await?;
    // When nobody listens on a port of the ephemeral range, the kernel may choose that very port to
    // dial from, and TCP then connects the socket to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    config.apply(&stream)?;
    Ok(stream)
}
