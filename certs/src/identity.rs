//! Who a node is, read from its certificate.

use std::fmt;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{CertsError, names};

/// A node of a cluster. The pair is unique as long as the authority issues a name to one machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    cluster: String,
    node: String,
}

impl Identity {
    /// The identity of `node` in `cluster`; both match `[a-z0-9-]{1,63}`.
    pub fn new(cluster: &str, node: &str) -> Result<Self, CertsError> {
        names::check("cluster", cluster)?;
        names::check("node", node)?;
        Ok(Self { cluster: cluster.to_owned(), node: node.to_owned() })
    }

    /// Reads the identity from a leaf **whose chain was verified already**; this only checks that
    /// the leaf is one of a node (semantics.md §4): exactly the two DNS names and the URI of one
    /// node, no authority, no key usage of one, and both client and server use.
    pub fn from_verified_leaf(leaf: &CertificateDer<'_>) -> Result<Self, CertsError> {
        let (rest, cert) = X509Certificate::from_der(leaf).map_err(not_a_peer)?;
        if !rest.is_empty() {
            return Err(not_a_peer("bytes follow the certificate"));
        }
        check_usage(&cert)?;
        identity_of(&cert)
    }

    /// The cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The DNS name that only this node has.
    pub fn node_dns(&self) -> String {
        names::node_dns(&self.cluster, &self.node)
    }

    /// The DNS name that every node of the cluster has.
    pub fn any_dns(&self) -> String {
        names::any_dns(&self.cluster)
    }

    /// The SPIFFE identity.
    pub fn uri(&self) -> String {
        names::node_uri(&self.cluster, &self.node)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri())
    }
}

fn check_usage(cert: &X509Certificate<'_>) -> Result<(), CertsError> {
    if cert.is_ca() {
        return Err(not_a_peer("it is an authority, not a node"));
    }
    let usage = cert.key_usage().map_err(not_a_peer)?.ok_or_else(|| not_a_peer("it has no key usage"))?;
    if !usage.critical || !usage.value.digital_signature() {
        return Err(not_a_peer("its key usage is not critical, or lacks digital signature"));
    }
    if usage.value.key_cert_sign() || usage.value.crl_sign() {
        return Err(not_a_peer("its key may sign certificates"));
    }
    let extended = cert.extended_key_usage().map_err(not_a_peer)?;
    if !extended.is_some_and(|e| e.value.client_auth && e.value.server_auth) {
        return Err(not_a_peer("it is not for both client and server use"));
    }
    Ok(())
}

/// The URI proposes an identity, and then all three names must be exactly that identity's.
fn identity_of(cert: &X509Certificate<'_>) -> Result<Identity, CertsError> {
    let names = cert.subject_alternative_name().map_err(not_a_peer)?;
    let names = names.map(|ext| ext.value.general_names.as_slice()).unwrap_or_default();
    let uri = names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let (cluster, node) = uri
        .and_then(names::parse_node_uri)
        .ok_or_else(|| not_a_peer("it has no spiffe://CLUSTER/node/NAME"))?;
    let identity = Identity { cluster: cluster.to_owned(), node: node.to_owned() };
    let wanted = [identity.node_dns(), identity.any_dns()];
    let has = |dns: &String| names.iter().any(|n| matches!(n, GeneralName::DNSName(d) if d == dns));
    if names.len() != 3 || !wanted.iter().all(has) {
        return Err(not_a_peer(format!(
            "its names are not exactly {}, {} and {identity}",
            wanted[0], wanted[1]
        )));
    }
    Ok(identity)
}

fn not_a_peer(reason: impl ToString) -> CertsError {
    CertsError::NotAPeer(reason.to_string())
}
