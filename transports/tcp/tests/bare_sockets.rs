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

/// Run by the test below in a process that may open few files.
#[test]
#[ignore = "needs few file descriptors, as the test below arranges"]
fn with_few_descriptors() {
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    io.block_on(async {
        use tokio::io::AsyncReadExt;

        let transport = TcpTransport::default();
        let mut listener = transport.bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = listener.local_addr().to_string();
        let mut knocking = tokio::net::TcpStream::connect(&addr).await.unwrap();
        // The sockets of this process are all that can be accepted: nothing is left for that.
        let mut files = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            files.push(file);
        }
        let accepting = tokio::spawn(async move { listener.accept().await.map(|_| ()) });
        let turned_away = within("an end", knocking.read(&mut [0])).await;
        assert!(matches!(turned_away, Ok(0) | Err(_)), "{turned_away:?}");
        assert!(transport.accept_errors() > 0 && !accepting.is_finished());
        drop(files);
        // Whoever knocked too early is turned away as well.
        let taken = async {
            while !accepting.is_finished() {
                let _ = tokio::net::TcpStream::connect(&addr).await.unwrap().read(&mut [0]).await;
            }
        };
        within("a connection", taken).await;
        accepting.await.unwrap().unwrap();
    });
}

#[cfg(unix)]
#[test]
fn f19_l29_without_descriptors_who_knocks_is_turned_away_and_later_taken() {
    let this = std::env::current_exe().unwrap();
    let run = "ulimit -n 64 && exec \"$0\" --ignored --exact with_few_descriptors";
    let output = std::process::Command::new("sh").args(["-c", run]).arg(this).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
