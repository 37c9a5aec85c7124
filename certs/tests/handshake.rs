//! Who may talk to whom, decided by real TLS handshakes in memory (F23, D10).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use myrmidon_certs::{Authority, Credentials, DEFAULT_TTL, Identity};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use time::OffsetDateTime;

const ALPN: &[&[u8]] = &[b"myrmidon/1"];

/// A cluster on disk with the node `a`, whose credentials judge all others.
struct Cluster {
    dir: tempfile::TempDir,
    us: Credentials,
}

impl Cluster {
    fn new(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create(&dir.path().join("ca"), name).unwrap();
        authority.issue("a", DEFAULT_TTL).unwrap().write(&dir.path().join("a")).unwrap();
        let us = Credentials::load(&dir.path().join("a")).unwrap();
        Self { dir, us }
    }

    fn node(&self, name: &str) -> Credentials {
        let dir = self.dir.path().join(name);
        Authority::load(&self.ca()).unwrap().issue(name, DEFAULT_TTL).unwrap().write(&dir).unwrap();
        Credentials::load(&dir).unwrap()
    }

    fn ca(&self) -> std::path::PathBuf {
        self.dir.path().join("ca")
    }

    /// A stranger who holds `params` signed by the real authority.
    fn stranger(&self, params: &CertificateParams) -> Stranger {
        let read = |name| fs::read_to_string(self.ca().join(name)).unwrap();
        let issuer =
            Issuer::from_ca_cert_pem(&read("ca.crt"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
        Stranger {
            chain: vec![certificate],
            key,
            trusts: Authority::load(&self.ca()).unwrap().certificate().clone(),
        }
    }
}

/// A peer that checks nothing of its own and shows whatever it was given.
struct Stranger {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    trusts: CertificateDer<'static>,
}

impl Stranger {
    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.trusts.clone()).unwrap();
        roots
    }

    fn key(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der())
    }

    fn dials(&self) -> ClientConfig {
        let mut config = ClientConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(self.chain.clone(), self.key().into())
            .unwrap();
        config.alpn_protocols = vec![ALPN[0].to_vec()];
        config
    }

    fn listens(&self) -> ServerConfig {
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key().into())
            .unwrap();
        config.alpn_protocols = vec![ALPN[0].to_vec()];
        config
    }
}

/// The certificate of node `b` as the authority would issue it; each test spoils one thing.
fn params(cluster: &str) -> CertificateParams {
    let b = Identity::new(cluster, "b").unwrap();
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (now - Duration::from_secs(60), now + Duration::from_secs(3600));
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![dns(&b.node_dns()), dns(&b.any_dns()), uri(&b.uri())];
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

/// Runs both sides to the end and returns them, or the first error.
fn shake(
    client: ClientConfig,
    name: &str,
    server: ServerConfig,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &wire[..]).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

/// Whether `us` accepts the stranger as a server (dialled by its own name) and as a client, and
/// the reasons for refusing.
fn judged(us: &Credentials, stranger: &Stranger, cluster: &str) -> (Option<String>, Option<String>) {
    let name = Identity::new(cluster, "b").unwrap().any_dns();
    let as_server = shake(us.client_config(ALPN).unwrap(), &name, stranger.listens())
        .map_err(|e| e.to_string())
        .and_then(|(client, _)| admit(us, client.peer_certificates()));
    let mine = us.identity().any_dns();
    let as_client = shake(stranger.dials(), &mine, us.server_config(ALPN).unwrap())
        .map_err(|e| e.to_string())
        .and_then(|(_, server)| admit(us, server.peer_certificates()));
    (as_server.err(), as_client.err())
}

fn admit(us: &Credentials, chain: Option<&[CertificateDer<'_>]>) -> Result<Identity, String> {
    us.peer_identity(chain.unwrap_or_default()).map_err(|e| e.to_string())
}

#[track_caller]
fn assert_refused(us: &Credentials, stranger: &Stranger, cluster: &str) {
    let (as_server, as_client) = judged(us, stranger, cluster);
    assert!(as_server.is_some(), "accepted as a server");
    assert!(as_client.is_some(), "accepted as a client");
}

#[test]
fn two_nodes_of_a_cluster_know_each_other_by_name() {
    let cluster = Cluster::new("prod");
    let b = cluster.node("b");
    for node in [None, Some("b")] {
        let name = cluster.us.server_name(node).unwrap().to_str().into_owned();
        let (client, server) =
            shake(cluster.us.client_config(ALPN).unwrap(), &name, b.server_config(ALPN).unwrap()).unwrap();
        assert_eq!(cluster.us.peer_identity(client.peer_certificates().unwrap()).unwrap(), *b.identity());
        assert_eq!(b.peer_identity(server.peer_certificates().unwrap()).unwrap(), *cluster.us.identity());
        assert_eq!(server.alpn_protocol(), Some(ALPN[0]));
        assert_eq!(client.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
}

#[test]
fn the_unspoilt_stranger_is_accepted_so_that_the_refusals_below_mean_something() {
    let cluster = Cluster::new("prod");
    let stranger = cluster.stranger(&params("prod"));
    assert_eq!(judged(&cluster.us, &stranger, "prod"), (None, None));
}

#[test]
fn f23_another_authority_is_refused_even_with_the_same_names() {
    let (cluster, other) = (Cluster::new("prod"), Cluster::new("prod"));
    let mut stranger = other.stranger(&params("prod"));
    stranger.trusts = Authority::load(&cluster.ca()).unwrap().certificate().clone();
    assert_refused(&cluster.us, &stranger, "prod");
}

#[test]
fn f23_an_expired_certificate_is_refused() {
    let cluster = Cluster::new("prod");
    let mut expired = params("prod");
    expired.not_before = OffsetDateTime::now_utc() - Duration::from_secs(7200);
    expired.not_after = OffsetDateTime::now_utc() - Duration::from_secs(60);
    assert_refused(&cluster.us, &cluster.stranger(&expired), "prod");
}

#[test]
fn f23_a_certificate_of_tomorrow_is_refused() {
    let cluster = Cluster::new("prod");
    let mut early = params("prod");
    early.not_before = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    early.not_after = OffsetDateTime::now_utc() + Duration::from_secs(7200);
    assert_refused(&cluster.us, &cluster.stranger(&early), "prod");
}

#[test]
fn f23_dialling_one_node_and_reaching_another_is_refused() {
    let cluster = Cluster::new("prod");
    let (b, c) = (cluster.node("b"), cluster.node("c"));
    let wanted = b.identity().node_dns();
    assert!(shake(cluster.us.client_config(ALPN).unwrap(), &wanted, c.server_config(ALPN).unwrap()).is_err());
}

#[test]
fn f23_a_client_without_a_certificate_is_refused() {
    let cluster = Cluster::new("prod");
    let stranger = cluster.stranger(&params("prod"));
    let bare = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(stranger.roots())
        .with_no_client_auth();
    let name = cluster.us.identity().any_dns();
    assert!(shake(bare, &name, cluster.us.server_config(ALPN).unwrap()).is_err());
}

#[test]
fn f23_an_authority_as_leaf_is_refused() {
    let cluster = Cluster::new("prod");
    let mut authority = params("prod");
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages.push(KeyUsagePurpose::KeyCertSign);
    assert_refused(&cluster.us, &cluster.stranger(&authority), "prod");
}

#[test]
fn f23_a_leaf_whose_key_may_sign_is_refused() {
    let cluster = Cluster::new("prod");
    for usages in [vec![], vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign]] {
        let mut signing = params("prod");
        signing.key_usages = usages;
        assert_refused(&cluster.us, &cluster.stranger(&signing), "prod");
    }
}

#[test]
fn f23_a_leaf_for_one_use_only_is_refused_in_the_other_too() {
    let cluster = Cluster::new("prod");
    for usage in [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth] {
        let mut half = params("prod");
        half.extended_key_usages = vec![usage];
        assert_refused(&cluster.us, &cluster.stranger(&half), "prod");
    }
}

#[test]
fn f23_other_sets_of_names_are_refused() {
    let cluster = Cluster::new("prod");
    let (b, c) = (Identity::new("prod", "b").unwrap(), Identity::new("prod", "c").unwrap());
    let any = dns(&b.any_dns());
    let sets = [
        ("URI only", vec![uri(&b.uri())]),
        ("no URI", vec![dns(&b.node_dns()), any.clone()]),
        ("wildcard", vec![dns("*.node.prod.myrmidon.internal"), any.clone(), uri(&b.uri())]),
        ("two nodes", vec![dns(&b.node_dns()), dns(&c.node_dns()), any.clone(), uri(&b.uri())]),
        ("two URIs", vec![dns(&b.node_dns()), any.clone(), uri(&b.uri()), uri(&c.uri())]),
        ("URI of another node", vec![dns(&b.node_dns()), any.clone(), uri(&c.uri())]),
        ("URI of another cluster", vec![dns(&b.node_dns()), any.clone(), uri("spiffe://test/node/b")]),
        (
            "an IP",
            vec![dns(&b.node_dns()), any.clone(), uri(&b.uri()), SanType::IpAddress([127, 0, 0, 1].into())],
        ),
        ("a role path", vec![dns(&b.node_dns()), any, uri("spiffe://prod/node/b/role/admin")]),
    ];
    for (what, names) in sets {
        let mut other = params("prod");
        other.subject_alt_names = names;
        let (_, as_client) = judged(&cluster.us, &cluster.stranger(&other), "prod");
        assert!(as_client.is_some(), "{what} was accepted");
    }
}

#[test]
fn an_authority_cannot_name_nodes_of_another_cluster() {
    let cluster = Cluster::new("prod");
    assert_refused(&cluster.us, &cluster.stranger(&params("test")), "test");
}

#[test]
fn no_overlap_of_protocols_fails_the_handshake() {
    let cluster = Cluster::new("prod");
    let client = cluster.us.client_config(&[b"myrmidon/2"]).unwrap();
    let name = cluster.us.identity().any_dns();
    assert!(shake(client, &name, cluster.us.server_config(ALPN).unwrap()).is_err());
}

#[test]
fn a_second_handshake_resumes_nothing() {
    let cluster = Cluster::new("prod");
    let client = cluster.us.client_config(ALPN).unwrap();
    let server = cluster.us.server_config(ALPN).unwrap();
    let name = cluster.us.identity().any_dns();
    for _ in 0..2 {
        let (client, _) = shake(client.clone(), &name, server.clone()).unwrap();
        assert_eq!(client.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
    assert_eq!((server.send_tls13_tickets, server.max_early_data_size), (0, 0));
}

#[test]
fn loopback_runtimes_of_one_user_trust_each_other_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let make = |dir: &Path| Credentials::loopback_in(dir).unwrap();
    let (a, b) = (make(&dir.path().join("mine")), make(&dir.path().join("mine")));
    let theirs = make(&dir.path().join("theirs"));
    let name = a.server_name(None).unwrap().to_str().into_owned();
    let dial =
        |to: &Credentials| shake(a.client_config(ALPN).unwrap(), &name, to.server_config(ALPN).unwrap());
    let (client, _) = dial(&b).unwrap();
    assert_eq!(a.peer_identity(client.peer_certificates().unwrap()).unwrap(), *b.identity());
    assert!(dial(&theirs).is_err());
}
