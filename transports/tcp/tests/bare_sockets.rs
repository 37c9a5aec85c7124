//! Peers that are no nodes of ours: plain sockets with the habits of level-1 programs.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::transport::{Lane, Listener, Transport, TransportError};
use myrmidon_tcp::TcpTransport;
use myrmidon_transport_harness::within;

/// A listener, a bare socket that dialled it, and the lane that was accepted from it.
async fn bare_peer() -> (Box<dyn Listener>, TcpStream, Lane) {
    let transport = TcpTransport::default();
    let mut listener = transport.bind(&"127.0.0.1:0".parse().expect("an address")).await.expect("bind");
    let peer = TcpStream::connect(listener.local_addr().to_string()).expect("dial");
    peer.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
    let connection = within("accept", listener.accept()).await.expect("accept");
    let lane = within("accept a lane", connection.accept_lane()).await.expect("a lane").expect("open");
    (listener, peer, lane)
}

#[tokio::test]
async fn what_a_peer_sent_before_it_vanished_arrives_though_our_writes_fail() {
    let (_listener, mut peer, (mut tx, mut rx)) = bare_peer().await;
    peer.write_all(&[7; 100_000]).unwrap();
    drop(peer);
    let pong = || Bytes::from_static(&[3; 64]);
    within("our writes to fail", async { while tx.write(&mut [pong()]).await.is_ok() {} }).await;
    let mut got = 0;
    while let Ok(Some(piece)) = within("read", rx.read(4096)).await {
        got += piece.len();
    }
    assert_eq!(got, 100_000);
}

#[tokio::test]
async fn a_peer_that_shuts_its_write_side_gets_its_answers() {
    let (_listener, mut peer, (mut tx, mut rx)) = bare_peer().await;
    peer.write_all(b"ask").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    let mut asked = vec![];
    while let Some(piece) = within("read", rx.read(4096)).await.unwrap() {
        asked.extend_from_slice(&piece);
    }
    assert_eq!(asked, b"ask");
    tx.write(&mut [Bytes::from_static(b"answer")]).await.unwrap();
    tx.finish().await.unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer");
}

#[tokio::test]
async fn a_reset_of_the_peer_is_never_the_end_of_the_stream() {
    for we_write in [false, true] {
        let (_listener, mut peer, (mut tx, mut rx)) = bare_peer().await;
        peer.write_all(b"half").unwrap();
        tx.write(&mut [Bytes::from_static(b"never read")]).await.unwrap();
        within("our bytes to arrive", async { while peer.peek(&mut [0]).unwrap() == 0 {} }).await;
        // Closing with unread bytes is a reset.
        drop(peer);
        if we_write {
            let piece = || Bytes::from_static(b"x");
            within("a write to fail", async { while tx.write(&mut [piece()]).await.is_ok() {} }).await;
        }
        let end = loop {
            match within("read", rx.read(4096)).await {
                Ok(Some(_)) => {}
                end => break end,
            }
        };
        assert!(matches!(end, Err(TransportError::Lost(_))), "{end:?}");
    }
}
