//! Connections, lanes, and how they end.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{Cluster, lane, listen, local, local_config, pair, read, soon};
use myrmidon::transport::{CloseCode, LaneClass, NodeAddr, Profile, Transport, TransportError};
use myrmidon_quic::{QuicConfig, QuicTransport};
use tokio::net::UdpSocket;

#[tokio::test]
async fn both_ends_read_the_name_of_the_other_from_its_certificate() {
    let cluster = Cluster::new("prod");
    let (a, b) = (cluster.node("a"), cluster.node("b"));
    let pair = pair(&a, &b).await;
    lane(&pair).await;
    let named = |peer: Option<myrmidon::transport::PeerIdentity>| peer.map(|p| (p.cluster, p.node)).unwrap();
    assert_eq!(named(pair.dialled.peer_identity()), ("prod".to_owned(), "b".to_owned()));
    assert_eq!(named(pair.accepted.peer_identity()), ("prod".to_owned(), "a".to_owned()));
    assert_eq!(pair.dialled.peer_addr(), pair.listener.local_addr());
}

#[tokio::test]
async fn eight_mebibytes_arrive_intact_in_both_directions() {
    let dir = tempfile::tempdir().unwrap();
    let pair = pair(&local(dir.path()), &local(dir.path())).await;
    let (mut ours, mut theirs) = lane(&pair).await;
    let payload: Vec<u8> = (0..8 << 20).map(|i: u32| (i % 251) as u8).collect();
    let bufs = || payload.chunks(1 << 16).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    let (there, back) = (&mut bufs()[..], &mut bufs()[..]);
    let (sent, got, returned, got_back) = tokio::join!(
        ours.0.write(there),
        read(&mut *theirs.1, payload.len()),
        theirs.0.write(back),
        read(&mut *ours.1, payload.len()),
    );
    sent.and(returned).unwrap();
    assert!(got == payload && got_back == payload);
}

#[tokio::test]
async fn ten_runtimes_of_one_user_just_talk() {
    let dir = tempfile::tempdir().unwrap();
    let runtimes: Vec<_> = (0..10).map(|_| local(dir.path())).collect();
    let mut listeners = Vec::new();
    for runtime in &runtimes {
        listeners.push(listen(runtime).await);
    }
    let addrs: Vec<_> = listeners.iter().map(|listener| listener.local_addr()).collect();
    for (from, runtime) in runtimes.iter().enumerate() {
        for to in (0..10).filter(|to| *to != from) {
            let (dialled, accepted) = tokio::join!(runtime.connect(&addrs[to]), listeners[to].accept());
            let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
            // Dialled from the listening socket, so the peer sees where we listen.
            assert_eq!(accepted.peer_addr(), addrs[from]);
            assert_ne!(dialled.peer_identity(), None);
        }
    }
}

#[tokio::test]
async fn localhost_is_the_same_place_for_both_ends() {
    let dir = tempfile::tempdir().unwrap();
    let transport = local(dir.path());
    let mut listener = transport.bind(&"localhost:0".parse().unwrap()).await.unwrap();
    let addr = NodeAddr::new("localhost", listener.local_addr().port());
    let (dialled, accepted) = tokio::join!(transport.connect(&addr), listener.accept());
    dialled.and(accepted).unwrap();
}

#[tokio::test]
async fn l04_a_stranger_who_says_nothing_more_is_given_up_and_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = local_config(dir.path());
    config.loopback.handshake_timeout = Duration::from_millis(300);
    let mut listener = listen(&QuicTransport::new(config).unwrap()).await;
    let one_way = one_way(&listener.local_addr()).await;
    let stranger = local(dir.path());
    let dial = tokio::spawn(async move { stranger.connect(&one_way).await.map(drop) });
    let silent = soon(listener.accept()).await.unwrap();
    let (addr, good) = (listener.local_addr(), local(dir.path()));
    let (dialled, accepted) = tokio::join!(good.connect(&addr), listener.accept());
    let (dialled, accepted) = (dialled.unwrap(), accepted.unwrap());
    assert_eq!(silent.peer_identity(), None);
    let error = soon(silent.accept_lane()).await.err().unwrap();
    assert!(matches!(error, TransportError::Handshake { .. }), "{error}");
    let pair = common::Pair { dialled, accepted, listener };
    lane(&pair).await;
    dial.abort();
}

/// As many handshakes as are half done before strangers get no answer.
const HALF_OPEN: usize = 128;

#[tokio::test]
async fn l05_beyond_so_many_handshakes_half_done_nobody_is_answered_until_they_are_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let patient = |limit| {
        let mut config = local_config(dir.path());
        config.loopback.handshake_timeout = limit;
        QuicTransport::new(config).unwrap()
    };
    let mut listener = listen(&patient(Duration::from_secs(6))).await;
    let addr = listener.local_addr();
    let (accepted, mut begun) = tokio::sync::watch::channel(0);
    let accepting = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok(connection) = listener.accept().await {
            connections.push(connection);
            accepted.send_replace(connections.len());
        }
    });
    let (stranger, one_way) = (Arc::new(patient(Duration::from_secs(2))), one_way(&addr).await);
    for _ in 0..HALF_OPEN + 50 {
        let (stranger, one_way) = (stranger.clone(), one_way.clone());
        tokio::spawn(async move { stranger.connect(&one_way).await.map(drop) });
    }
    soon(begun.wait_for(|count| *count >= HALF_OPEN)).await.unwrap();
    let good = patient(Duration::from_millis(500));
    let refused = good.connect(&addr).await.err().expect("there is no room");
    assert!(refused.to_string().contains("does a node listen there"), "{refused}");
    assert_eq!(*begun.borrow(), HALF_OPEN);
    let let_in = async { while good.connect(&addr).await.is_err() {} };
    soon(let_in).await;
    accepting.abort();
}

/// An address whose packets reach `to`, with no way back.
async fn one_way(to: &NodeAddr) -> NodeAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (addr, to) = (socket.local_addr().unwrap(), to.to_string());
    tokio::spawn(async move {
        let mut packet = [0; 1 << 16];
        while let Ok(len) = socket.recv(&mut packet).await {
            let _ = socket.send_to(&packet[..len], &to).await;
        }
    });
    addr.into()
}

#[tokio::test]
async fn a_close_carries_its_code_and_ends_every_lane() {
    let cluster = Cluster::new("prod");
    let pair = pair(&cluster.node("a"), &cluster.node("b")).await;
    let (_ours, mut theirs) = lane(&pair).await;
    pair.dialled.close(CloseCode::Duplicate, "one is enough");
    let seen = soon(pair.accepted.closed()).await;
    let TransportError::ClosedByPeer { code, reason } = seen else { panic!("{seen}") };
    assert_eq!((code, reason.as_str()), (0x16, "one is enough"));
    assert!(matches!(soon(theirs.1.read(1)).await, Err(TransportError::ClosedByPeer { code: 0x16, .. })));
    assert!(matches!(soon(pair.accepted.accept_lane()).await, Err(TransportError::ClosedByPeer { .. })));
    assert!(matches!(soon(pair.dialled.closed()).await, TransportError::ClosedLocally));
}

#[tokio::test]
async fn a_normal_close_ends_accepting_in_good_order() {
    let cluster = Cluster::new("prod");
    let pair = pair(&cluster.node("a"), &cluster.node("b")).await;
    pair.dialled.close(CloseCode::Normal, "");
    assert!(soon(pair.accepted.accept_lane()).await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_finished_can_be_read_after_the_dialler_is_gone() {
    let cluster = Cluster::new("prod");
    let pair = pair(&cluster.node("a"), &cluster.node("b")).await;
    let (mut ours, mut theirs) = lane(&pair).await;
    ours.0.write(&mut [Bytes::from_static(b"last words")]).await.unwrap();
    ours.0.finish().await.unwrap();
    drop((ours, pair.dialled));
    soon(pair.accepted.closed()).await;
    assert_eq!(read(&mut *theirs.1, 10).await, b"last words");
    assert!(soon(theirs.1.read(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_sender_that_is_dropped_unfinished_resets_the_lane() {
    let cluster = Cluster::new("prod");
    let pair = pair(&cluster.node("a"), &cluster.node("b")).await;
    let (ours, mut theirs) = lane(&pair).await;
    drop(ours.0);
    assert!(matches!(soon(theirs.1.read(1)).await, Err(TransportError::Reset { .. })));
}

#[tokio::test]
async fn l15_lanes_that_nobody_reads_do_not_hold_up_a_heartbeat() {
    let cluster = Cluster::new("prod");
    let pair = pair(&cluster.node("a"), &cluster.node("b")).await;
    let mut stuck = Vec::new();
    for _ in 0..8 {
        let mut lane = pair.dialled.open_lane(LaneClass::Message).await.unwrap();
        // More than the lane's window: the write waits until somebody reads, which nobody does.
        stuck.push(tokio::spawn(async move { lane.0.write(&mut [Bytes::from(vec![0; 4 << 20])]).await }));
    }
    let mut held = Vec::new();
    for _ in 0..8 {
        held.push(soon(pair.accepted.accept_lane()).await.unwrap().unwrap());
    }
    let mut heartbeat = pair.dialled.open_lane(LaneClass::Heartbeat).await.unwrap();
    heartbeat.0.write(&mut [Bytes::from_static(b"\x02")]).await.unwrap();
    let mut there = soon(pair.accepted.accept_lane()).await.unwrap().unwrap();
    assert_eq!(read(&mut *there.1, 1).await, b"\x02");
    there.0.write(&mut [Bytes::from_static(b"\x03")]).await.unwrap();
    assert_eq!(read(&mut *heartbeat.1, 1).await, b"\x03");
    stuck.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn l15_a_peer_has_sixty_four_lanes_and_the_next_one_waits_for_the_end_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let pair = pair(&local(dir.path()), &local(dir.path())).await;
    let mut lanes = Vec::new();
    for _ in 0..64 {
        lanes.push(lane(&pair).await);
    }
    let mut one_more = pair.dialled.open_lane(LaneClass::Message);
    let early = tokio::time::timeout(Duration::from_millis(100), &mut one_more).await;
    assert!(early.is_err(), "there are as many as may be");
    // Room for new ones is told of for several at a time.
    for ((mut ours, mut answers), (mut theirs, mut asked)) in lanes.drain(..16) {
        ours.finish().await.unwrap();
        theirs.finish().await.unwrap();
        assert_eq!((soon(asked.read(1)).await.unwrap(), soon(answers.read(1)).await.unwrap()), (None, None));
    }
    soon(one_more).await.unwrap();
}

#[tokio::test]
async fn only_the_dialler_opens_lanes() {
    let cluster = Cluster::new("prod");
    let pair = pair(&cluster.node("a"), &cluster.node("b")).await;
    let error = soon(pair.accepted.open_lane(LaneClass::Control)).await.err().unwrap();
    assert!(matches!(error, TransportError::Refused(_)), "{error}");
}

#[tokio::test]
async fn a_dropped_listener_accepts_nobody_and_frees_its_port_after_its_connections() {
    let cluster = Cluster::new("prod");
    let (a, b) = (cluster.node("a"), cluster.node("b"));
    let mut pair = pair(&a, &b).await;
    let addr = pair.listener.local_addr();
    pair.listener = listen(&b).await;
    lane(&pair).await;
    pair.dialled.close(CloseCode::Normal, "");
    soon(pair.accepted.closed()).await;
    drop(pair);
    let rebound = async {
        while b.bind(&addr).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(rebound).await;
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it() {
    let cluster = Cluster::new("prod");
    let listener = listen(&cluster.node("a")).await;
    let error = cluster.node("b").bind(&listener.local_addr()).await.err().unwrap();
    assert!(matches!(&error, TransportError::Bind { addr, .. } if *addr == listener.local_addr()), "{error}");
}

#[tokio::test]
async fn every_profile_carries_bytes_whatever_the_address_says() {
    let dir = tempfile::tempdir().unwrap();
    for profile in [Profile::Loopback, Profile::Lan, Profile::Wan] {
        let transport = || {
            let config = QuicConfig { profile: Some(profile), ..local_config(dir.path()) };
            QuicTransport::new(config).unwrap()
        };
        let pair = pair(&transport(), &transport()).await;
        carries(&pair, 3 << 20).await;
    }
}

#[tokio::test]
async fn two_ends_of_different_profiles_understand_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let near = local(dir.path());
    let far = QuicConfig { profile: Some(Profile::Wan), ..local_config(dir.path()) };
    let far = QuicTransport::new(far).unwrap();
    for (a, b) in [(&near, &far), (&far, &near)] {
        let pair = pair(a, b).await;
        carries(&pair, 1 << 20).await;
    }
}

#[tokio::test]
async fn what_the_system_granted_to_each_socket_can_be_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (local(dir.path()), local(dir.path()));
    assert!(a.sockets().is_empty());
    let pair = pair(&a, &b).await;
    let ([dialled], [listening]) = (&a.sockets()[..], &b.sockets()[..]) else { panic!("one socket each") };
    assert_eq!(NodeAddr::from(listening.addr), pair.listener.local_addr());
    for socket in [dialled, listening] {
        assert!(socket.receive > 0 && socket.send > 0 && socket.asked >= 1 << 20);
        assert_eq!(socket.is_short(), socket.receive < socket.asked || socket.send < socket.asked);
    }
}

/// So many bytes arrive as they were sent.
async fn carries(pair: &common::Pair, len: usize) {
    let (mut ours, mut theirs) = lane(pair).await;
    let payload = vec![7; len];
    let bufs = &mut [Bytes::from(payload.clone())];
    let (sent, got) = tokio::join!(ours.0.write(bufs), read(&mut *theirs.1, len));
    sent.unwrap();
    assert!(got == payload);
}
