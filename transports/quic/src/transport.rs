//! The transport: configurations made once, endpoints made as needed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use myrmidon::transport::{Connection, Listener, NodeAddr, PeerIdentity, Profile, Transport, TransportError};
use myrmidon_certs::CertsError;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, ServerConfig};

use crate::endpoint::Endpoints;
use crate::listener::QuicListener;
use crate::{QuicConfig, SocketBuffers, Tuning, dial, resolve};

pub(crate) const SCHEME: &str = "quic";

/// Connects and accepts over QUIC. Needs a tokio runtime with I/O and time around every call.
pub struct QuicTransport {
    shared: Arc<Shared>,
}

impl QuicTransport {
    /// A transport that shows `config.credentials` on every connection.
    ///
    /// Fails if rustls refuses the credentials.
    pub fn new(config: QuicConfig) -> Result<Self, CertsError> {
        Ok(Self { shared: Arc::new(Shared::new(config)?) })
    }

    /// The UDP sockets that are open, with the buffers that the system granted them.
    pub fn sockets(&self) -> Vec<SocketBuffers> {
        self.shared.endpoints.sockets()
    }
}

#[async_trait]
impl Transport for QuicTransport {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    async fn bind(&self, addr: &NodeAddr) -> Result<Box<dyn Listener>, TransportError> {
        let failed = |reason| TransportError::Bind { addr: addr.clone(), reason };
        let found = resolve::resolve(addr).await.map_err(failed)?;
        let credentials = &self.shared.config.credentials;
        resolve::check_reach(credentials, addr, &found)?;
        let server = self.shared.settings(found[0].ip()).server.as_ref().clone();
        let endpoint = self.shared.endpoints.listen(found[0], server, &self.shared.config);
        let endpoint = endpoint.map_err(|e| failed(e.to_string()))?;
        let local = endpoint.local_addr().map_err(|e| failed(e.to_string()))?;
        Ok(Box::new(QuicListener::new(local, endpoint, self.shared.clone())))
    }

    async fn connect(&self, addr: &NodeAddr) -> Result<Box<dyn Connection>, TransportError> {
        Ok(Box::new(dial::dial(&self.shared, addr).await?))
    }

    fn identity(&self) -> Option<PeerIdentity> {
        let identity = self.shared.config.credentials.identity();
        Some(PeerIdentity { cluster: identity.cluster().to_owned(), node: identity.node().to_owned() })
    }
}

/// What listeners and dials share.
pub(crate) struct Shared {
    config: QuicConfig,
    loopback: Settings,
    lan: Settings,
    wan: Settings,
    pub(crate) endpoints: Endpoints,
}

/// Quinn's configurations for peers at one distance.
pub(crate) struct Settings {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: ClientConfig,
}

impl Shared {
    fn new(config: QuicConfig) -> Result<Self, CertsError> {
        let alpn = config.level.protocols();
        let server = config.credentials.server_config(alpn)?;
        let client = config.credentials.client_config(alpn)?;
        let server = Arc::new(QuicServerConfig::try_from(server).expect(INITIAL_SUITE));
        let client = Arc::new(QuicClientConfig::try_from(client).expect(INITIAL_SUITE));
        let settings = |profile| Settings::new(config.tuning(profile), &server, &client);
        let [loopback, lan, wan] = [Profile::Loopback, Profile::Lan, Profile::Wan].map(settings);
        Ok(Self { loopback, lan, wan, endpoints: Endpoints::default(), config })
    }

    pub(crate) fn config(&self) -> &QuicConfig {
        &self.config
    }

    /// The settings for a peer at `ip`.
    pub(crate) fn settings(&self, ip: IpAddr) -> &Settings {
        match self.config.profile_of(ip) {
            Profile::Loopback => &self.loopback,
            Profile::Lan => &self.lan,
            Profile::Wan => &self.wan,
        }
    }

    /// How long a handshake with a peer at `ip` may take.
    pub(crate) fn handshake_timeout(&self, ip: IpAddr) -> Duration {
        self.config.tuning(self.config.profile_of(ip)).handshake_timeout
    }
}

impl Settings {
    fn new(tuning: &Tuning, server: &Arc<QuicServerConfig>, client: &Arc<QuicClientConfig>) -> Self {
        let transport = tuning.transport();
        let mut server = ServerConfig::with_crypto(server.clone());
        server.transport_config(transport.clone()).migration(tuning.migration);
        // Beyond that quinn drops without a word (L06).
        server.max_incoming(256).incoming_buffer_size(64 << 10).incoming_buffer_size_total(8 << 20);
        let mut client = ClientConfig::new(client.clone());
        client.transport_config(transport);
        Self { server: Arc::new(server), client }
    }
}

/// The suites come from the `certs` crate, which passes ring's whole provider.
const INITIAL_SUITE: &str = "the provider has TLS13_AES_128_GCM_SHA256, which QUIC starts with";

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use myrmidon_certs::Credentials;
    use quinn::Endpoint;
    use tokio::net::UdpSocket;
    use tokio::time::timeout;

    use super::*;

    const LEN: usize = 1200;
    const HERE: &str = "127.0.0.1:0";

    /// A first packet of this version, with a connection id of its own. What is in it only a handshake would look at.
    fn first_packet(version: u32, number: u64) -> Vec<u8> {
        let mut packet = vec![0xC3];
        packet.extend(version.to_be_bytes());
        for id in [number, !number] {
            packet.push(8);
            packet.extend(id.to_be_bytes());
        }
        // No token, and the length of the rest.
        packet.push(0);
        let rest = (LEN - packet.len() - 2) as u16;
        packet.extend((rest | 0x4000).to_be_bytes());
        packet.resize(LEN, 7);
        packet
    }

    /// Packets are looked at in their order, and a version that nobody speaks is answered at once: then all earlier ones have been.
    async fn all_are_looked_at(socket: &UdpSocket) {
        socket.send(&first_packet(0x0A0A_0A0A, 0)).await.unwrap();
        let answer = timeout(Duration::from_secs(20), socket.recv(&mut [0; LEN])).await;
        answer.expect("an answer in time").unwrap();
    }

    fn next(endpoint: &Endpoint) -> Option<quinn::Incoming> {
        match pin!(endpoint.accept()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(incoming) => incoming,
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn l06_first_packets_that_nobody_has_taken_up_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let credentials = Credentials::loopback_in(&folder.path().join("state")).unwrap();
        let shared = Shared::new(QuicConfig::new(credentials)).unwrap();
        let addr: SocketAddr = HERE.parse().unwrap();
        let server = shared.settings(addr.ip()).server.as_ref().clone();
        let endpoint = shared.endpoints.listen(addr, server, &shared.config).unwrap();
        let socket = UdpSocket::bind(HERE).await.unwrap();
        socket.connect(endpoint.local_addr().unwrap()).await.unwrap();
        // Of what is no handshake three of four are dropped at a look at their first byte.
        for number in 1..=1500 {
            socket.send(&first_packet(1, number)).await.unwrap();
            if number % 20 == 0 {
                all_are_looked_at(&socket).await;
            }
        }
        let mut waiting = 0;
        while let Some(incoming) = next(&endpoint) {
            incoming.ignore();
            waiting += 1;
        }
        assert_eq!(waiting, 256, "the others were dropped without a word");
        for number in 1501..=1520 {
            socket.send(&first_packet(1, number)).await.unwrap();
        }
        all_are_looked_at(&socket).await;
        assert!(next(&endpoint).is_some(), "there is room again");
    }
}
