//! What one actor sends to an actor of another node leaves in its order, whatever it is and whichever side makes
//! the connection anew (G1, G2). The other node is a peer of the test's own, which keeps the frames as they come.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use common::{listen, start};
use myrmidon::actor::{AskError, ExitReason};
use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::transport::{Lane, LaneClass, Listener, NodeAddr, Transport};
use myrmidon::wire::Batch;
use myrmidon::wire::level2::{Ask, Decoder, Exit, Frame, Hello, HelloAck, Id, Link, Probe, Ready};
use myrmidon::{Pid, Runtime};
use proptest::collection::vec;
use proptest::prelude::*;

const RECEIVERS: u32 = 2;

/// How what follows a message is put into the link.
#[derive(Clone, Copy, Debug)]
enum Way {
    Send,
    Ask,
    Link,
    Exit,
}

/// A message, and something behind it, to the same receiver.
#[derive(Clone, Copy, Debug)]
struct Step {
    to: usize,
    then: Way,
    /// The connection breaks before.
    cut: bool,
    /// The other side connects as well.
    back: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let way = prop_oneof![Just(Way::Send), Just(Way::Ask), Just(Way::Link), Just(Way::Exit)];
    let fields = (0..RECEIVERS as usize, way, prop::bool::weighted(0.7), any::<bool>());
    fields.prop_map(|(to, then, cut, back)| Step { to, then, cut, back })
}

/// The numbers of what came for each receiver, and of the actors that were linked.
#[derive(Default)]
struct Record {
    came: HashMap<Pid, Vec<u64>>,
    linked: HashMap<Pid, u64>,
}

/// The other node.
#[derive(Clone)]
struct Far {
    network: MemoryNetwork,
    record: Arc<Mutex<Record>>,
    links: Arc<AtomicU64>,
}

impl Far {
    fn hello(link: Id) -> Hello {
        let (credit_msgs, credit_bytes) = (u32::MAX, u32::MAX);
        Hello { node: Id([9; 16]), link, caps: 7, credit_msgs, credit_bytes, ..Hello::default() }
    }

    async fn serve(self, mut listener: Box<dyn Listener>) {
        while let Ok(connection) = listener.accept().await {
            let far = self.clone();
            tokio::spawn(async move {
                if let Ok(Some(lane)) = connection.accept_lane().await {
                    far.answer(lane).await;
                }
            });
        }
    }

    /// Has a link that the runtime dials. `None` if it breaks.
    async fn answer(&self, mut lane: Lane) -> Option<()> {
        let probe = 5 + Probe { link: Id::NONE }.name().len();
        let mut heard = 0;
        while heard < probe {
            heard += lane.1.read(probe - heard).await.ok()??.len();
        }
        lane.0.write(&mut [Bytes::from_static(&[0xFF, 0xFF, 0x4D, 0x32, 0, 2, 0, 0])]).await.ok()?;
        let mut line = Line { lane, decoder: Decoder::new(1 << 20) };
        let Frame::Hello(hello) = line.hear().await? else { panic!("HELLO was expected") };
        let hello = Self::hello(hello.link);
        line.say(Frame::HelloAck(Box::new(HelloAck { hello, other: Id::NONE, key: Id::NONE }))).await?;
        if let Frame::Ready(_) = line.hear().await? {
            self.keep(&mut line).await;
        }
        Some(())
    }

    /// Dials the runtime.
    async fn dial(self, addr: NodeAddr) -> Option<()> {
        let number = self.links.fetch_add(1, Ordering::Relaxed);
        let link = Id([number.to_be_bytes(), [7; 8]].concat().try_into().unwrap());
        let connection = MemoryTransport::new(&self.network).connect(&addr).await.ok()?;
        let mut lane = connection.open_lane(LaneClass::Control).await.ok()?;
        let mut batch = Batch::new();
        batch.resolve(&Probe { link }.name());
        lane.0.write(&mut batch.take()).await.ok()?;
        let mut heard = 0;
        while heard < 8 {
            heard += lane.1.read(8 - heard).await.ok()??.len();
        }
        let mut line = Line { lane, decoder: Decoder::new(1 << 20) };
        line.say(Frame::Hello(Box::new(Self::hello(link)))).await?;
        if let Frame::HelloAck(ack) = line.hear().await?
            && !ack.other.is_some()
        {
            line.say(Frame::Ready(Ready { lanes: 0 })).await?;
            self.keep(&mut line).await;
        }
        Some(())
    }

    /// Keeps what comes, until the link breaks.
    async fn keep(&self, line: &mut Line) -> Option<()> {
        loop {
            let frame = line.hear().await?;
            if let Frame::Ping = frame {
                line.say(Frame::Pong).await?;
            }
            let mut record = self.record.lock().unwrap();
            let number = match &frame {
                Frame::Message { data, .. } | Frame::Ask(Ask { data, .. }) => Some(read(data)),
                Frame::Exit(Exit { kind: 1, text, .. }) => text.as_str().parse().ok(),
                Frame::Link(Link { from, .. }) => from.and_then(|from| record.linked.get(&from).copied()),
                _ => None,
            };
            if let (Some(to), Some(number)) = (frame.to(), number) {
                record.came.entry(to).or_default().push(number);
            }
        }
    }

    fn last(&self, to: Pid) -> u64 {
        self.record.lock().unwrap().came.get(&to).and_then(|came| came.last().copied()).unwrap_or(0)
    }
}

struct Line {
    lane: Lane,
    decoder: Decoder,
}

impl Line {
    async fn hear(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return Some(frame);
            }
            self.decoder.feed(self.lane.1.read(1 << 16).await.ok()??);
        }
    }

    async fn say(&mut self, frame: Frame) -> Option<()> {
        let mut batch = Batch::new();
        batch.frame(frame);
        self.lane.0.write(&mut batch.take()).await.ok()
    }
}

fn payload(number: u64) -> Bytes {
    BytesMut::from(&number.to_be_bytes()[..]).freeze()
}

fn read(data: &[u8]) -> u64 {
    u64::from_be_bytes(data.try_into().unwrap())
}

/// Puts `number` behind what was sent, if there is a link to put it into; whether there was.
fn follow(here: &Runtime, far: &Far, proxy: Pid, way: Way, number: u64) -> bool {
    match way {
        Way::Send => here.send(proxy, payload(number)).is_ok(),
        Way::Ask => {
            let refused = Arc::new(AtomicU64::new(0));
            let told = refused.clone();
            here.ask_then(proxy, payload(number), None, move |outcome| {
                if let Err(AskError::NoConnection { .. }) = outcome {
                    told.store(1, Ordering::Relaxed);
                }
            });
            refused.load(Ordering::Relaxed) == 0
        }
        Way::Exit => here.exit(proxy, ExitReason::Other(number.to_string())),
        Way::Link => {
            let near = here.spawn_fn(|_, _| {});
            far.record.lock().unwrap().linked.insert(near, number);
            here.link(near, proxy) && here.is_alive(near)
        }
    }
}

fn run(steps: &[Step]) {
    let network = MemoryNetwork::new();
    let config = NodeConfig { reconnect_first: Duration::from_millis(1), ..NodeConfig::default() };
    let here = start(&network, config);
    let home = listen(&here, "here:0");
    let far = Far { network: network.clone(), record: Arc::default(), links: Arc::default() };
    let io = here.io().clone();
    let listener = io.block_on(MemoryTransport::new(&network).bind(&"far:0".parse().unwrap())).unwrap();
    let addr = listener.local_addr();
    io.spawn(far.clone().serve(listener));
    let pids: Vec<_> = (0..RECEIVERS).map(|index| Pid::new(0x5EED, index).unwrap()).collect();
    let proxies: Vec<_> = pids.iter().map(|pid| io.block_on(here.remote(&addr, *pid)).unwrap()).collect();
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    for Step { to, then, cut, back } in steps.iter().copied() {
        if cut {
            network.cut(&addr);
            network.cut(&home);
        }
        if back {
            io.spawn(far.clone().dial(home.clone()));
        }
        let limit = Instant::now() + Duration::from_millis(300);
        let mut message = next();
        while here.send(proxies[to], payload(message)).is_err() && Instant::now() < limit {
            message = next();
            std::thread::yield_now();
        }
        // The first that is taken is put in as early as can be.
        while far.last(pids[to]) <= message && Instant::now() < limit {
            follow(&here, &far, proxies[to], then, next());
            std::thread::yield_now();
        }
    }
    let record = far.record.lock().unwrap();
    for pid in &pids {
        let came = record.came.get(pid).map_or(&[][..], Vec::as_slice);
        assert!(came.is_sorted_by(|a, b| a < b), "for {pid}: {came:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn g1_g2_nothing_overtakes_what_waits_for_a_connection_that_is_made_anew(steps in vec(step(), 1..20)) {
        run(&steps);
    }
}
