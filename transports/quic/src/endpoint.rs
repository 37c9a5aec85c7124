//! Endpoints: a UDP socket with quinn on it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use myrmidon_certs::Credentials;
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Profile;

/// Asked of the system for each direction; Linux grants less without a word if its limit is lower.
const SOCKET_BUFFER: usize = 8 << 20;

/// The endpoints of one transport.
///
/// Dialling goes out from a listening endpoint where one fits, so that the peer sees the address
/// on which we can be reached and our stateless resets carry the right key; else from an endpoint
/// per family that is made on first use. Listening endpoints belong to their listeners.
#[derive(Debug, Default)]
pub(crate) struct Endpoints {
    listening: Mutex<Vec<Weak<Endpoint>>>,
    dialling: Mutex<Vec<Arc<Endpoint>>>,
}

impl Endpoints {
    /// Binds an endpoint that accepts.
    pub(crate) fn listen(
        &self,
        addr: SocketAddr,
        server: ServerConfig,
        credentials: &Credentials,
    ) -> io::Result<Arc<Endpoint>> {
        let endpoint = Arc::new(open(addr, Some(server), credentials)?);
        let mut listening = lock(&self.listening);
        listening.retain(|other| other.strong_count() > 0);
        listening.push(Arc::downgrade(&endpoint));
        Ok(endpoint)
    }

    /// An endpoint from which `target` can be dialled.
    pub(crate) fn to(&self, target: SocketAddr, credentials: &Credentials) -> io::Result<Arc<Endpoint>> {
        let listening = lock(&self.listening).iter().filter_map(Weak::upgrade).find(|e| reaches(e, target));
        if let Some(endpoint) = listening {
            return Ok(endpoint);
        }
        let mut dialling = lock(&self.dialling);
        if let Some(endpoint) = dialling.iter().find(|e| reaches(e, target)) {
            return Ok(endpoint.clone());
        }
        let endpoint = Arc::new(open(any_port(target), None, credentials)?);
        dialling.push(endpoint.clone());
        Ok(endpoint)
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

fn open(addr: SocketAddr, server: Option<ServerConfig>, credentials: &Credentials) -> io::Result<Endpoint> {
    let socket = socket(addr)?;
    let config = endpoint_config(socket.local_addr()?, credentials);
    Endpoint::new(config, server, socket, Arc::new(TokioRuntime))
}

fn socket(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind(&addr.into())?;
    for set in [Socket::set_recv_buffer_size, Socket::set_send_buffer_size] {
        if let Err(error) = set(&socket, SOCKET_BUFFER) {
            tracing::debug!(%error, "the socket keeps the system's buffer size");
        }
    }
    let granted = socket.recv_buffer_size().unwrap_or_default();
    tracing::debug!(%addr, granted, asked = SOCKET_BUFFER, "UDP receive buffer (limit: net.core.rmem_max)");
    Ok(socket.into())
}

/// Both keys come from the node's private key and the bound address: after a restart they are the
/// same, so old packets are recognised and answered with a reset that the peer believes; and no two
/// endpoints alive share them, so none can be made to betray another's reset tokens.
fn endpoint_config(local: SocketAddr, credentials: &Credentials) -> EndpointConfig {
    let context = local.to_string();
    let key = |label| credentials.derive_key(label, context.as_bytes());
    let reset = hmac::Key::new(hmac::HMAC_SHA256, &key("quic stateless reset"));
    let [a, b, c, d, e, f, g, h, ..] = key("quic connection ids");
    let cid = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let mut config = EndpointConfig::new(Arc::new(reset));
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid)));
    if let Some(size) = Profile::max_packet(local.ip()) {
        config.max_udp_payload_size(size).expect("the size is far above QUIC's minimum of 1200");
    }
    config
}
