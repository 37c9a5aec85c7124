//! What a peer announces takes no memory before it comes (L03). A test of its own, as it counts what the whole process
//! allocates.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/common/counting.rs"]
mod counting;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use counting::LIVE;
use myrmidon::Runtime;
use myrmidon::actor::Context;
use myrmidon_tcp::TcpTransport;

/// The longest message that a node takes.
const ANNOUNCED: usize = 64 << 20;
/// What comes of it.
const COMES: usize = 100_000;
const PEERS: usize = 20;

/// Bytes that are allocated for each of them: buffers of its socket and its lane, and what has come.
const EACH: usize = 1 << 20;

#[test]
fn l03_memory_follows_what_comes_over_tcp_and_not_what_is_announced() {
    let rt = Runtime::builder().workers(1).transport(Arc::new(TcpTransport::default())).start().unwrap();
    let pid = rt.spawn_fn(|_: Bytes, _: &mut Context<'_>| {});
    let addr = rt.io().block_on(rt.node().listen(&"127.0.0.1:0".parse().unwrap())).unwrap();
    let before = LIVE.load(Ordering::Relaxed);
    let mut head = vec![0];
    head.extend(pid.as_u64().to_be_bytes());
    head.extend(u32::try_from(ANNOUNCED).unwrap().to_be_bytes());
    let peers: Vec<_> = (0..PEERS)
        .map(|_| {
            let mut peer = TcpStream::connect(addr.to_string()).unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // A ping first, whose answer says that the peer is served.
            peer.write_all(&[2]).unwrap();
            peer.read_exact(&mut [0]).unwrap();
            peer.write_all(&head).unwrap();
            peer.write_all(&[7; COMES]).unwrap();
            peer
        })
        .collect();
    let held = || usize::try_from(LIVE.load(Ordering::Relaxed) - before).unwrap_or(0);
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while held() < PEERS * COMES {
        assert!(std::time::Instant::now() < deadline, "{} bytes of what came are there", held());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(held() < PEERS * EACH, "{} bytes are held for {PEERS} peers", held());
    drop(peers);
}
