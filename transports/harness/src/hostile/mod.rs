//! Peers that have the confidence of a node and abuse it: each is cut off or refused, what it makes the node hold
//! keeps to its bound, and another peer notices nothing.

mod intruder;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::{AsyncActor, Context, Flow, NodeState, SpawnOptions};
use myrmidon::config::{NodeConfig, RuntimeConfig};
use myrmidon::transport::{LaneClass, NodeAddr, Transport, TransportError};
use myrmidon::wire::CloseCode;
use myrmidon::wire::level2::{Ask, Frame, HELLO, Link, Monitor, Ready, Resolve, Text16, Unlink};
use myrmidon::{Pid, Runtime};

use crate::within;
use intruder::{Intruder, stranger};

/// An ordinary answer, also on a machine with other work.
const ANSWER: Duration = Duration::from_secs(20);

/// A node, one that abuses its confidence, and one that does not.
pub struct Hostile {
    /// Those of the node that is attacked, of its attacker and of the other peer, each with an identity of its own where
    /// they have one.
    pub transports: [Arc<dyn Transport>; 3],
    /// An address with port 0 that they can bind.
    pub bind: NodeAddr,
}

/// Turns every attack into a test. The expression makes the [`Hostile`] arrangement.
#[macro_export]
macro_rules! hostile {
    ($hostile:expr) => {
        $crate::hostile!($hostile; l11_who_sends_beyond_its_credit_is_cut_off,
            l12_who_ignores_that_an_actor_is_to_be_spared_is_cut_off,
            l09_who_reads_nothing_of_what_it_makes_a_node_say_is_cut_off,
            l10_questions_beyond_the_bound_are_refused_and_the_others_stay,
            l17_questions_beyond_the_rate_hold_up_nothing_that_comes_behind_them,
            l20_the_actors_that_a_peer_speaks_of_are_bounded,
            l25_who_says_nothing_any_more_is_told_that_it_is_unresponsive,
            f25_what_breaks_the_rules_ends_the_link_with_its_code);
    };
    ($hostile:expr; $($attack:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $attack() {
                $hostile.$attack().await;
            }
        )+
    };
}

impl Hostile {
    /// Messages that no credit covers (L11).
    ///
    /// # Panics
    /// As all attacks: when the intruder is not cut off or refused, when a bound does not hold, or the other peer is harmed.
    pub async fn l11_who_sends_beyond_its_credit_is_cut_off(&self) {
        let scene = self.begin(NodeConfig { credit_messages: 50, ..NodeConfig::default() }).await;
        let to = Some(scene.held());
        let intruder = scene.intruder().await;
        let (code, reason) = intruder.flood(|_| Frame::Message { to, data: Bytes::new() }).await;
        assert_eq!(code, CloseCode::CreditViolated.as_u16(), "{reason}");
        scene.end().await;
    }

    /// Messages to an actor that does not handle them, on and on (L12).
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off).
    pub async fn l12_who_ignores_that_an_actor_is_to_be_spared_is_cut_off(&self) {
        const PIECE: usize = 500;
        let config = NodeConfig { credit_messages: 1000, actor_messages: 1000, ..NodeConfig::default() };
        let scene = self.begin(config).await;
        let held = scene.held();
        let mut intruder = scene.intruder().await;
        // Never more than a window before the next credit, so that only XOFF is ignored.
        let mut said: usize = 0;
        let (code, reason) = loop {
            intruder.say((0..PIECE).map(|_| Frame::Message { to: Some(held), data: Bytes::new() })).await;
            said += PIECE;
            let goodbye = loop {
                match intruder.hear().await {
                    Frame::Credit(_) => break None,
                    Frame::Goaway(goodbye) => break Some(goodbye),
                    _ => {}
                }
            };
            if let Some(goodbye) = goodbye {
                break (goodbye.code, goodbye.reason.as_str().to_owned());
            }
        };
        assert_eq!(code, CloseCode::CreditViolated.as_u16(), "{reason}");
        assert!(reason.contains("asked to spare"), "{reason}");
        // What came in one read with the message that was too much, or with the one that brought the wish, is taken.
        let most = 1000 + 2 * 1000 + 65_536 + 2 * PIECE;
        let queued = scene.node.mailbox_size(held).expect("it waits");
        assert!(said <= most && queued <= said, "{said} were said, and {queued} are in the mailbox");
        scene.end().await;
    }

    /// What has to be answered, and no look at the answers (L09).
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off).
    pub async fn l09_who_reads_nothing_of_what_it_makes_a_node_say_is_cut_off(&self) {
        let scene = self.begin(NodeConfig { outbound_bytes: 1 << 20, ..NodeConfig::default() }).await;
        let attack = |id| Frame::Unlink(Unlink { id, to: Some(stranger(id)), from: Some(stranger(id)) });
        scene.intruder().await.flood_unread(attack).await;
        scene.has_lost_it("it does not read what it is told").await;
        scene.end().await;
    }

    /// Questions that an actor keeps unanswered.
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off).
    pub async fn l10_questions_beyond_the_bound_are_refused_and_the_others_stay(&self) {
        const MOST: u64 = 131_072;
        const PIECE: u64 = 4096;
        let credit = NodeConfig { credit_messages: 2 * PIECE as u32, ..NodeConfig::default() };
        let scene = self.begin(credit).await;
        let mut intruder = scene.intruder().await;
        let ask = |rid| {
            let (to, from) = (Some(scene.keeper), Some(stranger(1)));
            Frame::Ask(Ask { rid, to, from, left_ms: u32::MAX, data: Bytes::new() })
        };
        // A piece brings its CREDIT, and is answered for by then; whom to spare is spared.
        let mut next = 1;
        let refused = 'refused: loop {
            intruder.say((next..next + PIECE).map(ask)).await;
            next += PIECE;
            let (mut credit, mut spare) = (false, false);
            while !credit || spare {
                match intruder.hear().await {
                    Frame::Credit(_) => credit = true,
                    Frame::Xoff(_) => spare = true,
                    Frame::Xon(_) => spare = false,
                    Frame::Error(error) => break 'refused error,
                    other => panic!("{other:?}"),
                }
            }
        };
        assert_eq!(refused.rid, MOST + 1, "{}", refused.text.as_str());
        // The end of the link is the end of its questions.
        drop(intruder);
        scene.end().await;
    }

    /// Resolves beyond the rate at which they are answered, and a question to an actor behind them (L17).
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off).
    pub async fn l17_questions_beyond_the_rate_hold_up_nothing_that_comes_behind_them(&self) {
        const RESOLVES: u64 = 6000;
        let scene = self.begin(NodeConfig::default()).await;
        let mut intruder = scene.intruder().await;
        let name = Text16::from("echo");
        let resolve = |rid| Frame::Resolve(Resolve { rid, from: None, name: name.clone() });
        let (to, from, data) = (Some(scene.echo), Some(stranger(1)), Bytes::from_static(b"x"));
        let ask = Frame::Ask(Ask { rid: 1, to, from, left_ms: u32::MAX, data });
        intruder.say((1..=RESOLVES).map(resolve).chain([ask])).await;
        let (mut resolved, mut before) = (0, None);
        while resolved < RESOLVES || before.is_none() {
            match intruder.hear().await {
                Frame::Resolved(_) => resolved += 1,
                Frame::Reply(_) => before = Some(resolved),
                Frame::Credit(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(before.is_some_and(|before| before < RESOLVES), "the answer waits for all of them");
        scene.end().await;
    }

    /// Silence after a proper greeting (L25).
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off).
    pub async fn l25_who_says_nothing_any_more_is_told_that_it_is_unresponsive(&self) {
        let (heartbeat, down_after) = (Duration::from_millis(100), Duration::from_secs(2));
        let scene = self.begin(NodeConfig { heartbeat, down_after, ..NodeConfig::default() }).await;
        let mut intruder = scene.intruder().await;
        match intruder.hear().await {
            Frame::Goaway(goodbye) => {
                let reason = goodbye.reason.as_str();
                assert_eq!(goodbye.code, CloseCode::Unresponsive.as_u16(), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        scene.end().await;
    }

    /// Links of more and more actors: one peer may have a quarter of all that are known here.
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off).
    pub async fn l20_the_actors_that_a_peer_speaks_of_are_bounded(&self) {
        let scene = self.begin(NodeConfig { max_proxies: 400, ..NodeConfig::default() }).await;
        let mut intruder = scene.intruder().await;
        let near = Some(scene.held());
        intruder.say((0..101).map(|n| Frame::Link(Link { to: near, from: Some(stranger(n)) }))).await;
        let refused = loop {
            match intruder.hear().await {
                Frame::Exit(exit) => break exit,
                Frame::Monitor(_) | Frame::Credit(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(refused.to, Some(stranger(100)), "{}", refused.text.as_str());
        assert!(
            refused.text.as_str().contains("too many actors of other nodes"),
            "{}",
            refused.text.as_str()
        );
        scene.end().await;
    }

    /// Frames that break the rules, after a proper greeting.
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off).
    pub async fn f25_what_breaks_the_rules_ends_the_link_with_its_code(&self) {
        let scene = self.begin(NodeConfig::default()).await;
        let overlong = Text16::from("x".repeat(300).as_str());
        let monitor =
            |id| Frame::Monitor(Monitor { id, to: None, from: Some(stranger(1)), name: overlong.clone() });
        let ready = |_| Frame::Ready(Ready { lanes: 0 });
        let attacks: [(CloseCode, &dyn Fn(u64) -> Frame); 2] =
            [(CloseCode::TooLarge, &monitor), (CloseCode::Malformed, &ready)];
        for (expected, attack) in attacks {
            let (code, reason) = scene.intruder().await.flood(attack).await;
            assert_eq!(code, expected.as_u16(), "{reason}");
        }
        scene.end().await;
    }

    /// More and more connections of one node that proves who it is: it has an eighth (L07).
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off), and where the transport proves nothing.
    pub async fn l07_one_node_has_an_eighth_of_the_connections(&self) {
        // Whoever is let in is given more time to greet than this waits for its refusal.
        let connect_timeout = Duration::from_secs(300);
        let scene =
            self.begin(NodeConfig { max_connections: 256, connect_timeout, ..NodeConfig::default() }).await;
        let mut open = Vec::new();
        let refused = loop {
            let connection =
                within("connect", self.transports[1].connect(&scene.addr)).await.expect("a connection");
            let mut lane = within("a lane", connection.open_lane(LaneClass::Control)).await.expect("a lane");
            // A greeting begins, and goes no further.
            match within("a word", lane.0.write(&mut [Bytes::from_static(&[HELLO])])).await {
                Ok(()) => {}
                Err(error) => break error,
            }
            if open.len() == 32 {
                match within("a refusal", lane.1.read(1)).await {
                    Ok(answer) => panic!("{answer:?}"),
                    Err(error) => break error,
                }
            }
            let quiet = tokio::time::timeout(Duration::from_millis(50), lane.1.read(1)).await;
            match quiet {
                Err(_) => open.push((connection, lane)),
                Ok(Ok(answer)) => panic!("{answer:?}"),
                Ok(Err(error)) => break error,
            }
        };
        // Where each lane is a connection it just ends.
        if let TransportError::ClosedByPeer { code, reason } = refused {
            assert_eq!(code, u64::from(CloseCode::Overloaded.as_u16()), "{reason}");
        }
        assert_eq!(open.len(), 32, "the eighth of 256");
        scene.end().await;
    }

    /// Lanes that are opened and reset, again and again (L16).
    ///
    /// # Panics
    /// As [above](Self::l11_who_sends_beyond_its_credit_is_cut_off), and where each lane is a connection of its own.
    pub async fn l16_who_resets_lane_after_lane_is_cut_off(&self) {
        let scene = self.begin(NodeConfig::default()).await;
        let connection =
            within("connect", self.transports[1].connect(&scene.addr)).await.expect("it is let in");
        let mut resets = 0;
        let end = within("the end of a flood", async {
            loop {
                match connection.open_lane(LaneClass::Message).await {
                    Ok((mut sender, _)) => sender.reset(CloseCode::Normal),
                    Err(end) => break end,
                }
                resets += 1;
            }
        });
        let TransportError::ClosedByPeer { code, reason } = end.await else { panic!("it is cut off") };
        assert_eq!(code, u64::from(CloseCode::ResetFlood.as_u16()), "{reason}");
        assert!(resets > 256, "{resets} may be reset");
        scene.end().await;
    }

    async fn begin(&self, config: NodeConfig) -> Scene {
        let [node, intruder, other] = &self.transports;
        let [node, other] = [(node, config), (other, NodeConfig::default())].map(|(transport, node)| {
            let config = RuntimeConfig { workers: 1, node, ..RuntimeConfig::default() };
            Runtime::builder().config(config).transport(transport.clone()).start().expect("a runtime")
        });
        let bound = node.node().listen(&self.bind).await.expect("a free port");
        let addr = match self.transports[0].identity() {
            Some(identity) => format!("{}@{bound}", identity.node).parse().expect("an address"),
            None => bound,
        };
        let echo = node.spawn_fn(|message: Bytes, cx: &mut Context<'_>| {
            if let Some(reply) = cx.take_reply() {
                reply.send(message.into());
            }
        });
        node.names().register("echo", echo).expect("a free name");
        let kept = Mutex::new(Vec::new());
        let keeper = node.spawn_fn(move |_: Bytes, cx: &mut Context<'_>| {
            kept.lock().expect("no panic").extend(cx.take_reply());
        });
        let far = other.remote(&addr, "echo").await.expect("the other peer is let in");
        let (quiet, asking) = (Arc::new(AtomicBool::new(false)), other.clone());
        let over = quiet.clone();
        let neighbour = std::thread::spawn(move || {
            let mut answers = 0u64;
            while answers == 0 || !over.load(Ordering::Relaxed) {
                let number = answers.to_string();
                let answer = asking.ask_blocking(far, number.clone(), ANSWER).expect("an answer in time");
                assert_eq!(answer.into_bytes().expect("bytes"), number);
                answers += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Scene { node, addr, intruder: intruder.clone(), echo, keeper, other, quiet, neighbour }
    }
}

/// The node, and the other peer that asks it all the time.
struct Scene {
    node: Runtime,
    addr: NodeAddr,
    intruder: Arc<dyn Transport>,
    /// An actor that answers.
    echo: Pid,
    /// An actor that answers nobody, and forgets no question.
    keeper: Pid,
    other: Runtime,
    quiet: Arc<AtomicBool>,
    neighbour: std::thread::JoinHandle<()>,
}

impl Scene {
    async fn intruder(&self) -> Intruder {
        Intruder::enter(&self.intruder, &self.addr).await
    }

    /// An actor that is never through with its first message.
    fn held(&self) -> Pid {
        struct Held;
        impl AsyncActor for Held {
            type Msg = Bytes;
            async fn handle(&mut self, _: Bytes, _: Pid) -> Flow {
                std::future::pending().await
            }
        }
        self.node.spawn_async(Held, SpawnOptions::default()).pid()
    }

    async fn has_lost_it(&self, because: &str) {
        let lost = async || {
            let nodes = self.node.node().nodes();
            nodes
                .iter()
                .any(|node| matches!(&node.state, NodeState::Unreachable(why) if why.contains(because)))
        };
        within(because, async {
            while !lost().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// The other peer has had all its answers, by its first link.
    async fn end(self) {
        self.quiet.store(true, Ordering::Relaxed);
        let answers = tokio::task::spawn_blocking(|| self.neighbour.join()).await.expect("it is waited for");
        answers.expect("it got all its answers");
        let lost = self.other.node().nodes().iter().filter(|node| node.state != NodeState::Up).count();
        assert_eq!(lost, 0, "the other peer is connected all the time");
        tokio::task::spawn_blocking(move || drop((self.node, self.other))).await.expect("both end");
    }
}
