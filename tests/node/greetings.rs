//! How level 2 begins, and what a peer that breaks its rules is told. The peer speaks bare bytes.

use bytes::Bytes;
use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::transport::{self, LaneClass};
use myrmidon::wire::level2::{
    Ask, Credit, Decoder, Frame, Goaway, Hello, HelloAck, Id, Lane, Probe, Ready, Resolve, Resolved, Text16,
};
use myrmidon::wire::{Batch, CloseCode};

use crate::fake::{RawPeer, Running, node, node_with, number, pid, soon};

const LINK: Id = Id([7; 16]);

/// A peer that has been through the probe.
pub(crate) struct Peer {
    pub(crate) raw: RawPeer,
    decoder: Decoder,
}

impl Peer {
    async fn probe(network: &MemoryNetwork, to: &Running, link: Id) -> Self {
        let mut raw = RawPeer::dial(network, &to.addr).await;
        let mut batch = Batch::new();
        batch.resolve(&Probe { link }.name());
        raw.say_batch(&mut batch).await;
        assert_eq!(raw.hear(8).await, [0xFF, 0xFF, 0x4D, 0x32, 0, 2, 0, 0]);
        Self { raw, decoder: Decoder::new(1 << 20) }
    }

    /// A peer whose link is up, without message lanes.
    pub(crate) async fn up(network: &MemoryNetwork, to: &Running) -> Self {
        Self::up_with(network, to, hello(0)).await
    }

    /// The same, with this HELLO.
    pub(crate) async fn up_with(network: &MemoryNetwork, to: &Running, hello: Hello) -> Self {
        let (mut peer, _) = Self::greet(network, to, hello).await;
        peer.say([Frame::Ready(Ready { lanes: 0 })]).await;
        peer
    }

    /// A peer whose link is up, with a lane for large payloads; its further frames go there by `Lane`.
    pub(crate) async fn up_with_bulk(network: &MemoryNetwork, to: &Running) -> (Self, transport::Lane) {
        let mut peer = Self::probe(network, to, LINK).await;
        peer.say([Frame::Hello(Box::new(Hello { bulk_slots: 2, ..hello(0) }))]).await;
        let key = peer.ack().await.key;
        let (mut sender, mut receiver) = peer.raw.connection.open_lane(LaneClass::Bulk).await.unwrap();
        let lane = Frame::Lane(Lane { kind: 2, number: 0, link: LINK, key });
        sender.write(&mut [encoded(lane).into()]).await.unwrap();
        soon(receiver.read(100)).await.unwrap().expect("LANE_OK");
        peer.say([Frame::Ready(Ready { lanes: 0 })]).await;
        (peer, (sender, receiver))
    }

    /// A peer whose HELLO was answered, with the other link that the answer names.
    async fn greet(network: &MemoryNetwork, to: &Running, hello: Hello) -> (Self, Id) {
        let mut peer = Self::probe(network, to, hello.link).await;
        peer.say([Frame::Hello(Box::new(hello))]).await;
        let other = peer.ack().await.other;
        (peer, other)
    }

    pub(crate) async fn say(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let mut batch = Batch::new();
        frames.into_iter().for_each(|frame| batch.frame(frame));
        self.raw.say_batch(&mut batch).await;
    }

    pub(crate) async fn hear(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.decoder.next_frame().unwrap() {
                return frame;
            }
            let bytes = soon(self.raw.lane.1.read(1 << 16)).await.unwrap();
            self.decoder.feed(bytes.expect("the lane ended early"));
        }
    }

    async fn ack(&mut self) -> HelloAck {
        match self.hear().await {
            Frame::HelloAck(ack) => *ack,
            other => panic!("{other:?}"),
        }
    }

    /// The next frame but pings and CREDIT.
    pub(crate) async fn answer(&mut self) -> Frame {
        loop {
            match self.hear().await {
                Frame::Ping | Frame::Credit(_) => {}
                frame => return frame,
            }
        }
    }

    /// The code with which the node ends the link.
    pub(crate) async fn code(&mut self) -> u16 {
        match self.answer().await {
            Frame::Goaway(Goaway { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn hello(lanes: u8) -> Hello {
    Hello { node: Id([9; 16]), link: LINK, lanes, ..Hello::default() }
}

pub(crate) fn message(index: u32, n: usize) -> Frame {
    Frame::Message { to: Some(pid(index)), data: number(n) }
}

#[tokio::test(start_paused = true)]
async fn after_a_probe_a_peer_may_go_on_at_level_1() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.register("database", pid(7));
    let mut peer = Peer::probe(&network, &a, LINK).await.raw;
    let mut batch = Batch::new();
    batch.message(Some(pid(1)), number(1));
    batch.resolve("database");
    batch.ping();
    peer.say_batch(&mut batch).await;
    assert_eq!(peer.hear(9).await, [&pid(7).as_u64().to_be_bytes()[..], &[3]].concat());
    peer.say(&[0x10][..]).await;
    peer.hear_end().await;
    assert_eq!(a.runtime.received(), [(pid(1), number(1))]);
}

#[tokio::test(start_paused = true)]
async fn a_link_carries_typed_frames_however_they_are_split() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.register("database", pid(7));
    let mut frames = Batch::new();
    let question =
        |rid, name: &str| Frame::Resolve(Resolve { rid, from: Some(pid(2)), name: Text16::from(name) });
    for frame in [message(1, 1), question(5, "database"), Frame::Ping, question(6, "nobody"), message(1, 2)] {
        frames.frame(frame);
    }
    let bytes: Bytes = frames.take().concat().into();
    for size in [1, 2, 3, 7, 20, bytes.len()] {
        let before = a.runtime.received().len();
        let mut peer = Peer::up(&network, &a).await;
        for piece in bytes.chunks(size) {
            peer.raw.say(Bytes::copy_from_slice(piece)).await;
        }
        let mut answers = vec![peer.answer().await, peer.answer().await, peer.answer().await];
        answers.retain(|frame| *frame != Frame::Pong);
        let Frame::Resolved(Resolved { incarnation, .. }) = answers[0] else { panic!("{answers:?}") };
        let resolved =
            |rid, pid| Frame::Resolved(Resolved { rid, to: Some(crate::fake::pid(2)), pid, incarnation });
        assert_eq!(answers, [resolved(5, Some(pid(7))), resolved(6, None)], "in pieces of {size}");
        let received = a.runtime.wait_for(before + 2).await;
        assert_eq!(received[before..], [(pid(1), number(1)), (pid(1), number(2))]);
        drop(peer);
    }
}

#[tokio::test(start_paused = true)]
async fn no_frame_of_an_actor_is_taken_before_ready() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::probe(&network, &a, LINK).await;
    peer.say([Frame::Hello(Box::new(hello(0)))]).await;
    let ack = peer.ack().await;
    assert_eq!((ack.hello.link, ack.hello.lanes, ack.hello.vmax, ack.other), (LINK, 0, 2, Id::NONE));
    peer.say([message(1, 1)]).await;
    assert_eq!(peer.code().await, CloseCode::Malformed.as_u16());
    assert!(a.runtime.received().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_greeting_that_is_wrong_is_refused_with_its_code() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let newer = Hello { vmin: 3, vmax: 9, ..hello(0) };
    let other_link = Hello { link: Id([8; 16]), ..hello(0) };
    let nobody = Hello { node: Id::NONE, ..hello(0) };
    for (hello, code) in
        [(newer, CloseCode::Version), (other_link, CloseCode::Malformed), (nobody, CloseCode::Malformed)]
    {
        let mut peer = Peer::probe(&network, &a, LINK).await;
        peer.say([Frame::Hello(Box::new(hello))]).await;
        assert_eq!(peer.code().await, code.as_u16());
    }
}

#[tokio::test(start_paused = true)]
async fn l04_a_peer_that_does_not_end_its_greeting_is_given_up() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut silent = Peer::probe(&network, &a, LINK).await;
    silent.say([Frame::Hello(Box::new(hello(0)))]).await;
    silent.ack().await;
    assert_eq!(silent.code().await, CloseCode::Timeout.as_u16());
}

#[tokio::test(start_paused = true)]
async fn l01_a_greeting_beyond_4_kib_is_refused_before_it_has_come() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::probe(&network, &a, LINK).await;
    peer.raw.say(&[0x10, 0, 0, 0, 0x10, 1, 0, 0][..]).await;
    assert_eq!(peer.code().await, CloseCode::TooLarge.as_u16());
}

#[tokio::test(start_paused = true)]
async fn what_breaks_the_rules_of_a_link_ends_it_with_its_code() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { credit_messages: 10, ..NodeConfig::default() };
    let a = node_with(&network, config).await;
    let ask = Ask { rid: 1, to: Some(pid(1)), from: None, left_ms: 1, data: Bytes::new() };
    let lane = Lane { kind: 1, number: 1, link: LINK, key: LINK };
    let cases: [(Vec<u8>, CloseCode); 6] = [
        (vec![1, 0, 0, 0, 0], CloseCode::Malformed),
        (vec![0x50, 0, 0, 0, 0, 2, 0, 0], CloseCode::UnknownType),
        (encoded(Frame::Lane(lane)), CloseCode::Malformed),
        (encoded(Frame::Ask(ask)), CloseCode::UnknownType),
        (vec![0x18, 0, 0xFF, 0xFF, 0xFF, 0xFF], CloseCode::TooLarge),
        ((0..11).flat_map(|n| encoded(message(1, n))).collect(), CloseCode::CreditViolated),
    ];
    for (bytes, code) in cases {
        let mut peer = Peer::up(&network, &a).await;
        peer.raw.say(bytes).await;
        assert_eq!(peer.code().await, code.as_u16(), "{code:?}");
    }
}

/// Frames in any order, before and after READY, some of them damaged: the node ends the link or goes on, and
/// serves others all the while.
#[tokio::test(start_paused = true)]
async fn whatever_a_peer_says_harms_nobody_else() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    a.runtime.register("database", pid(7));
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../interop-tests/vectors/level2.json")).unwrap();
    let frames: Vec<Vec<u8>> = ["frames", "refused", "skipped"]
        .iter()
        .flat_map(|section| vectors[section].as_array().unwrap())
        .map(|vector| {
            let hex = vector["hex"].as_str().unwrap();
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        })
        .collect();
    let mut random = 1u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    for round in 0..300 {
        let hello = Hello {
            node: Id([1 + (round % 200) as u8; 16]),
            link: Id([100 + (round % 100) as u8; 16]),
            ..hello(0)
        };
        let mut peer = match round % 3 {
            0 => Peer::probe(&network, &a, hello.link).await,
            1 => Peer::greet(&network, &a, hello).await.0,
            _ => {
                let mut peer = Peer::greet(&network, &a, hello).await.0;
                peer.say([Frame::Ready(Ready { lanes: 0 })]).await;
                peer
            }
        };
        for _ in 0..next() % 12 {
            let mut bytes = frames[next() % frames.len()].clone();
            if next() % 4 == 0 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            if soon(peer.raw.lane.0.write(&mut [bytes.into()])).await.is_err() {
                break;
            }
        }
        drop(peer);
        let mut good = RawPeer::dial(&network, &a.addr).await;
        let mut batch = Batch::new();
        batch.resolve("database");
        good.say_batch(&mut batch).await;
        assert_eq!(good.hear(8).await, pid(7).as_u64().to_be_bytes(), "in round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn l25_a_peer_that_says_nothing_any_more_is_told_that_it_is_unresponsive() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::up(&network, &a).await;
    let began = tokio::time::Instant::now();
    assert_eq!(peer.code().await, CloseCode::Unresponsive.as_u16());
    let after = began.elapsed().as_secs_f64();
    assert!((5.0..6.0).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn l17_a_peer_that_asks_for_minutes_in_advance_is_cut_off_as_overload() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::up(&network, &a).await;
    let lane = &mut peer.raw.lane;
    let mut pings = [Bytes::from(vec![2; 200_000])];
    let read = async {
        loop {
            if let Some(Frame::Goaway(Goaway { code, .. })) = peer.decoder.next_frame().unwrap() {
                return code;
            }
            if !peer.decoder.mid_frame() {
                peer.decoder.feed(lane.1.read(1 << 16).await.unwrap().expect("a code first"));
            }
        }
    };
    let code = tokio::select! {
        code = soon(read) => code,
        _ = async {
            // The rest is not taken any more.
            let _ = lane.0.write(&mut pings).await;
            std::future::pending::<()>().await
        } => unreachable!(),
    };
    assert_eq!(code, CloseCode::Overloaded.as_u16());
}

#[tokio::test(start_paused = true)]
async fn l17_what_comes_behind_questions_that_wait_takes_effect_at_once() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::up(&network, &a).await;
    let began = tokio::time::Instant::now();
    let questions = std::iter::repeat_n(Frame::Ping, 6000);
    peer.say(questions.chain([Frame::Message { to: Some(pid(1)), data: number(1) }])).await;
    a.runtime.wait_for(1).await;
    assert!(began.elapsed().as_millis() < 1000, "{:?}", began.elapsed());
    for _ in 0..6000 {
        assert!(matches!(peer.hear().await, Frame::Pong | Frame::Credit(_) | Frame::Ping));
    }
    assert!(began.elapsed().as_secs() >= 3, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn l13_what_all_queues_hold_is_bounded_and_what_is_written_makes_room_again() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { queue_bytes: 100_000, ..NodeConfig::default() };
    let a = node_with(&network, config).await;
    // Two peers that take nothing: dials to them wait.
    let (first, second) = (crate::fake::listen(&network).await, crate::fake::listen(&network).await);
    a.node.try_send(&first.1, pid(1), Bytes::from(vec![0; 60_000])).unwrap();
    assert!(!a.node.is_overloaded());
    a.node.try_send(&second.1, pid(1), Bytes::from(vec![0; 60_000])).unwrap();
    assert!(a.node.is_overloaded());
    for addr in [&first.1, &second.1] {
        let refused = a.node.try_send(addr, pid(1), Bytes::from_static(b"x")).unwrap_err();
        assert!(matches!(refused, myrmidon::node::RemoteSendError::Busy { .. }), "{refused}");
    }
    // Nobody greets: both are given up, and what waited for them is gone.
    crate::fake::eventually("there is room again", async || !a.node.is_overloaded()).await;
}

#[tokio::test(start_paused = true)]
async fn l11_credit_comes_back_as_messages_reach_their_mailboxes() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { credit_messages: 10, credit_bytes: 1000, ..NodeConfig::default() };
    let a = node_with(&network, config).await;
    let mut peer = Peer::up(&network, &a).await;
    for round in 1..=20u64 {
        peer.say((0..5).map(|n| message(1, n))).await;
        loop {
            if let Frame::Credit(credit) = peer.hear().await {
                let expected = Credit { msgs: 5 * round + 10, bytes: 40 * round + 1000, received: 5 * round };
                assert_eq!(credit, expected);
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_joins_only_with_the_key_of_its_link_and_once() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut peer = Peer::probe(&network, &a, LINK).await;
    peer.say([Frame::Hello(Box::new(hello(2)))]).await;
    let key = peer.ack().await.key;
    assert!(key.is_some());
    let lane = |number, link, key| Frame::Lane(Lane { kind: 1, number, link, key });
    let bad = [lane(1, LINK, LINK), lane(1, Id([1; 16]), key), lane(3, LINK, key), lane(0, LINK, key)];
    for frame in bad {
        // On a connection of its own, since breaking a rule ends the whole connection.
        assert_ne!(refused_lane(&network, &a, frame).await, 0);
    }
    let (mut sender, mut receiver) = peer.raw.connection.open_lane(LaneClass::Message).await.unwrap();
    sender.write(&mut [encoded(lane(1, LINK, key)).into()]).await.unwrap();
    let answer = soon(receiver.read(100)).await.unwrap().unwrap();
    assert_eq!(answer[..], [0x14, 0, 0, 0, 0, 4, 0, 2, 1, 1]);
    let again = refused_lane(&network, &a, lane(1, LINK, key)).await;
    assert_eq!(again, CloseCode::Malformed.as_u16());
}

#[tokio::test(start_paused = true)]
async fn a_second_link_with_a_node_is_refused_while_the_first_one_answers() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut old = Peer::up(&network, &a).await;
    let (mut new, other) = Peer::greet(&network, &a, Hello { link: Id([8; 16]), ..hello(0) }).await;
    assert_eq!(other, LINK);
    new.say([Frame::Ready(Ready { lanes: 0 }), message(1, 2)]).await;
    // The clock's own ping, and the one that decides.
    for _ in 0..2 {
        assert_eq!(old.hear().await, Frame::Ping);
        old.say([Frame::Pong]).await;
    }
    assert_eq!(new.code().await, CloseCode::Duplicate.as_u16());
    old.say([message(1, 1)]).await;
    assert_eq!(a.runtime.wait_for(1).await, [(pid(1), number(1))]);
}

#[tokio::test(start_paused = true)]
async fn f03_a_link_that_does_not_answer_gives_way_to_a_new_one() {
    let network = MemoryNetwork::new();
    let a = node(&network).await;
    let mut old = Peer::up(&network, &a).await;
    old.say([message(1, 1)]).await;
    a.runtime.wait_for(1).await;
    let life = Hello { link: Id([8; 16]), incarnation: 2, ..hello(0) };
    let (mut new, _) = Peer::greet(&network, &a, life).await;
    new.say([Frame::Ready(Ready { lanes: 0 }), message(1, 2)]).await;
    assert_eq!(a.runtime.wait_for(2).await[1], (pid(1), number(2)));
    assert_eq!(old.code().await, CloseCode::Duplicate.as_u16());
    // The earlier life is over for good.
    let mut stale = Peer::probe(&network, &a, Id([6; 16])).await;
    stale.say([Frame::Hello(Box::new(Hello { link: Id([6; 16]), ..hello(0) }))]).await;
    assert_eq!(stale.code().await, CloseCode::StaleIncarnation.as_u16());
}

/// The code with which a lane that begins with `frame` is refused.
async fn refused_lane(network: &MemoryNetwork, to: &Running, frame: Frame) -> u16 {
    let mut raw = RawPeer::dial(network, &to.addr).await;
    raw.say(encoded(frame)).await;
    Peer { raw, decoder: Decoder::new(1000) }.code().await
}

pub(crate) fn encoded(frame: Frame) -> Vec<u8> {
    let mut batch = Batch::new();
    batch.frame(frame);
    batch.take().concat()
}
