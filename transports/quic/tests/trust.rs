//! Who is turned away, and what the caller is told (F23, D10).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Cluster, at_node, listen, local, local_config, soon};
use myrmidon::transport::{NodeAddr, Transport, TransportError};
use myrmidon_quic::{QuicConfig, QuicTransport};
use quinn::crypto::rustls::QuicClientConfig;
use rustls::RootCertStore;

/// The dialler's error, and that the acceptor's `accept_lane` fails too, whose reason is returned.
async fn refused(dialler: &QuicTransport, acceptor: &QuicTransport) -> (String, String) {
    let mut listener = listen(acceptor).await;
    let addr = listener.local_addr();
    let (dialled, accepted) = tokio::join!(dialler.connect(&addr), listener.accept());
    let dialled = dialled.err().expect("the dialler is refused");
    let accepted = soon(accepted.unwrap().accept_lane()).await.err().expect("the acceptor refuses");
    assert!(matches!(dialled, TransportError::Handshake { .. }), "{dialled}");
    assert!(matches!(accepted, TransportError::Handshake { .. }), "{accepted}");
    (dialled.to_string(), accepted.to_string())
}

#[tokio::test]
async fn f23_nodes_of_different_authorities_refuse_each_other() {
    let (ours, theirs) = (Cluster::new("prod"), Cluster::new("prod"));
    let (dialled, accepted) = refused(&ours.node("a"), &theirs.node("b")).await;
    assert!(dialled.contains("of different authorities"), "{dialled}");
    assert!(accepted.contains("of different authorities"), "{accepted}");
}

#[tokio::test]
async fn f23_another_cluster_is_refused() {
    refused(&Cluster::new("prod").node("a"), &Cluster::new("test").node("b")).await;
}

#[tokio::test]
async fn f23_an_expired_certificate_is_refused_with_a_word_about_clocks() {
    let cluster = Cluster::new("prod");
    let dir = tempfile::tempdir().unwrap();
    let leaf = cluster.authority().issue("b", Duration::from_secs(1)).unwrap();
    leaf.write(&dir.path().join("b")).unwrap();
    let short = myrmidon_certs::Credentials::load(&dir.path().join("b")).unwrap();
    let short = QuicTransport::new(QuicConfig::new(short)).unwrap();
    let expired = || {
        std::time::SystemTime::from(leaf.not_after()) + Duration::from_secs(1) < std::time::SystemTime::now()
    };
    while !expired() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (dialled, accepted) = refused(&short, &cluster.node("a")).await;
    assert!(dialled.contains("a clock is wrong"), "{dialled}");
    assert!(accepted.contains("a clock is wrong"), "{accepted}");
}

#[tokio::test]
async fn f23_a_named_node_must_be_the_one_that_answers() {
    let cluster = Cluster::new("prod");
    let (a, b) = (cluster.node("a"), cluster.node("b"));
    let mut listener = listen(&b).await;
    let addr = listener.local_addr();
    let accept = tokio::spawn(async move {
        loop {
            drop(listener.accept().await);
        }
    });
    let error = a.connect(&at_node("c", &addr)).await.err().unwrap().to_string();
    assert!(error.contains("c.node.prod.myrmidon.internal"), "{error}");
    let error = a.connect(&at_node("C", &addr)).await.err().unwrap();
    assert!(matches!(error, TransportError::BadAddress { .. }), "{error}");
    accept.abort();
}

#[tokio::test]
async fn a_named_node_is_reached() {
    let cluster = Cluster::new("prod");
    let (a, b) = (cluster.node("a"), cluster.node("b"));
    let mut listener = listen(&b).await;
    let addr = at_node("b", &listener.local_addr());
    let (dialled, accepted) = tokio::join!(a.connect(&addr), listener.accept());
    assert_eq!(dialled.unwrap().peer_identity().unwrap().node, "b");
    accepted.unwrap();
}

#[tokio::test]
async fn f23_a_client_without_a_certificate_is_refused() {
    let cluster = Cluster::new("prod");
    let mut listener = listen(&cluster.node("a")).await;
    let dial = bare_dial(&cluster, listener.local_addr(), b"myrmidon/1");
    let (end, accepted) = tokio::join!(dial, listener.accept());
    let error = soon(accepted.unwrap().accept_lane()).await.err().unwrap().to_string();
    assert!(error.contains("a certificate is required"), "{error}");
    assert!(matches!(end, quinn::ConnectionError::ConnectionClosed(_)), "{end}");
}

#[tokio::test]
async fn no_protocol_in_common_fails_the_handshake() {
    let cluster = Cluster::new("prod");
    let mut listener = listen(&cluster.node("a")).await;
    let dial = bare_dial(&cluster, listener.local_addr(), b"h3");
    tokio::select! {
        end = dial => assert!(matches!(end, quinn::ConnectionError::ConnectionClosed(_)), "{end}"),
        _ = listener.accept() => panic!("it got through"),
    }
}

/// Dials with no certificate, and returns how that ends.
async fn bare_dial(cluster: &Cluster, to: NodeAddr, alpn: &[u8]) -> quinn::ConnectionError {
    let mut roots = RootCertStore::empty();
    roots.add(cluster.authority().certificate().clone()).unwrap();
    let mut tls =
        rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let to = to.to_string().parse().unwrap();
    match endpoint.connect_with(config, to, "any.prod.myrmidon.internal").unwrap().await {
        Ok(connection) => soon(connection.closed()).await,
        Err(error) => error,
    }
}

#[tokio::test]
async fn loopback_credentials_refuse_the_network_and_print_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let transport = local(dir.path());
    let bind = |addr: &str| addr.parse::<NodeAddr>().unwrap();
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9000"] {
        let listened = transport.bind(&bind(addr)).await.err().unwrap();
        let dialled = transport.connect(&bind(addr)).await.err().unwrap();
        for error in [listened, dialled] {
            assert!(matches!(error, TransportError::Refused(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains("myrmidon certs init --cluster NAME"), "{text}");
            assert!(text.contains("myrmidon certs issue NODE"), "{text}");
            assert!(text.contains(addr), "{text}");
        }
    }
}

#[tokio::test]
async fn two_users_of_one_machine_do_not_trust_each_other() {
    let dir = tempfile::tempdir().unwrap();
    refused(&local(&dir.path().join("one")), &local(&dir.path().join("two"))).await;
}

#[tokio::test]
async fn a_port_that_nobody_holds_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = local_config(dir.path());
    config.loopback.handshake_timeout = Duration::from_secs(3600);
    let gone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().into();
    let error = soon(QuicTransport::new(config).unwrap().connect(&gone)).await.err().unwrap();
    assert!(matches!(&error, TransportError::Connect { addr, .. } if *addr == gone), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_within_the_handshake_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = local_config(dir.path());
    config.loopback.handshake_timeout = Duration::from_millis(200);
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = silent.local_addr().unwrap().into();
    let error = soon(QuicTransport::new(config).unwrap().connect(&addr)).await.err().unwrap();
    assert!(error.to_string().contains("does a node listen there"), "{error}");
}
