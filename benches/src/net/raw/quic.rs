//! One bidirectional stream of one QUIC connection, in packets as large as ours on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use myrmidon_certs::Credentials;
use quinn::congestion::CubicConfig;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, RecvStream, SendStream,
    ServerConfig, TokioRuntime, TransportConfig,
};

use super::frames::Pipe;
use super::{text, work};

const PROTOCOL: &[&[u8]] = &[b"raw"];
/// As large as packets can be on loopback when ten of them go in one call.
const PACKET: u16 = 6500;
const WINDOW: u32 = 16 << 20;
const SOCKET_BUFFER: usize = 8 << 20;

pub(super) struct Listener(Endpoint);

impl Listener {
    pub(super) fn bind() -> Result<Self, String> {
        let tls = Credentials::loopback().and_then(|own| own.server_config(PROTOCOL)).map_err(text)?;
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).map_err(text)?));
        config.transport_config(transport());
        endpoint(Some(config)).map(Self)
    }

    pub(super) fn addr(&self) -> Result<SocketAddr, String> {
        self.0.local_addr().map_err(text)
    }

    /// Serves one connection, after saying where if that is wanted.
    pub(super) async fn serve_all(self, work: &str, say: bool) -> Result<(), String> {
        if say {
            println!("{}", self.addr()?);
        }
        let incoming = self.0.accept().await.ok_or("the endpoint is closed")?;
        let connection = incoming.await.map_err(text)?;
        let (sender, receiver) = connection.accept_bi().await.map_err(text)?;
        work::serve(Stream { sender, receiver, _connection: connection }, work).await
    }
}

pub(super) async fn connect(addr: SocketAddr) -> Result<Stream, String> {
    let credentials = Credentials::loopback().map_err(text)?;
    let tls = credentials.client_config(PROTOCOL).map_err(text)?;
    let name = credentials.server_name(None).map_err(text)?;
    let mut config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).map_err(text)?));
    config.transport_config(transport());
    let connecting = endpoint(None)?.connect_with(config, addr, &name.to_str()).map_err(text)?;
    let connection = connecting.await.map_err(text)?;
    let (sender, receiver) = connection.open_bi().await.map_err(text)?;
    Ok(Stream { sender, receiver, _connection: connection })
}

pub(super) struct Stream {
    sender: SendStream,
    receiver: RecvStream,
    /// Closes when it is dropped.
    _connection: Connection,
}

impl Pipe for Stream {
    async fn write(&mut self, bytes: Bytes) -> Result<(), String> {
        self.sender.write_chunk(bytes).await.map_err(text)
    }

    async fn read(&mut self, into: &mut BytesMut) -> Result<bool, String> {
        let chunk = self.receiver.read_chunk(super::frames::BLOCK, true).await.map_err(text)?;
        let some = chunk.is_some();
        into.extend(chunk.map(|chunk| chunk.bytes));
        Ok(some)
    }
}

fn endpoint(server: Option<ServerConfig>) -> Result<Endpoint, String> {
    let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).map_err(text)?;
    let options = socket2::SockRef::from(&socket);
    // The system may grant less.
    let _ = options.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = options.set_send_buffer_size(SOCKET_BUFFER);
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(PACKET).map_err(text)?;
    Endpoint::new(config, server, socket, Arc::new(TokioRuntime)).map_err(text)
}

fn transport() -> Arc<TransportConfig> {
    let (mut config, mut mtu, mut congestion) =
        (TransportConfig::default(), MtuDiscoveryConfig::default(), CubicConfig::default());
    mtu.upper_bound(PACKET);
    congestion.initial_window(256 << 10);
    config
        .initial_mtu(PACKET)
        .mtu_discovery_config(Some(mtu))
        .stream_receive_window(WINDOW.into())
        .receive_window((2 * WINDOW).into())
        .send_window(u64::from(WINDOW))
        .initial_rtt(Duration::from_millis(5))
        .congestion_controller_factory(Arc::new(congestion));
    Arc::new(config)
}
