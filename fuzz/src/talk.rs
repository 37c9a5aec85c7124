//! A conversation with a node: a peer that says what an input decides, on as many lanes as it likes.
//!
//! The node may end it or go on, but it serves others all the while, holds no more for the peer than it
//! grants, and none of its tasks panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::actor::{ExitReason, MonitorRef};
use myrmidon::config::NodeConfig;
use myrmidon::node::{LocalNode, Node};
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::transport::{Connection, Lane, LaneClass, NodeAddr, Transport};
use myrmidon::wire::Batch;
use myrmidon::wire::level2::{self, Decoder, Frame, Hello, HelloAck, Id, Probe, Ready, Text16};

use crate::input::Input;

/// What the node accepts.
const MOST: usize = 8 << 10;
const CREDIT: u32 = 20;
/// Steps of one conversation at most.
const STEPS: usize = 40;
const LINK: Id = Id([7; 16]);
/// Longer than any clock of the node.
const LATE: Duration = Duration::from_secs(60);

pub(crate) fn talk(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let network = MemoryNetwork::new();
        let local = Arc::new(Local::default());
        let config = NodeConfig {
            max_accepted_payload: MOST,
            bulk_above: 100,
            bulk_slots: 2,
            credit_messages: CREDIT,
            credit_bytes: MOST as u32,
            actor_messages: 4,
            seed: Some(1),
            ..NodeConfig::default()
        };
        let transport = Arc::new(MemoryTransport::new(&network));
        let node = Node::new(transport, local.clone(), tokio::runtime::Handle::current(), config);
        let addr = node.listen(&NodeAddr::new("node", 0)).await.expect("it listens");
        let mut peer = Peer::dial(&network, &addr).await;
        peer.talk(&mut Input::new(data)).await;
        serves_others(&network, &addr).await;
        drop(peer);
        serves_others(&network, &addr).await;
        // Whatever it was asked to promise, it ends.
        node.shutdown(Duration::from_secs(1)).await;
        assert!(local.longest.load(Ordering::Relaxed) <= MOST, "a message beyond what is accepted");
    });
}

/// What stands behind the node. Actors with an odd number read nothing.
#[derive(Default)]
struct Local {
    longest: AtomicUsize,
    monitors: AtomicUsize,
}

impl LocalNode for Local {
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>) {
        for (_, data) in batch.drain(..) {
            self.longest.fetch_max(data.len(), Ordering::Relaxed);
        }
    }

    fn mailbox_size(&self, pid: Pid) -> Option<usize> {
        (pid.index() < 100).then_some(if pid.index() % 2 == 1 { 1000 } else { 0 })
    }

    fn mark(&self, pid: Pid, reached: Box<dyn FnOnce() + Send>) {
        if pid.index().is_multiple_of(2) {
            reached();
        }
    }

    fn whereis(&self, name: &str) -> Option<Pid> {
        (name == "database").then_some(database())
    }

    fn watch(&self, pid: Pid, on_exit: Box<dyn FnOnce(&ExitReason) + Send>) -> MonitorRef {
        if pid.index().is_multiple_of(3) {
            on_exit(&ExitReason::NoProcess);
        }
        MonitorRef::from_u64(self.monitors.fetch_add(1, Ordering::Relaxed) as u64)
    }

    fn unwatch(&self, _: Pid, _: MonitorRef) {}

    fn on_worker(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

fn database() -> Pid {
    Pid::new(1, 7).expect("a PID")
}

/// Somebody else asks for a name and is answered.
async fn serves_others(network: &MemoryNetwork, addr: &NodeAddr) {
    let mut good = Peer::dial(network, addr).await;
    let mut batch = Batch::new();
    batch.resolve("database");
    good.say(&batch.take().concat()).await;
    let answer = tokio::time::timeout(LATE, good.hear(8)).await.expect("a node serves others in time");
    assert_eq!(answer, database().as_u64().to_be_bytes());
}

/// A peer that speaks bytes.
struct Peer {
    connection: Box<dyn Connection>,
    lanes: Vec<Lane>,
    now: usize,
    key: Id,
}

impl Peer {
    async fn dial(network: &MemoryNetwork, addr: &NodeAddr) -> Self {
        let connection = MemoryTransport::new(network).connect(addr).await.expect("somebody listens");
        let lane = connection.open_lane(LaneClass::Control).await.expect("a lane");
        Self { connection, lanes: vec![lane], now: 0, key: Id::NONE }
    }

    async fn talk(&mut self, input: &mut Input<'_>) {
        let (begins, lanes, slots) = (input.byte() % 4, input.byte() % 3, input.byte() % 3);
        if begins > 0 && !self.greet(begins, lanes, slots).await {
            return;
        }
        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            self.step(input).await;
        }
        // Whatever the node has to say is taken in, so that it is not its peer that is stuck.
        let Some((_, receiver)) = self.lanes.first_mut() else { return };
        let listen = async { while let Ok(Some(_)) = receiver.read(1 << 16).await {} };
        // A link that lives says something for ever.
        let _ = tokio::time::timeout(Duration::from_secs(8), listen).await;
    }

    /// As far into the handshake as said: the probe, HELLO with its lanes, READY.
    async fn greet(&mut self, begins: u8, lanes: u8, slots: u8) -> bool {
        let mut batch = Batch::new();
        batch.resolve(&Probe { link: LINK }.name());
        self.say(&batch.take().concat()).await;
        self.hear(8).await;
        if begins < 2 {
            return true;
        }
        batch.frame(Frame::Hello(Box::new(hello(lanes, slots))));
        self.say(&batch.take().concat()).await;
        let Some(ack) = self.acknowledged().await else { return false };
        self.key = ack.key;
        for number in 1..=ack.hello.lanes {
            self.open(LaneClass::Message, 1, number).await;
        }
        if ack.hello.bulk_slots > 0 {
            self.open(LaneClass::Bulk, 2, 0).await;
        }
        self.now = 0;
        if begins > 2 {
            batch.frame(Frame::Ready(Ready { lanes: ack.hello.lanes }));
            self.say(&batch.take().concat()).await;
        }
        true
    }

    async fn acknowledged(&mut self) -> Option<HelloAck> {
        let mut decoder = Decoder::new(1 << 16);
        loop {
            match decoder.next_frame().expect("a node says what can be read") {
                Some(Frame::HelloAck(ack)) => return Some(*ack),
                Some(other) => panic!("{other:?} in answer to HELLO"),
                None => decoder.feed(self.lanes[0].1.read(1 << 16).await.ok()??),
            }
        }
    }

    async fn open(&mut self, class: LaneClass, kind: u8, number: u8) {
        let Ok(lane) = self.connection.open_lane(class).await else { return };
        self.lanes.push(lane);
        self.now = self.lanes.len() - 1;
        let mut batch = Batch::new();
        batch.frame(Frame::Lane(level2::Lane { kind, number, link: LINK, key: self.key }));
        self.say(&batch.take().concat()).await;
    }

    async fn step(&mut self, input: &mut Input<'_>) {
        match input.byte() % 16 {
            0 => {
                let len = usize::from(input.byte());
                let bytes = input.bytes(len).to_vec();
                self.say(&bytes).await;
            }
            1 => self.now = usize::from(input.byte()) % self.lanes.len(),
            2 => {
                let (kind, number) = (input.byte() % 4, input.byte() % 6);
                let class = if kind == 2 { LaneClass::Bulk } else { LaneClass::Message };
                self.open(class, kind, number).await;
            }
            3 => tokio::time::sleep(Duration::from_millis(40 * u64::from(input.byte()))).await,
            4 => self.lanes[self.now].0.reset(myrmidon::wire::CloseCode::Normal),
            5 => drop(self.lanes[self.now].0.finish().await),
            _ => {
                let mut batch = Batch::new();
                batch.frame(frame(input));
                let bytes = batch.take().concat();
                let (first, second) = bytes.split_at(usize::from(input.byte()).min(bytes.len()));
                self.say(first).await;
                self.say(second).await;
            }
        }
    }

    /// A lane that the node has ended takes no more, and one that it does not read at once is left.
    async fn say(&mut self, bytes: &[u8]) {
        let write = self.lanes[self.now].0.write(&mut [Bytes::copy_from_slice(bytes)]).await;
        drop(write);
    }

    async fn hear(&mut self, len: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        while heard.len() < len {
            match self.lanes[0].1.read(len - heard.len()).await {
                Ok(Some(bytes)) => heard.extend_from_slice(&bytes),
                _ => break,
            }
        }
        heard
    }
}

fn hello(lanes: u8, bulk_slots: u8) -> Hello {
    Hello {
        node: Id([9; 16]),
        link: LINK,
        lanes,
        max_frame: 1 << 17,
        max_message: 1 << 16,
        credit_msgs: 10,
        credit_bytes: 1 << 16,
        bulk_slots,
        ..Hello::default()
    }
}

/// A frame of any type that a link carries.
fn frame(input: &mut Input<'_>) -> Frame {
    let to = Pid::new(1, u32::from(input.byte() % 5));
    match input.byte() % 22 {
        0..4 => {
            let len = usize::from(input.byte());
            Frame::Message { to, data: Bytes::copy_from_slice(input.bytes(len)) }
        }
        4..6 => {
            let (bulk, total) = (input.number(), input.number());
            let kind = if input.byte() < 200 { 0 } else { input.byte() };
            Frame::Bulk(level2::Bulk { bulk, to, kind, rid: 0, from: None, left_ms: u32::MAX, total })
        }
        6..9 => {
            let (bulk, total, offset) = (input.number(), input.number(), input.number());
            let len = usize::from(input.byte());
            let data = Bytes::copy_from_slice(input.bytes(len));
            Frame::Chunk(level2::Chunk { bulk, to, total, offset, data })
        }
        9 => Frame::Ping,
        10 => Frame::Pong,
        11 => Frame::Credit(level2::Credit {
            msgs: input.number(),
            bytes: input.number(),
            received: input.number(),
        }),
        12 => Frame::Xoff(level2::Xoff { pid: to }),
        13 => Frame::Xon(level2::Xon { pid: to }),
        14 => Frame::Monitor(level2::Monitor { id: input.number(), to, from: to, name: Text16::default() }),
        15 => Frame::Demonitor(level2::Demonitor { id: input.number(), to, from: to }),
        16 => Frame::Goaway(level2::Goaway { code: input.byte().into(), reason: Text16::default() }),
        17 => Frame::Drained(level2::Drained { received: input.number() }),
        18 => {
            Frame::Resolve(level2::Resolve { rid: input.number(), from: to, name: Text16::from("database") })
        }
        19 => Frame::Ready(Ready { lanes: input.byte() % 5 }),
        20 => Frame::Hello(Box::new(hello(0, 0))),
        _ => {
            let name = String::from_utf8_lossy(input.bytes(8)).into_owned();
            let monitor =
                level2::Monitor { id: input.number(), to: None, from: to, name: name.as_str().into() };
            Frame::Monitor(monitor)
        }
    }
}
