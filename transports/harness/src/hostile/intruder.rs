//! A peer that has the confidence of a node, and says whatever a test wants.

use std::sync::Arc;

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::config::Level;
use myrmidon::transport::{
    Connection, LaneClass, LaneReceiver, LaneSender, NodeAddr, PeerIdentity, Transport,
};
use myrmidon::wire::level2::{Decoder, Frame, Hello, Id, Probe, Ready};
use myrmidon::wire::{Batch, CloseCode};
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::within;

/// Frames that are said in one piece.
const PIECE: u64 = 100;
/// The answer to a probe: "M2", and that there is no other link.
const PROBED: usize = 8;

/// It has a link without message lanes: it says everything in one.
pub(super) struct Intruder {
    connection: Box<dyn Connection>,
    sender: Box<dyn LaneSender>,
    receiver: Box<dyn LaneReceiver>,
    decoder: Decoder,
}

impl Intruder {
    /// Comes to the node at `addr`, and greets it properly.
    pub(super) async fn enter(transport: &Arc<dyn Transport>, addr: &NodeAddr) -> Self {
        let connection = within("connect", transport.connect(addr)).await.expect("it is let in");
        let (sender, receiver) =
            within("a lane", connection.open_lane(LaneClass::Control)).await.expect("a lane");
        let mut intruder = Self { connection, sender, receiver, decoder: Decoder::new(1 << 20) };
        let hello = hello(transport.identity().as_ref());
        if intruder.connection.level() != Some(Level::Two) {
            let mut probe = Batch::new();
            probe.resolve(&Probe { link: hello.link }.name());
            within("a probe", intruder.sender.write(&mut probe.take())).await.expect("it goes");
            let mut heard = 0;
            while heard < PROBED {
                let read = within("an answer", intruder.receiver.read(PROBED - heard)).await;
                heard += read.expect("it is let in").expect("an answer").len();
            }
        }
        intruder.say([Frame::Hello(Box::new(hello))]).await;
        let answer = intruder.hear().await;
        assert!(matches!(answer, Frame::HelloAck(_)), "{answer:?}");
        intruder.say([Frame::Ready(Ready { lanes: 0 })]).await;
        intruder
    }

    pub(super) async fn say(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut batch = Batch::new();
        frames.into_iter().for_each(|frame| batch.frame(frame));
        within("a write", self.sender.write(&mut batch.take())).await.expect("it goes");
    }

    /// The next frame but those that every node says by itself.
    pub(super) async fn hear(&mut self) -> Frame {
        loop {
            match self.decoder.next_frame().expect("the node keeps to the rules") {
                Some(Frame::Ping | Frame::Pong | Frame::Info(_)) => {}
                Some(frame) => return frame,
                None => {
                    let read = within("an answer", self.receiver.read(1 << 16)).await;
                    self.decoder.feed(read.expect("the lane lives").expect("there is more"));
                }
            }
        }
    }

    /// Says `frame` again and again, and listens, until the node says goodbye: with this code, and why.
    pub(super) async fn flood(self, frame: impl Fn(u64) -> Frame) -> (u16, String) {
        let (tell, told) = oneshot::channel();
        let Self { connection, mut sender, mut receiver, mut decoder } = self;
        let listening = tokio::spawn(async move {
            while let Ok(Some(bytes)) = receiver.read(1 << 16).await {
                decoder.feed(bytes);
                while let Ok(Some(frame)) = decoder.next_frame() {
                    if let Frame::Goaway(goaway) = frame {
                        let _ = tell.send((goaway.code, goaway.reason.as_str().to_owned()));
                        return;
                    }
                }
            }
        });
        let flooding = async {
            let mut said = 0;
            while sender.write(&mut piece(said, &frame)).await.is_ok() {
                said += PIECE;
            }
            // It is cut off, and may have been told why.
            std::future::pending::<()>().await;
        };
        let goodbye = within("a goodbye", async {
            tokio::select! {
                goodbye = told => goodbye.expect("the reason of the end"),
                () = flooding => unreachable!("a flood never ends"),
            }
        });
        let goodbye = goodbye.await;
        listening.abort();
        connection.close(CloseCode::Normal, "");
        goodbye
    }

    /// Says `frame` again and again, and reads nothing, until it is cut off.
    pub(super) async fn flood_unread(mut self, frame: impl Fn(u64) -> Frame) {
        within("the end of a flood", async {
            let mut said = 0;
            while self.sender.write(&mut piece(said, &frame)).await.is_ok() {
                said += PIECE;
            }
        })
        .await;
    }
}

fn piece(from: u64, frame: impl Fn(u64) -> Frame) -> Vec<Bytes> {
    let mut batch = Batch::new();
    (from..from + PIECE).for_each(|n| batch.frame(frame(n)));
    batch.take().to_vec()
}

/// An actor of the intruder.
pub(super) fn stranger(number: u64) -> Pid {
    let index = u32::try_from(number % u64::from(u32::MAX)).unwrap_or(0);
    Pid::new(0x5EED, index).expect("a generation that PIDs may have")
}

fn hello(identity: Option<&PeerIdentity>) -> Hello {
    let (cluster, name) = identity.map_or(("", ""), |identity| (&identity.cluster, &identity.node));
    Hello {
        cluster: cluster.into(),
        name: name.into(),
        node: identity.map_or(Id([9; 16]), node_id),
        link: Id([7; 16]),
        caps: 7,
        ..Hello::default()
    }
}

/// The id of a node that has a name: the hash of its names (protocol §2).
fn node_id(identity: &PeerIdentity) -> Id {
    let hash = Sha256::digest([identity.cluster.as_bytes(), &[0], identity.node.as_bytes()].concat());
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    Id(id)
}
