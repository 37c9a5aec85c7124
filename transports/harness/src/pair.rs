//! What the properties are tried on: a transport, two connected ends, a lane between them.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use myrmidon::transport::{
    Connection, Lane, LaneClass, LaneReceiver, LaneSender, Listener, NodeAddr, Transport, TransportError,
};
use tokio::sync::Mutex;

/// Far longer than anything here takes on a busy machine; reaching it is a failure.
const DEADLINE: Duration = Duration::from_secs(30);

/// The first byte of every lane of the suite: a lane may be invisible until something is written.
const HELLO: u8 = b'!';

/// A transport under test.
pub struct Subject {
    /// The transport; it both binds and dials.
    pub transport: Arc<dyn Transport>,
    /// An address with port 0 that it can bind and then dial.
    pub bind: NodeAddr,
}

impl Subject {
    /// A subject that binds `bind`, for example `127.0.0.1:0`.
    ///
    /// # Panics
    /// If `bind` is not an address.
    pub fn new(transport: Arc<dyn Transport>, bind: &str) -> Self {
        Self { transport, bind: bind.parse().expect("an address with port 0") }
    }

    /// A listener on a port of its own.
    pub async fn listener(&self) -> Box<dyn Listener> {
        within("bind", self.transport.bind(&self.bind)).await.expect("bind")
    }
}

/// Two ends of one connection, and where further lanes arrive.
pub struct Pair {
    /// The side that dialled.
    pub dialler: Box<dyn Connection>,
    /// The side that accepted.
    pub acceptor: Box<dyn Connection>,
    /// Where it was accepted.
    pub listener: Mutex<Box<dyn Listener>>,
    /// Connections that bring further lanes, where each lane is a connection of its own: those whose
    /// lane is still to come, and those whose lane has come.
    coming: Mutex<VecDeque<Box<dyn Connection>>>,
    further: std::sync::Mutex<Vec<Box<dyn Connection>>>,
}

impl Pair {
    /// Connects the subject to itself.
    pub async fn connect(subject: &Subject) -> Self {
        let mut listener = subject.listener().await;
        let addr = listener.local_addr();
        let both = async { tokio::join!(subject.transport.connect(&addr), listener.accept()) };
        let (dialler, acceptor) = within("connect and accept", both).await;
        Self {
            dialler: dialler.expect("connect"),
            acceptor: acceptor.expect("accept"),
            listener: Mutex::new(listener),
            coming: Mutex::default(),
            further: std::sync::Mutex::default(),
        }
    }

    /// A new lane: the dialler's end, then the acceptor's.
    pub async fn lane(&self) -> (Lane, Lane) {
        self.lane_of(LaneClass::Message).await
    }

    /// A new lane of `class`.
    pub async fn lane_of(&self, class: LaneClass) -> (Lane, Lane) {
        let opening = async {
            let (mut tx, rx) = self.dialler.open_lane(class).await.expect("open a lane");
            send(&mut *tx, Bytes::from_static(&[HELLO])).await;
            (tx, rx)
        };
        let both = async { tokio::join!(opening, self.accept_lane()) };
        let ((mut tx, rx), (mut back, mut there)) = within("open and accept a lane", both).await;
        assert_eq!(receive(&mut *there, 1).await, [HELLO]);
        // As nodes do with every lane.
        tx.set_class(class);
        back.set_class(class);
        ((tx, rx), (back, there))
    }

    /// The next lane that the dialler opened, whether it comes in the accepted connection or as a
    /// connection of its own. Cancel-safe.
    ///
    /// # Panics
    /// If the listener breaks, or a connection that was to bring a lane does not.
    pub async fn accept_lane(&self) -> Lane {
        let (mut listener, mut coming) = (self.listener.lock().await, self.coming.lock().await);
        loop {
            let next = async {
                match coming.front() {
                    Some(connection) => connection.accept_lane().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // No lane any more: the connection was its only lane, which is over.
                Ok(Some(lane)) = self.acceptor.accept_lane() => return lane,
                lane = next => {
                    let mut further = self.further.lock().expect("no test panicked with it");
                    further.extend(coming.pop_front());
                    return lane.expect("accept a lane").expect("the connection is open");
                }
                further = listener.accept() => coming.push_back(further.expect("accept")),
            }
        }
    }
}

/// Waits for `work`, and fails the test with `what` if it takes too long.
///
/// # Panics
/// After 30 s.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(value) => value,
        Err(_) => panic!("still waiting after {DEADLINE:?}: {what}"),
    }
}

pub(crate) async fn send(tx: &mut dyn LaneSender, data: Bytes) {
    within("write", tx.write(&mut [data])).await.expect("write");
}

/// Exactly `len` bytes, however they are split.
pub(crate) async fn receive(rx: &mut dyn LaneReceiver, len: usize) -> Vec<u8> {
    let mut got = Vec::with_capacity(len);
    while got.len() < len {
        let piece = within("read", rx.read(len - got.len())).await.expect("read");
        got.extend_from_slice(&piece.expect("more bytes before the end"));
    }
    got
}

/// Everything until the end, and how the lane ended.
pub(crate) async fn drain(rx: &mut dyn LaneReceiver) -> (Vec<u8>, Result<(), TransportError>) {
    let mut got = vec![];
    loop {
        match within("read to the end", rx.read(64 * 1024)).await {
            Ok(Some(piece)) => got.extend_from_slice(&piece),
            Ok(None) => return (got, Ok(())),
            Err(error) => return (got, Err(error)),
        }
    }
}

/// Exactly `data`, and then the end of a finished lane.
pub(crate) async fn expect_exactly(rx: &mut dyn LaneReceiver, data: &[u8]) {
    let (got, end) = drain(rx).await;
    assert!(got == data, "{} bytes arrived, not the {} that were written", got.len(), data.len());
    end.expect("a finished lane ends in good order");
}
