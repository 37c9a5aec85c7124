//! The two rustls configurations, the same rules on both sides (D10).

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::source::Source;
use crate::{CertsError, names};

/// The one crypto provider of the project, always passed by hand.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Resumption is off on both sides: a resumed session takes the peer's certificate from memory, so
/// an expired or revoked node could come back. The server's early data limit stays at rustls' 0.
pub(crate) fn server(
    source: &Arc<Source>,
    roots: &Arc<RootCertStore>,
    alpn: &[&[u8]],
) -> Result<ServerConfig, CertsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
        .build()
        .map_err(|e| CertsError::Generate(e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(source.clone());
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

pub(crate) fn client(
    source: &Arc<Source>,
    roots: &Arc<RootCertStore>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, CertsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots.clone())
        .with_client_cert_resolver(source.clone());
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

/// The name that the peer's certificate must have: one node's, or that of any node of the cluster.
pub(crate) fn server_name(cluster: &str, node: Option<&str>) -> Result<ServerName<'static>, CertsError> {
    let dns = match node {
        Some(node) => {
            names::check("node", node)?;
            names::node_dns(cluster, node)
        }
        None => names::any_dns(cluster),
    };
    ServerName::try_from(dns).map_err(|e| CertsError::Generate(e.to_string()))
}
