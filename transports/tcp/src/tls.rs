//! TLS on a socket: who we are, and who is at the other end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use myrmidon::transport::{Level, NodeAddr, PeerIdentity, TransportError};
use myrmidon_certs::{CertsError, Credentials, explain_error};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// How long a peer that was refused may take to read why.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How the transport speaks TLS. Plain data: set the fields before the transport is made.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Who we are, and whom we trust.
    pub credentials: Credentials,
    /// The highest level of the protocol that is offered; level 1 is always offered too, after it.
    /// Default: [`Level::Two`].
    pub level: Level,
    /// From accepting a socket until both certificates are verified (L04). Default: 5 s. Who dials sets
    /// its own deadline.
    pub handshake_timeout: Duration,
}

impl TlsConfig {
    /// The defaults with these credentials.
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, level: Level::Two, handshake_timeout: Duration::from_secs(5) }
    }
}

/// What a handshake has proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) peer: PeerIdentity,
    /// What ALPN chose.
    pub(crate) level: Level,
}

/// Both sides of TLS, by the rules of the `certs` crate.
pub(crate) struct Tls {
    pub(crate) credentials: Credentials,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    deadline: Duration,
}

impl Tls {
    pub(crate) fn new(config: TlsConfig) -> Result<Self, CertsError> {
        let TlsConfig { credentials, level, handshake_timeout } = config;
        let server = credentials.server_config(level.protocols())?;
        let client = credentials.client_config(level.protocols())?;
        let (acceptor, connector) = (Arc::new(server).into(), Arc::new(client).into());
        Ok(Self { credentials, acceptor, connector, deadline: handshake_timeout })
    }

    /// Who we prove to be.
    pub(crate) fn identity(&self) -> PeerIdentity {
        let identity = self.credentials.identity();
        PeerIdentity { cluster: identity.cluster().to_owned(), node: identity.node().to_owned() }
    }

    /// What the certificate at `addr` must say: the node that was named, or any node of our cluster.
    pub(crate) fn name_at(&self, addr: &NodeAddr) -> Result<ServerName<'static>, TransportError> {
        self.name(addr.node()).map_err(|reason| TransportError::BadAddress {
            scheme: crate::TLS,
            addr: addr.clone(),
            reason,
        })
    }

    /// What the certificate of this very node says.
    pub(crate) fn name_of(&self, peer: &PeerIdentity) -> Result<ServerName<'static>, String> {
        self.name(Some(&peer.node))
    }

    fn name(&self, node: Option<&str>) -> Result<ServerName<'static>, String> {
        self.credentials.server_name(node).map_err(|error| error.to_string())
    }

    /// Shakes hands with the node that was dialled. It judges our certificate after that: a refusal is
    /// what the first read brings.
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<(TlsStream<TcpStream>, Proof), String> {
        let shaken = self.connector.connect(name, stream).await.map_err(|error| explain(&error))?;
        let stream = TlsStream::from(shaken);
        let proof = self.proof(&stream)?;
        Ok((stream, proof))
    }

    /// Shakes hands with a stranger, within the deadline.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<(TlsStream<TcpStream>, Proof), String> {
        let shaking = self.acceptor.accept(stream).into_fallible();
        match timeout(self.deadline, shaking).await {
            Ok(Ok(shaken)) => {
                let stream = TlsStream::from(shaken);
                let proof = self.proof(&stream)?;
                Ok((stream, proof))
            }
            Ok(Err((error, stream))) => {
                see_out(stream).await;
                Err(explain(&error))
            }
            Err(_) => Err(format!("the handshake took longer than {:?}", self.deadline)),
        }
    }

    fn proof(&self, stream: &TlsStream<TcpStream>) -> Result<Proof, String> {
        let session = stream.get_ref().1;
        let chain = session.peer_certificates().ok_or("the peer showed no certificate")?;
        let peer = self.credentials.peer_identity(chain).map_err(|error| error.to_string())?;
        let level = session.alpn_protocol().and_then(Level::of_protocol);
        let level = level.ok_or("no protocol in common: the peer is no Myrmidon node")?;
        let peer = PeerIdentity { cluster: peer.cluster().to_owned(), node: peer.node().to_owned() };
        Ok(Proof { peer, level })
    }
}

/// Reads what a refused peer still sends, since closing with unread bytes would destroy the alert that
/// says why.
async fn see_out(mut stream: TcpStream) {
    let reading = async {
        let mut waste = [0; 4096];
        stream.shutdown().await?;
        while stream.read(&mut waste).await? > 0 {}
        io::Result::Ok(())
    };
    // However it goes, the peer is refused.
    let _ = timeout(LAST_WORD, reading).await;
}

/// The TLS error inside, in words; else the error itself.
pub(crate) fn explain(error: &io::Error) -> String {
    match of_tls(error) {
        Some(error) => explain_error(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the peer closed the connection; does it listen with TLS?".to_owned()
        }
        None => error.to_string(),
    }
}

/// The error of TLS that an error of the stream carries.
pub(crate) fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}
