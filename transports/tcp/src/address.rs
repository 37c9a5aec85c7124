//! From a node's address to the socket addresses that may be used.

use std::net::SocketAddr;

use myrmidon::transport::{NodeAddr, TransportError};
use myrmidon_certs::Credentials;

/// The socket addresses of `addr` for plain TCP, in the order to try them.
///
/// Names are resolved first and judged by what they resolve to, so no name is a way around the
/// loopback rule (D10). `failed` makes the error of a name that cannot be resolved.
pub(crate) async fn resolve_plain(
    addr: &NodeAddr,
    allow_insecure_remote: bool,
    failed: impl Fn(String) -> TransportError,
) -> Result<Vec<SocketAddr>, TransportError> {
    refuse_node_name(addr)?;
    let mut found = look_up(addr, failed).await?;
    if !allow_insecure_remote {
        found.retain(|candidate| candidate.ip().to_canonical().is_loopback());
    }
    if found.is_empty() { Err(insecure(addr)) } else { Ok(found) }
}

/// The same with TLS, where the credentials say how far they reach.
pub(crate) async fn resolve_secure(
    addr: &NodeAddr,
    credentials: &Credentials,
    failed: impl Fn(String) -> TransportError,
) -> Result<Vec<SocketAddr>, TransportError> {
    let found = look_up(addr, failed).await?;
    let ips: Vec<_> = found.iter().map(SocketAddr::ip).collect();
    credentials.check_reach(addr, &ips).map_err(|error| TransportError::Refused(error.to_string()))?;
    Ok(found)
}

/// At least one.
async fn look_up(
    addr: &NodeAddr,
    failed: impl Fn(String) -> TransportError,
) -> Result<Vec<SocketAddr>, TransportError> {
    let found = tokio::net::lookup_host((addr.host(), addr.port())).await;
    let found: Vec<_> = found.map_err(|error| failed(error.to_string()))?.collect();
    if found.is_empty() { Err(failed("the name has no address".into())) } else { Ok(found) }
}

fn refuse_node_name(addr: &NodeAddr) -> Result<(), TransportError> {
    match addr.node() {
        None => Ok(()),
        Some(node) => Err(TransportError::BadAddress {
            scheme: crate::SCHEME,
            addr: addr.clone(),
            reason: format!(
                "nobody proves to be {node:?} over plain TCP; leave out \"{node}@\", or use \
                 transport=\"tls\" or \"quic\" with certificates"
            ),
        }),
    }
}

fn insecure(addr: &NodeAddr) -> TransportError {
    TransportError::Refused(format!(
        "plain TCP beyond loopback ({addr}) is neither encrypted nor authenticated: use \
         transport=\"tls\" or \"quic\" with certificates, or set allow_insecure_remote=True if everyone on \
         that network may send to your actors"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolved(text: &str, allow: bool) -> Result<Vec<SocketAddr>, TransportError> {
        let addr: NodeAddr = text.parse().unwrap();
        let failed = |reason| TransportError::Connect { addr: addr.clone(), reason };
        resolve_plain(&addr, allow, failed).await
    }

    #[tokio::test]
    async fn beyond_loopback_only_when_allowed() {
        for text in ["10.0.0.1:9", "0.0.0.0:0", "[2001:db8::1]:9", "[::]:0", "[::ffff:10.0.0.1]:9"] {
            let error = resolved(text, false).await.unwrap_err();
            assert!(matches!(error, TransportError::Refused(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains("allow_insecure_remote=True") && text.contains("quic"), "{text}");
            assert_eq!(resolved(&text_of(&error), true).await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn loopback_and_its_names_are_fine() {
        for text in ["127.0.0.1:9", "127.9.9.9:9", "[::1]:9", "localhost:9"] {
            assert!(!resolved(text, false).await.unwrap().is_empty());
        }
    }

    #[tokio::test]
    async fn plain_tcp_cannot_ask_for_a_node() {
        let error = resolved("db@127.0.0.1:9", true).await.unwrap_err();
        assert!(matches!(error, TransportError::BadAddress { .. }), "{error}");
    }

    /// The address that the refusal names.
    fn text_of(error: &TransportError) -> String {
        let text = error.to_string();
        text.split(['(', ')']).nth(1).unwrap().to_owned()
    }
}
