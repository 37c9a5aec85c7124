//! Endpoints: a UDP socket with quinn on it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::QuicConfig;

/// Asked of the system for each direction; Linux grants less without a word if its limit is lower.
const SOCKET_BUFFER: usize = 8 << 20;

/// What one UDP socket asked of the system, and what it was granted, in bytes.
///
/// With buffers that are too small packets are lost under load before they are read, and have to be sent
/// again. On Linux the limits are `net.core.rmem_max` and `net.core.wmem_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketBuffers {
    /// The bound address.
    pub addr: SocketAddr,
    /// What was asked for, each way.
    pub asked: usize,
    /// What was granted for receiving.
    pub receive: usize,
    /// What was granted for sending.
    pub send: usize,
}

impl SocketBuffers {
    fn of(socket: &SockRef<'_>, addr: SocketAddr) -> Self {
        // Linux counts its own overhead, for which it doubles what it grants.
        let part = if cfg!(target_os = "linux") { 2 } else { 1 };
        let granted = |size: io::Result<usize>| size.unwrap_or_default() / part;
        let (receive, send) = (granted(socket.recv_buffer_size()), granted(socket.send_buffer_size()));
        Self { addr, asked: SOCKET_BUFFER, receive, send }
    }

    /// Whether the system granted less than was asked for.
    pub fn is_short(&self) -> bool {
        self.receive.min(self.send) < self.asked
    }
}

/// What every QUIC endpoint takes.
const SMALLEST_PACKET: u16 = 1200;

/// The endpoints of one transport.
///
/// Dialling goes out from a listening endpoint where one fits, so that the peer sees the address
/// on which we can be reached and our stateless resets carry the right key; else from an endpoint
/// per family that is made on first use. Listening endpoints belong to their listeners.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    listening: Mutex<Vec<(Weak<Endpoint>, SocketBuffers)>>,
    dialling: Mutex<Vec<(Arc<Endpoint>, SocketBuffers)>>,
}

impl Endpoints {
    /// Binds an endpoint that accepts.
    pub(crate) fn listen(
        &self,
        addr: SocketAddr,
        server: ServerConfig,
        config: &QuicConfig,
    ) -> io::Result<Arc<Endpoint>> {
        let (endpoint, buffers) = open(addr, Some(server), config)?;
        let endpoint = Arc::new(endpoint);
        let mut listening = lock(&self.listening);
        listening.retain(|(other, _)| other.strong_count() > 0);
        listening.push((Arc::downgrade(&endpoint), buffers));
        Ok(endpoint)
    }

    /// An endpoint from which `target` can be dialled.
    pub(crate) fn to(&self, target: SocketAddr, config: &QuicConfig) -> io::Result<Arc<Endpoint>> {
        let open_here = |(endpoint, _): &(Weak<Endpoint>, _)| endpoint.upgrade();
        let listening = lock(&self.listening).iter().filter_map(open_here).find(|e| reaches(e, target));
        if let Some(endpoint) = listening {
            return Ok(endpoint);
        }
        let mut dialling = lock(&self.dialling);
        if let Some((endpoint, _)) = dialling.iter().find(|(e, _)| reaches(e, target)) {
            return Ok(endpoint.clone());
        }
        let (endpoint, buffers) = open(any_port(target), None, config)?;
        let endpoint = Arc::new(endpoint);
        dialling.push((endpoint.clone(), buffers));
        Ok(endpoint)
    }

    /// The open sockets.
    pub(crate) fn sockets(&self) -> Vec<SocketBuffers> {
        let listening = lock(&self.listening);
        let open = listening.iter().filter(|(endpoint, _)| endpoint.strong_count() > 0);
        let mut sockets: Vec<_> = open.map(|(_, buffers)| *buffers).collect();
        sockets.extend(lock(&self.dialling).iter().map(|(_, buffers)| *buffers));
        sockets
    }
}

/// The mutexes guard lists that are whole between any two statements.
fn lock<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether packets from `endpoint` get to `target` and back: the same family, and not from the
/// loopback to the network or the other way.
fn reaches(endpoint: &Endpoint, target: SocketAddr) -> bool {
    endpoint.local_addr().is_ok_and(|local| {
        local.is_ipv4() == target.is_ipv4()
            && (local.ip().is_unspecified() || local.ip().is_loopback() == target.ip().is_loopback())
    })
}

/// Where a socket for dialling `target` binds. Loopback has its own, whose packets can be large.
fn any_port(target: SocketAddr) -> SocketAddr {
    match (target.ip().is_loopback(), target.is_ipv4()) {
        (true, true) => (Ipv4Addr::LOCALHOST, 0).into(),
        (true, false) => (Ipv6Addr::LOCALHOST, 0).into(),
        (false, true) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        (false, false) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn open(
    addr: SocketAddr,
    server: Option<ServerConfig>,
    config: &QuicConfig,
) -> io::Result<(Endpoint, SocketBuffers)> {
    let (socket, buffers) = socket(addr)?;
    let config = endpoint_config(socket.local_addr()?, config);
    Ok((Endpoint::new(config, server, socket, Arc::new(TokioRuntime))?, buffers))
}

fn socket(addr: SocketAddr) -> io::Result<(UdpSocket, SocketBuffers)> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&addr.into())?;
    for set in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
        if let Err(error) = set(&socket, SOCKET_BUFFER) {
            tracing::debug!(%error, "the socket keeps the system's buffer size");
        }
    }
    let socket = UdpSocket::from(socket);
    let buffers = SocketBuffers::of(&SockRef::from(&socket), socket.local_addr()?);
    if buffers.is_short() {
        let SocketBuffers { addr, asked, receive, send } = buffers;
        tracing::info!(%addr, asked, receive, send, "small UDP buffers: raise net.core.rmem_max and wmem_max");
    }
    Ok((socket, buffers))
}

/// Both keys come from the node's private key and the bound address: after a restart they are the
/// same, so old packets are recognised and answered with a reset that the peer believes; and no two
/// endpoints alive share them, so none can be made to betray another's reset tokens.
fn endpoint_config(local: SocketAddr, config: &QuicConfig) -> EndpointConfig {
    let context = local.to_string();
    let key = |label| config.credentials.derive_key(label, context.as_bytes());
    let reset = hmac::Key::new(hmac::HMAC_SHA256, &key("quic stateless reset"));
    let [a, b, c, d, e, f, g, h, ..] = key("quic connection ids");
    let cid = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let mut endpoint = EndpointConfig::new(Arc::new(reset));
    endpoint.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid)));
    if let Some(size) = config.largest_packet(local.ip()) {
        let size = size.max(SMALLEST_PACKET);
        endpoint.max_udp_payload_size(size).expect("no less than QUIC's minimum");
    }
    endpoint
}
