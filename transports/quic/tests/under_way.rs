//! What a message lane takes of its node while nothing is acknowledged.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;

use bytes::Bytes;
use common::{Pair, lane, listen, local_config, read, soon};
use myrmidon::transport::{LaneClass, NodeAddr, Transport};
use myrmidon_quic::{QuicConfig, QuicTransport};
use tokio::net::UdpSocket;

/// What the congestion control lets go at first.
const WINDOW: usize = 64 << 10;
/// Twice that, what is ready to go besides, and what the window has grown by until the path breaks.
const BOUND: usize = 2 * WINDOW + (16 << 10) + (64 << 10);
const CHUNK: usize = 4 << 10;
const WANTED: usize = 4 << 20;

/// A path to `to`, and whether it carries anything now.
async fn path(to: &NodeAddr) -> (NodeAddr, Arc<AtomicBool>) {
    let (near, far) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let (addr, carries) = (near.local_addr().unwrap(), Arc::new(AtomicBool::new(true)));
    far.connect(to.to_string()).await.unwrap();
    let is_up = carries.clone();
    tokio::spawn(async move {
        let (mut there, mut back) = (vec![0; 1 << 16], vec![0; 1 << 16]);
        let mut dialler = None;
        loop {
            tokio::select! {
                Ok((len, from)) = near.recv_from(&mut there) => {
                    dialler = Some(from);
                    if is_up.load(Ordering::Acquire) {
                        let _ = far.send(&there[..len]).await;
                    }
                }
                Ok(len) = far.recv(&mut back) => {
                    if let Some(dialler) = dialler && is_up.load(Ordering::Acquire) {
                        let _ = near.send_to(&back[..len], dialler).await;
                    }
                }
            }
        }
    });
    (addr.into(), carries)
}

/// With room for everything in the windows of the flow control, so that those are not what holds it back.
fn config(dir: &std::path::Path) -> QuicConfig {
    let mut config = local_config(dir);
    config.loopback.lane_window = 16 << 20;
    config.loopback.initial_window = WINDOW as u64;
    config
}

#[tokio::test]
async fn l10_a_message_lane_takes_little_of_what_is_not_acknowledged_and_goes_on_when_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let [near, far] = [(); 2].map(|()| QuicTransport::new(config(dir.path())).unwrap());
    let mut listener = listen(&far).await;
    let (addr, carries) = path(&listener.local_addr()).await;
    let (dialled, accepted) = tokio::join!(near.connect(&addr), listener.accept());
    let pair = Pair { dialled: dialled.unwrap(), accepted: accepted.unwrap(), listener };
    let ((mut tx, _rx), (_back, mut there)) = lane(&pair).await;
    tx.set_class(LaneClass::Message);
    carries.store(false, Ordering::Release);

    let data: Bytes = (0..WANTED).map(|at| (at % 251) as u8).collect();
    let (taken, mut rest) = (AtomicUsize::new(0), data.clone());
    let mut writing = Box::pin(async {
        while !rest.is_empty() {
            tx.write(&mut [rest.split_to(CHUNK)]).await.unwrap();
            taken.fetch_add(CHUNK, Ordering::Relaxed);
        }
    });
    // Whenever this has looked, one more write waits; and none goes on before something is acknowledged.
    let mut held = async |least| {
        let look = poll_fn(|cx| {
            assert!(writing.as_mut().poll(cx).is_pending(), "everything was taken");
            let taken = taken.load(Ordering::Relaxed);
            if taken >= least { Poll::Ready(taken) } else { Poll::Pending }
        });
        soon(look).await
    };
    let first = held(WINDOW).await;
    assert!(first <= BOUND, "{first} bytes were taken");
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert_eq!(held(0).await, first, "more is taken though nothing was acknowledged");
    }
    carries.store(true, Ordering::Release);
    let ((), got) = tokio::join!(soon(writing), read(&mut *there, WANTED));
    assert!(got == data, "what was held back comes, in its order");
}
