//! What a transport is given: a node's certificate and key, and whom it trusts.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::secret::Secret;
use crate::source::Source;
use crate::store::{self, CA_CERT, NODE_CERT, NODE_KEY};
use crate::{CertsError, Identity, config, loopback};

const ISSUE: &str = "issue a certificate with: myrmidon certs issue NODE";

/// A node's certificate and key and the authority that it trusts. Cheap to clone.
#[derive(Clone)]
pub struct Credentials {
    identity: Identity,
    source: Arc<Source>,
    roots: Arc<RootCertStore>,
    secret: Secret,
    loopback_only: bool,
}

impl Credentials {
    /// Loads a node directory as `myrmidon certs issue` writes it (`node.crt`, `node.key`,
    /// `ca.crt`), and checks what a peer would check: that the chain leads to `ca.crt`, is valid now,
    /// names one node, and belongs to the key. A key that others can read is refused.
    pub fn load(dir: &Path) -> Result<Self, CertsError> {
        let key = read_key(dir)?;
        let chain = store::read_chain(dir, NODE_CERT, ISSUE)?;
        let roots = Arc::new(read_roots(dir)?);
        let wrong = |name, e: CertsError| CertsError::unusable(&dir.join(name), e, ISSUE);
        let identity = verify(&chain, &roots).map_err(|e| wrong(NODE_CERT, e))?;
        let secret = Secret::of(key.secret_pkcs8_der());
        let source = Source::fixed(chain, key).map_err(|e| wrong(NODE_KEY, e))?;
        Ok(Self { identity, source: Arc::new(source), roots, secret, loopback_only: false })
    }

    /// Credentials for this machine alone (D10): a node with a random name in the private cluster
    /// of the current user. The cluster's key is made once and lies in [`state_dir`](crate::state_dir).
    pub fn loopback() -> Result<Self, CertsError> {
        Self::loopback_in(&loopback::state_dir()?)
    }

    /// As [`loopback`](Self::loopback), with the private cluster in `dir`.
    pub fn loopback_in(dir: &Path) -> Result<Self, CertsError> {
        let authority = loopback::authority(dir)?;
        let identity = Identity::new(authority.cluster(), &loopback::node_name()?)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone())?;
        let secret = authority.secret();
        let source = Source::renewing(authority, identity.node().to_owned(), loopback::LEAF_TTL)?;
        Ok(Self { identity, source: Arc::new(source), roots: Arc::new(roots), secret, loopback_only: true })
    }

    /// Who these credentials prove to be.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether they are the user's private ones, good for this machine's loopback only.
    pub fn is_loopback_only(&self) -> bool {
        self.loopback_only
    }

    /// Checks that they may be used at `addr`, which resolved to `ips`: the private ones stay on loopback.
    pub fn check_reach<'a>(
        &self,
        addr: &dyn fmt::Display,
        ips: impl IntoIterator<Item = &'a IpAddr>,
    ) -> Result<(), CertsError> {
        let here = |ip: &IpAddr| ip.to_canonical().is_loopback();
        if !self.loopback_only || ips.into_iter().all(here) {
            return Ok(());
        }
        Err(CertsError::LoopbackOnly(addr.to_string()))
    }

    /// The rustls configuration for accepting: TLS 1.3, the client's certificate required, no
    /// resumption, no 0-RTT. `alpn` lists the protocols, the preferred one first.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<ServerConfig, CertsError> {
        config::server(&self.source, &self.roots, alpn)
    }

    /// The rustls configuration for dialling, by the same rules.
    pub fn client_config(&self, alpn: &[&[u8]]) -> Result<ClientConfig, CertsError> {
        config::client(&self.source, &self.roots, alpn)
    }

    /// The name to dial with: that of `node`, or the one that all nodes of the cluster have. The
    /// network address never takes part in the verification.
    pub fn server_name(&self, node: Option<&str>) -> Result<ServerName<'static>, CertsError> {
        config::server_name(self.identity.cluster(), node)
    }

    /// Who the peer is, from the certificate chain that it showed in a completed handshake under
    /// [`server_config`](Self::server_config) or [`client_config`](Self::client_config). Must be
    /// called on both sides: it refuses chains that lead to the authority but name no node.
    pub fn peer_identity(&self, chain: &[CertificateDer<'_>]) -> Result<Identity, CertsError> {
        let leaf = chain.first().ok_or_else(|| CertsError::NotAPeer("there is none".to_owned()))?;
        let peer = Identity::from_verified_leaf(leaf)?;
        if peer.cluster() != self.identity.cluster() {
            return Err(CertsError::NotAPeer(format!("{peer} is of another cluster")));
        }
        Ok(peer)
    }

    /// A key for `label` (what it is for) and `context`, the same after a restart of this node; with
    /// loopback credentials the same in every process of the user, so put the bound address into
    /// the context there. Meant for QUIC's stateless-reset and connection-id keys.
    pub fn derive_key(&self, label: &str, context: &[u8]) -> [u8; 32] {
        self.secret.derive(label, context)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.identity)
    }
}

fn read_key(dir: &Path) -> Result<PrivatePkcs8KeyDer<'static>, CertsError> {
    let pem = store::read_secret(dir, NODE_KEY, ISSUE)?;
    PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| CertsError::unusable(&dir.join(NODE_KEY), e, ISSUE))
}

fn read_roots(dir: &Path) -> Result<RootCertStore, CertsError> {
    let mut roots = RootCertStore::empty();
    for certificate in store::read_chain(dir, CA_CERT, ISSUE)? {
        roots.add(certificate).map_err(|e| CertsError::unusable(&dir.join(CA_CERT), e, ISSUE))?;
    }
    Ok(roots)
}

/// Judges our own chain as a peer of the same cluster would.
fn verify(chain: &[CertificateDer<'_>], roots: &Arc<RootCertStore>) -> Result<Identity, CertsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), config::provider())
        .build()
        .map_err(|e| CertsError::Generate(e.to_string()))?;
    verifier.verify_client_cert(&chain[0], &chain[1..], UnixTime::now())?;
    Identity::from_verified_leaf(&chain[0])
}
