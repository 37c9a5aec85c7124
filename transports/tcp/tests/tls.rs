//! TLS over TCP: who is turned away, what both sides are told, and whole runtimes (F23, D10).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use common::{Cluster, at_node, listen, local_config, transport};
use myrmidon::actor::SpawnOptions;
use myrmidon::config::{Level, NodeConfig, RuntimeConfig};
use myrmidon::node::DownReason;
use myrmidon::transport::{Connection, LaneClass, Listener, NodeAddr, Transport, TransportError};
use myrmidon::{Pid, Runtime};
use myrmidon_certs::Credentials;
use myrmidon_tcp::{TcpTransport, TlsConfig};
use myrmidon_transport_harness::within;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The error of an acceptor whose peer does not get through.
async fn refusal(listener: &mut Box<dyn Listener>) -> String {
    let accepted = within("accept", listener.accept()).await.unwrap();
    let error = within("the handshake", accepted.accept_lane()).await.err().expect("it is refused");
    assert!(matches!(error, TransportError::Handshake { .. }), "{error}");
    error.to_string()
}

#[tokio::test]
async fn both_ends_read_the_name_of_the_other_from_its_certificate() {
    let cluster = Cluster::new("prod");
    let (a, b) = (cluster.node("a"), cluster.node("b"));
    let mut listener = listen(&b).await;
    for addr in [listener.local_addr(), at_node("b", &listener.local_addr())] {
        let (dialled, accepted) = tokio::join!(a.connect(&addr), listener.accept());
        let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
        let (mut tx, _rx) = dialled.open_lane(LaneClass::Control).await.unwrap();
        tx.write(&mut [Bytes::from_static(b"hello")]).await.unwrap();
        let (_tx, mut rx) = within("a lane", accepted.accept_lane()).await.unwrap().unwrap();
        assert_eq!(within("a read", rx.read(5)).await.unwrap().unwrap(), "hello");
        let name = |connection: &dyn Connection| connection.peer_identity().unwrap().node;
        assert_eq!((name(&*dialled), name(&*accepted)), ("b".to_owned(), "a".to_owned()));
        assert_eq!((dialled.level(), accepted.level()), (Some(Level::Two), Some(Level::Two)));
    }
    assert_eq!(a.identity().unwrap().node, "a");
}

#[tokio::test]
async fn f23_nodes_of_different_authorities_refuse_each_other() {
    let (ours, theirs) = (Cluster::new("prod"), Cluster::new("prod"));
    let (a, mut listener) = (ours.node("a"), listen(&theirs.node("b")).await);
    let addr = listener.local_addr();
    let (dialled, accepted) = tokio::join!(a.connect(&addr), refusal(&mut listener));
    let dialled = dialled.err().unwrap().to_string();
    assert!(dialled.contains("we refused the peer: the certificates are of different"), "{dialled}");
    assert!(accepted.contains("the peer refused us: the certificates are of different"), "{accepted}");
}

#[tokio::test]
async fn f23_an_expired_certificate_is_refused_with_a_word_about_clocks_and_its_owner_is_told() {
    let cluster = Cluster::new("prod");
    let dir = tempfile::tempdir().unwrap();
    let leaf = cluster.authority().issue("b", Duration::from_secs(1)).unwrap();
    leaf.write(dir.path().join("b").as_path()).unwrap();
    let short = transport(TlsConfig::new(Credentials::load(&dir.path().join("b")).unwrap()));
    while SystemTime::from(leaf.not_after()) + Duration::from_secs(1) >= SystemTime::now() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut listener = listen(&cluster.node("a")).await;
    let addr = listener.local_addr();
    let (dialled, accepted) = tokio::join!(short.connect(&addr), refusal(&mut listener));
    assert!(accepted.contains("we refused the peer: a certificate is expired"), "{accepted}");
    // A client is judged after its handshake: the first read tells.
    let (_tx, mut rx) = dialled.unwrap().open_lane(LaneClass::Control).await.unwrap();
    let error = within("a read", rx.read(1)).await.unwrap_err();
    assert!(matches!(error, TransportError::Handshake { .. }), "{error}");
    assert!(error.to_string().contains("the peer refused us: a certificate is expired"), "{error}");
}

#[tokio::test]
async fn f23_a_named_node_must_be_the_one_that_answers() {
    let cluster = Cluster::new("prod");
    let (a, mut listener) = (cluster.node("a"), listen(&cluster.node("b")).await);
    let addr = at_node("c", &listener.local_addr());
    let (dialled, _) = tokio::join!(a.connect(&addr), refusal(&mut listener));
    let error = dialled.err().unwrap().to_string();
    assert!(error.contains("does not name the node"), "{error}");
    let error = a.connect(&at_node("C", &listener.local_addr())).await.err().unwrap();
    assert!(matches!(error, TransportError::BadAddress { .. }), "{error}");
}

#[tokio::test]
async fn f23_l04_strangers_are_refused_and_hold_up_nobody() {
    let cluster = Cluster::new("prod");
    let mut config = TlsConfig::new(cluster.credentials("b"));
    config.handshake_timeout = Duration::from_millis(300);
    let mut listener = listen(&transport(config)).await;
    let addr = listener.local_addr();
    // One that says nothing, one that speaks the plain framing, one without a certificate.
    let _silent = TcpStream::connect(addr.to_string()).await.unwrap();
    let mut plain = TcpStream::connect(addr.to_string()).await.unwrap();
    plain.write_all(&[2; 64]).await.unwrap();
    let refusals = async {
        let mut accepted = Vec::new();
        for _ in 0..3 {
            accepted.push(listener.accept().await.unwrap());
        }
        let mut reasons = Vec::new();
        for connection in accepted {
            reasons.push(connection.accept_lane().await.err().unwrap().to_string());
        }
        reasons
    };
    let both = async { tokio::join!(bare_dial(&cluster, &addr, "myrmidon/2"), refusals) };
    let (bare, reasons) = within("three refusals", both).await;
    let expected = ["took longer than 300ms", "corrupt message", "a certificate is required"];
    for (reason, expected) in reasons.iter().zip(expected) {
        assert!(reason.contains(expected), "{reasons:?}");
    }
    assert!(bare.unwrap().read(&mut [0]).await.is_err(), "it is told by an alert");
    let a = cluster.node("a");
    let (dialled, accepted) = tokio::join!(a.connect(&addr), listener.accept());
    dialled.and(accepted).unwrap();
}

#[tokio::test]
async fn no_protocol_in_common_fails_the_handshake() {
    let cluster = Cluster::new("prod");
    let mut listener = listen(&cluster.node("a")).await;
    let addr = listener.local_addr();
    let (dialled, refused) = tokio::join!(bare_dial(&cluster, &addr, "h2"), refusal(&mut listener));
    assert!(dialled.is_err());
    assert!(refused.contains("no protocol in common"), "{refused}");
}

/// Dials with no certificate.
async fn bare_dial(
    cluster: &Cluster,
    to: &NodeAddr,
    alpn: &str,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(cluster.authority().certificate().clone()).unwrap();
    let mut tls =
        rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    tls.alpn_protocols = vec![alpn.into()];
    let stream = TcpStream::connect(to.to_string()).await?;
    let name = ServerName::try_from("any.prod.myrmidon.internal").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, stream).await
}

#[tokio::test]
async fn a_plain_listener_and_a_tls_dialler_part_with_a_hint() {
    let cluster = Cluster::new("prod");
    let mut plain = TcpTransport::default().bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let addr = plain.local_addr();
    let a = cluster.node("a");
    let closing = async {
        let accepted = plain.accept().await.unwrap();
        let (_tx, mut rx) = accepted.accept_lane().await.unwrap().unwrap();
        while rx.read(1 << 16).await.is_ok_and(|read| read.is_none()) {}
    };
    let (dialled, ()) = tokio::join!(a.connect(&addr), closing);
    let error = dialled.err().unwrap().to_string();
    assert!(error.contains("handshake"), "{error}");
}

#[tokio::test]
async fn loopback_credentials_refuse_the_network_and_print_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let local = transport(local_config(dir.path()));
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9000"] {
        let addr: NodeAddr = addr.parse().unwrap();
        for error in [local.bind(&addr).await.err().unwrap(), local.connect(&addr).await.err().unwrap()] {
            assert!(matches!(error, TransportError::Refused(_)), "{error}");
            let text = error.to_string();
            assert!(text.contains("myrmidon certs init") && text.contains(&addr.to_string()), "{text}");
        }
    }
}

fn runtime(cluster: &Cluster, name: &str, level: Level) -> Runtime {
    let config = TlsConfig { level, ..TlsConfig::new(cluster.credentials(name)) };
    let node = NodeConfig { level, ..NodeConfig::default() };
    Runtime::builder()
        .config(RuntimeConfig { workers: 1, node, ..RuntimeConfig::default() })
        .transport(Arc::new(transport(config)))
        .start()
        .unwrap()
}

/// A runtime that listens, with an actor called "sink" that keeps what it gets.
fn sink(cluster: &Cluster, level: Level) -> (Runtime, NodeAddr, Pid) {
    let runtime = runtime(cluster, "sink", level);
    let addr = runtime.io().block_on(runtime.node().listen(&"127.0.0.1:0".parse().unwrap())).unwrap();
    let pid = runtime.spawn_observed(SpawnOptions::default());
    runtime.names().register("sink", pid).unwrap();
    (runtime, addr, pid)
}

#[test]
fn f26_runtimes_speak_the_highest_common_level_over_tls_and_lose_nothing_at_the_end() {
    const COUNT: usize = 2000;
    let cluster = Cluster::new("prod");
    let levels = [Level::Two, Level::One];
    for (ours, theirs) in levels.into_iter().flat_map(|ours| levels.map(|theirs| (ours, theirs))) {
        let (there, addr, pid) = sink(&cluster, theirs);
        let here = runtime(&cluster, "here", ours);
        let io = here.io().clone();
        let found = io.block_on(here.node().resolve(&addr, "sink")).unwrap();
        assert_eq!(found, Some(pid));
        for n in 0..COUNT {
            io.block_on(here.node().send(&addr, pid, Bytes::from(n.to_string()))).unwrap();
        }
        let large = Bytes::from(vec![7; 1 << 20]);
        io.block_on(here.node().send(&addr, pid, large)).unwrap();
        let node = here.node().nodes().remove(0);
        assert_eq!(node.level, ours.min(theirs));
        if node.level == Level::Two {
            assert_eq!(node.identity.unwrap().node, "sink");
        }
        assert_eq!(here.shutdown(Duration::from_secs(20)), 0);
        // What is in the mailbox is confirmed, and may not be handled yet.
        let (mut came, begun) = (0, Instant::now());
        while came <= COUNT && begun.elapsed() < Duration::from_secs(20) {
            came += there.take_messages(pid).unwrap().len();
            std::thread::yield_now();
        }
        assert_eq!(came, COUNT + 1, "{ours:?} {theirs:?}");
    }
}

#[test]
fn f01_the_death_of_a_runtime_is_told_as_what_it_is() {
    let cluster = Cluster::new("prod");
    let (there, addr, pid) = sink(&cluster, Level::Two);
    let here = runtime(&cluster, "here", Level::Two);
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    here.node().monitor(&addr, pid, Box::new(move |down| tell.send(down.reason).unwrap()));
    assert!(here.io().block_on(here.node().is_up(&addr)));
    there.shutdown(Duration::from_secs(5));
    assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), DownReason::Left);
}

#[test]
fn two_nodes_of_the_same_name_are_one_node_and_the_later_life_waits_for_the_end_of_the_earlier() {
    let cluster = Cluster::new("prod");
    let (there, addr, _pid) = sink(&cluster, Level::Two);
    let twin = || runtime(&cluster, "twin", Level::Two);
    let (tell, told) = std::sync::mpsc::sync_channel(8);
    let _watch = there.node().on_event(move |event| tell.send(event.clone()).unwrap());
    let first = twin();
    assert!(first.io().block_on(first.node().is_up(&addr)));
    let second = twin();
    let refused = second.io().block_on(second.node().ping(&addr)).unwrap_err().to_string();
    assert!(refused.contains("another link is up"), "{refused}");
    first.shutdown(Duration::from_secs(5));
    let begun = Instant::now();
    while !second.io().block_on(second.node().is_up(&addr)) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the later life is let in");
    }
    let events: Vec<_> = (0..3).map(|_| told.recv_timeout(Duration::from_secs(20)).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event.state.name()).collect();
    assert_eq!(names, ["up", "left", "up"], "{events:?}");
    assert!(events.iter().all(|event| event.node == events[0].node), "one node");
    assert_ne!(events[0].incarnation, events[2].incarnation, "in two lives");
}

/// An address of this machine that is not loopback, where strangers count; `None` where there is none.
fn away() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent by this.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn l05_a_flood_of_strangers_locks_no_node_out() {
    let Some(ip) = away() else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let cluster = Cluster::new("prod");
    let there = runtime(&cluster, "sink", Level::Two);
    let io = there.io().clone();
    let addr = io.block_on(there.node().listen(&format!("{ip}:0").parse().unwrap())).unwrap();
    let connected = || runtime(&cluster, "early", Level::Two);
    let early = connected();
    assert!(early.io().block_on(early.node().is_up(&addr)));
    // They say nothing, and come again when they are closed.
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let addr = addr.to_string();
            io.spawn(async move {
                loop {
                    if let Ok(mut stream) = TcpStream::connect(&addr).await {
                        let _ = stream.read(&mut [0]).await;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    // A node that shares its address with strangers, and with another node.
    let late = runtime(&cluster, "late", Level::Two);
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !late.io().block_on(late.node().is_up(&addr)) {
        assert!(std::time::Instant::now() < deadline, "locked out");
    }
    assert!(early.io().block_on(early.node().is_up(&addr)));
    flood.iter().for_each(tokio::task::JoinHandle::abort);
}
