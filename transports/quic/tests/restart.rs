//! A node that was killed and started again resets the connections of its former life (F02).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, local, local_config, soon};
use myrmidon::transport::{Connection, LaneClass, LaneSender, NodeAddr, Transport, TransportError};
use myrmidon_certs::{Credentials, DEFAULT_TTL};
use myrmidon_quic::{QuicConfig, QuicTransport};

/// Set for the process that is killed: where it listens, and with what.
const LISTEN: &str = "MYRMIDON_TEST_LISTEN";
const CERTS: &str = "MYRMIDON_TEST_CERTS";
const LOOPBACK: &str = "MYRMIDON_TEST_LOOPBACK";

#[tokio::test]
async fn f02_a_restarted_node_resets_old_connections() {
    let (cluster, dir) = (Cluster::new("prod"), tempfile::tempdir().unwrap());
    let certs = dir.path().join("b");
    cluster.authority().issue("b", DEFAULT_TTL).unwrap().write(&certs).unwrap();
    survives_restart(&cluster.node("a"), CERTS, &certs).await;
}

#[tokio::test]
async fn f02_a_restarted_node_of_the_loopback_cluster_resets_old_connections() {
    let dir = tempfile::tempdir().unwrap();
    survives_restart(&local(dir.path()), LOOPBACK, dir.path()).await;
}

/// The old connection sees the reset long before its idle timeout of 10 s could tell.
async fn survives_restart(us: &QuicTransport, how: &str, with: &Path) {
    let mut node = Node::start("127.0.0.1:0", how, with);
    let old = soon(connect(us, &node.addr)).await;
    let mut lane = old.open_lane(LaneClass::Heartbeat).await.unwrap().0;
    node.kill();
    let again = Node::start(&node.addr, how, with);
    tokio::select! {
        end = soon(old.closed()) => {
            assert!(matches!(&end, TransportError::Lost(why) if why.contains("restarted")), "{end}");
        }
        () = beat(&mut *lane) => unreachable!("it beats for ever"),
    }
    soon(connect(us, &again.addr)).await;
}

async fn connect(us: &QuicTransport, addr: &str) -> Box<dyn Connection> {
    us.connect(&addr.parse().unwrap()).await.unwrap()
}

/// What a living node does on every connection.
async fn beat(lane: &mut dyn LaneSender) {
    loop {
        if lane.write(&mut [Bytes::from_static(b"\x02")]).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A process of its own that listens, started from this very program.
struct Node {
    process: Child,
    addr: String,
}

impl Node {
    fn start(addr: &str, how: &str, with: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_process_that_is_killed", "--nocapture"])
            .env(LISTEN, addr)
            .env(how, with)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready =
            lines.find_map(|line| line.unwrap().split_once("listening=").map(|(_, addr)| addr.to_owned()));
        Self { process, addr: ready.expect("the process says where it listens") }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Does nothing unless started by `Node::start`.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Ok(addr) = std::env::var(LISTEN) else { return };
    let config = match std::env::var_os(CERTS) {
        Some(dir) => QuicConfig::new(Credentials::load(dir.as_ref()).unwrap()),
        None => local_config(std::env::var_os(LOOPBACK).unwrap().as_ref()),
    };
    let transport = QuicTransport::new(config).unwrap();
    let mut listener = soon(bind(&transport, &addr.parse().unwrap())).await;
    println!("\nlistening={}", listener.local_addr());
    let mut held = Vec::new();
    while let Ok(Ok(connection)) = tokio::time::timeout(common::DEADLINE, listener.accept()).await {
        held.push(connection);
    }
}

/// Tries again while the port of the killed process is not free yet.
async fn bind(transport: &QuicTransport, addr: &NodeAddr) -> Box<dyn myrmidon::transport::Listener> {
    loop {
        match transport.bind(addr).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
