//! From a [`NodeAddr`] to socket addresses, within what the credentials allow.

use std::net::SocketAddr;

use myrmidon::transport::{NodeAddr, TransportError};
use myrmidon_certs::Credentials;

/// The socket addresses of `addr`, IPv4 first, so that `localhost` means the same to the one who
/// binds it and to the one who dials it. At least one.
pub(crate) async fn resolve(addr: &NodeAddr) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host((addr.host(), addr.port())).await.map_err(|e| e.to_string())?;
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
}

/// Refuses addresses beyond this machine to the user's private loopback credentials (D10).
pub(crate) fn check_reach(
    credentials: &Credentials,
    addr: &NodeAddr,
    found: &[SocketAddr],
) -> Result<(), TransportError> {
    let ips: Vec<_> = found.iter().map(SocketAddr::ip).collect();
    credentials.check_reach(addr, &ips).map_err(|error| TransportError::Refused(error.to_string()))
}
