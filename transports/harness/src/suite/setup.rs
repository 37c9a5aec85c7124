//! Binding, dialling, accepting.

use bytes::Bytes;
use myrmidon::transport::{Connection, LaneClass, Listener, TransportError};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::pair::{receive, send};
use crate::{Pair, Subject, within};

/// A listener bound to port 0 knows its real port, and another one gets another.
pub async fn port_zero_is_resolved(subject: &Subject) {
    let (one, other) = (subject.listener().await, subject.listener().await);
    assert_ne!(one.local_addr().port(), 0);
    assert_ne!(one.local_addr().port(), other.local_addr().port());
}

/// Dialling a free address ends with a `Connect` error, before the deadline of the suite.
pub async fn dialling_where_nobody_listens_fails(subject: &Subject) {
    let addr = subject.listener().await.local_addr();
    let dialled = within("a refused dial", subject.transport.connect(&addr)).await;
    match dialled.err() {
        Some(TransportError::Connect { addr: named, .. }) => assert_eq!(named, addr),
        Some(other) => panic!("not a Connect error: {other}"),
        None => panic!("connected to {addr}, where nobody listens"),
    }
}

/// Binding an address twice is a `Bind` error.
pub async fn an_address_in_use_cannot_be_bound(subject: &Subject) {
    let listener = subject.listener().await;
    let again = subject.transport.bind(&listener.local_addr()).await;
    assert!(matches!(again, Err(TransportError::Bind { .. })), "bound {} twice", listener.local_addr());
}

/// After a listener is dropped its address can be bound again, though connections it accepted live
/// on. (Where they share its socket, as on UDP, they may keep the port: so they end first here.)
pub async fn a_dropped_listener_frees_its_address(subject: &Subject) {
    let pair = Pair::connect(subject).await;
    let listener = pair.listener.into_inner();
    let addr = listener.local_addr();
    drop(listener);
    let (mut tx, rx) = pair.dialler.open_lane(LaneClass::Message).await.expect("the connection lives");
    send(&mut *tx, Bytes::from_static(b"x")).await;
    let lane = within("a lane after the listener", pair.acceptor.accept_lane()).await;
    assert!(lane.expect("the connection lives").is_some());
    drop((tx, rx, pair.dialler, pair.acceptor));
    let rebind = async {
        while subject.transport.bind(&addr).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("binding the address again", rebind).await;
}

/// Peers that connect and then say nothing do not keep the next one from being served.
pub async fn an_idle_peer_does_not_hold_up_the_next(subject: &Subject) {
    let listener = subject.listener().await;
    let addr = listener.local_addr();
    let (_accepting, mut accepted) = accept_all(listener);
    let mut idle = vec![];
    for _ in 0..3 {
        idle.push(within("dial", subject.transport.connect(&addr)).await.expect("dial"));
    }
    let talker = within("dial", subject.transport.connect(&addr)).await.expect("dial");
    let (mut tx, _rx) = talker.open_lane(LaneClass::Message).await.expect("open a lane");
    send(&mut *tx, Bytes::from_static(b"hi")).await;

    let mut served = JoinSet::new();
    for _ in 0..=idle.len() {
        let connection = within("accept", accepted.recv()).await.expect("accept");
        served.spawn(async move { first_two_bytes(&*connection).await });
    }
    let first = within("the talking peer", served.join_next()).await.expect("one").expect("served");
    assert_eq!(first, b"hi");
}

/// Accepting that is given up many times over loses no connection.
pub async fn accepting_is_cancel_safe(subject: &Subject) {
    let mut listener = subject.listener().await;
    let addr = listener.local_addr();
    let transport = subject.transport.clone();
    let dialling = tokio::spawn(async move {
        let mut dialled = vec![];
        for _ in 0..5 {
            dialled.push(transport.connect(&addr).await.expect("dial"));
        }
        dialled
    });
    let mut accepted = vec![];
    let accept_five = async {
        while accepted.len() < 5 {
            tokio::select! {
                biased;
                connection = listener.accept() => accepted.push(connection.expect("accept")),
                () = tokio::task::yield_now() => {}
            }
        }
    };
    within("five connections", accept_five).await;
    assert_eq!(within("five dials", dialling).await.expect("dials").len(), 5);
}

/// A hundred peers dial at once; each gets its own answer.
pub async fn a_hundred_connections_at_once(subject: &Subject) {
    let listener = subject.listener().await;
    let addr = listener.local_addr();
    let (_accepting, mut accepted) = accept_all(listener);
    let mut peers = JoinSet::new();
    for number in 0..100_u8 {
        let (transport, addr) = (subject.transport.clone(), addr.clone());
        peers.spawn(async move {
            let connection = transport.connect(&addr).await.expect("dial");
            let (mut tx, mut rx) = connection.open_lane(LaneClass::Control).await.expect("open a lane");
            send(&mut *tx, vec![number, number].into()).await;
            assert_eq!(receive(&mut *rx, 2).await, [number, number]);
            connection
        });
    }
    let mut served = JoinSet::new();
    for _ in 0..100 {
        let connection = within("accept", accepted.recv()).await.expect("accept");
        served.spawn(async move {
            echo_two_bytes(&*connection).await;
            connection
        });
    }
    let dialled = within("a hundred answers", peers.join_all()).await;
    let accepted = within("a hundred servers", served.join_all()).await;
    assert_eq!((dialled.len(), accepted.len()), (100, 100));
}

type Accepted = mpsc::Receiver<Box<dyn Connection>>;

/// Accepts until the listener breaks or nobody takes the connections.
fn accept_all(mut listener: Box<dyn Listener>) -> (JoinHandle<()>, Accepted) {
    let (tx, rx) = mpsc::channel(128);
    let task = tokio::spawn(async move {
        while let Ok(connection) = listener.accept().await {
            if tx.send(connection).await.is_err() {
                return;
            }
        }
    });
    (task, rx)
}

async fn first_two_bytes(connection: &dyn Connection) -> Vec<u8> {
    match connection.accept_lane().await {
        Ok(Some((_tx, mut rx))) => receive(&mut *rx, 2).await,
        _ => std::future::pending().await,
    }
}

async fn echo_two_bytes(connection: &dyn Connection) {
    let lane = within("accept a lane", connection.accept_lane()).await.expect("a lane");
    let (mut tx, mut rx) = lane.expect("the connection is open");
    let asked = receive(&mut *rx, 2).await;
    send(&mut *tx, asked.into()).await;
    // Until the peer has gone, however it goes, so that the answer is not lost with the lane.
    let _however = within("the peer to go", rx.read(1)).await;
}
