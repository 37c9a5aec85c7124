//! The end of a handshake: who the peer is.

use std::time::Duration;

use myrmidon::transport::{CloseCode, Level, PeerIdentity};
use myrmidon_certs::Credentials;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Connecting, Connection, ConnectionError};
use rustls::pki_types::CertificateDer;

use crate::error;

/// A connection whose peer is known.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) quinn: Connection,
    pub(crate) peer: PeerIdentity,
    /// What ALPN chose.
    pub(crate) level: Level,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing came back in time.
    Silent,
    /// One side refused the other; the text says which and why.
    Refused(String),
}

/// Waits for a handshake at most `deadline` and identifies the peer. A dialler waits for the word
/// of the acceptor too.
pub(crate) async fn finish(
    connecting: Connecting,
    credentials: &Credentials,
    deadline: Duration,
) -> Result<Verified, Failure> {
    let quinn = match tokio::time::timeout(deadline, complete(connecting)).await {
        Ok(Ok(quinn)) => quinn,
        Ok(Err(ConnectionError::TimedOut)) | Err(_) => return Err(Failure::Silent),
        Ok(Err(error)) => return Err(Failure::Refused(error::handshake(&error))),
    };
    match identify(&quinn, credentials) {
        Ok(peer) => Ok(Verified { level: level(&quinn), quinn, peer }),
        Err(reason) => {
            quinn.close(error::code(CloseCode::NotAuthenticated), b"");
            Err(Failure::Refused(reason))
        }
    }
}

async fn complete(connecting: Connecting) -> Result<Connection, ConnectionError> {
    let quinn = connecting.await?;
    if quinn.side().is_client() {
        confirmed(&quinn).await?;
    }
    Ok(quinn)
}

/// A client has finished before the server has judged its certificate. HANDSHAKE_DONE says that the
/// server has, and without objection (RFC 9001, 4.1.2). Quinn counts it but has no future for it.
async fn confirmed(quinn: &Connection) -> Result<(), ConnectionError> {
    let mut pause = Duration::from_millis(1);
    while quinn.stats().frame_rx.handshake_done == 0 {
        if let Ok(error) = tokio::time::timeout(pause, quinn.closed()).await {
            return Err(error);
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    Ok(())
}

/// Only offered protocols are ever chosen, and one always is.
fn level(quinn: &Connection) -> Level {
    let data = quinn.handshake_data().and_then(|any| any.downcast::<HandshakeData>().ok());
    data.and_then(|data| data.protocol).and_then(|name| Level::of_protocol(&name)).unwrap_or(Level::One)
}

fn identify(quinn: &Connection, credentials: &Credentials) -> Result<PeerIdentity, String> {
    let chain = quinn.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'static>>>().ok());
    let chain = chain.ok_or("the peer showed no certificate")?;
    let peer = credentials.peer_identity(&chain).map_err(|e| e.to_string())?;
    Ok(PeerIdentity { cluster: peer.cluster().to_owned(), node: peer.node().to_owned() })
}
