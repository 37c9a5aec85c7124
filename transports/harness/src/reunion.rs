//! Two whole runtimes: what their actors ask each other, what becomes of it when the connection breaks or one of them
//! starts anew, and how they find each other again.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::actor::{AskError, Context};
use myrmidon::config::{NodeConfig, RuntimeConfig};
use myrmidon::node::ResolveError;
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon::{Pid, Runtime};
use tokio::task::{JoinSet, spawn_blocking};

use crate::{Faults, Faulty, within};

/// An answer, also on a machine with other work.
const ANSWER: Duration = Duration::from_secs(20);

/// Two nodes, of which the second lives twice.
pub struct Reunion {
    /// Those of the first node, of the second, and of the second in its next life. The first has an identity of its own
    /// where they have one, and so have the others together.
    pub transports: [Arc<dyn Transport>; 3],
    /// An address with port 0 that they can bind.
    pub bind: NodeAddr,
}

/// Turns every property into a test. The expression makes the [`Reunion`].
#[macro_export]
macro_rules! reunion {
    ($reunion:expr) => {
        $crate::reunion!($reunion; g5_who_asks_again_when_a_link_breaks_meets_no_link_that_is_over,
            a_proxy_from_a_reference_over_a_living_link_finds_back_when_that_breaks,
            l17_names_that_are_followed_in_large_numbers_are_all_found_after_a_restart,
            g5_a_question_with_very_little_time_is_answered_or_times_out,
            l19_unanswered_resolves_at_a_peer_are_bounded);
    };
    ($reunion:expr; $($property:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $reunion.$property().await;
            }
        )+
    };
}

impl Reunion {
    /// A question whose link breaks, and at once another one.
    ///
    /// # Panics
    /// As all of these: when it is not as the name says.
    pub async fn g5_who_asks_again_when_a_link_breaks_meets_no_link_that_is_over(&self) {
        let scene = self.begin(NodeConfig::default(), Faults::default()).await;
        for _ in 0..20 {
            let proxy = scene.reach("keeper").await;
            let (again, (tell, told)) = (scene.here.clone(), sync_channel(1));
            scene.here.ask_then(proxy, "x", None, move |first| {
                assert!(matches!(first, Err(AskError::NoConnection { .. })), "{:?}", first.map(drop));
                again.ask_then(proxy, "y", None, move |second| tell.send(second.map(drop)).unwrap_or(()));
            });
            assert!(scene.faulty.cut_now() > 0);
            match next(told).await {
                Err(AskError::NoConnection { reason, .. }) => {
                    assert!(!reason.contains("the link is ending"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
        }
        scene.end().await;
    }

    /// An actor of a node that has dialled, known by its reference only.
    ///
    /// # Panics
    /// As [above](Self::g5_who_asks_again_when_a_link_breaks_meets_no_link_that_is_over).
    pub async fn a_proxy_from_a_reference_over_a_living_link_finds_back_when_that_breaks(&self) {
        let scene = self.begin(NodeConfig::default(), Faults::default()).await;
        let home = scene.here.node().listen(&self.bind).await.expect("a free port");
        scene.reach("echo").await;
        let reference = scene.here.reference(echo(&scene.here));
        let there = scene.there.clone();
        let proxy = there.remote_by_reference(&reference).await.expect("it is reached");
        assert_eq!(ask(&there, proxy, ANSWER).await, Ok(()));
        until("the way is known", || {
            let peers = there.node().peers();
            peers.iter().any(|peer| peer.addr.port() == home.port() && peer.connected)
        })
        .await;
        assert!(scene.faulty.cut_now() > 0);
        within("it is reached again", async { while ask(&there, proxy, ANSWER).await.is_err() {} }).await;
        drop(there);
        scene.end().await;
    }

    /// More names than resolves may be unanswered, all of them lost and found together.
    ///
    /// # Panics
    /// As [above](Self::g5_who_asks_again_when_a_link_breaks_meets_no_link_that_is_over).
    pub async fn l17_names_that_are_followed_in_large_numbers_are_all_found_after_a_restart(&self) {
        const NAMES: usize = 2500;
        let patience = NodeConfig { request_timeout: Duration::from_secs(1), ..NodeConfig::default() };
        let scene = self.begin(patience, Faults::default()).await;
        let (tell, told) = sync_channel(NAMES);
        let serve = |rt: &Runtime| {
            for n in 0..NAMES {
                let tell = tell.clone();
                let pid = rt.spawn_fn(move |message: Bytes, _: &mut Context<'_>| {
                    tell.send(message).expect("the test goes on");
                });
                rt.names().register(&format!("n{n}"), pid).expect("a free name");
            }
        };
        serve(&scene.there);
        let mut proxies = Vec::new();
        for n in 0..NAMES {
            let found = within("a name", scene.here.follow(&scene.addr, &format!("n{n}"))).await;
            proxies.push(found.expect("it is there"));
        }
        let bound = scene.bound.clone();
        let (here, faulty, there) = (scene.here, scene.faulty, scene.there);
        assert!(faulty.cut_now() > 0);
        gone(there).await;
        let there = start(self.transports[2].clone(), NodeConfig::default());
        serve(&there);
        within("the address", async {
            while there.node().listen(&bound).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        for (n, proxy) in proxies.iter().enumerate() {
            here.send(*proxy, n.to_string()).expect("it waits, or goes");
        }
        let mut came: Vec<usize> = spawn_blocking(move || {
            let number = |_| {
                let message = told.recv_timeout(3 * ANSWER).expect("a message in time");
                String::from_utf8_lossy(&message).parse().expect("a number")
            };
            (0..NAMES).map(number).collect()
        })
        .await
        .expect("all messages");
        came.sort_unstable();
        assert!(came.into_iter().eq(0..NAMES));
        gone(here).await;
        gone(there).await;
    }

    /// Questions whose time is over before they are written, while they travel, or never.
    ///
    /// # Panics
    /// As [above](Self::g5_who_asks_again_when_a_link_breaks_meets_no_link_that_is_over).
    pub async fn g5_a_question_with_very_little_time_is_answered_or_times_out(&self) {
        let scene = self.begin(NodeConfig::default(), Faults::default()).await;
        let proxy = scene.reach("echo").await;
        for micros in (0..400).map(|n| n % 40 * 10) {
            let asked = ask(&scene.here, proxy, Duration::from_micros(micros)).await;
            assert!(matches!(asked, Ok(()) | Err(AskError::Timeout(_))), "{asked:?}");
        }
        scene.end().await;
    }

    /// More resolves than may be unanswered, at a peer that takes its time (L19).
    ///
    /// # Panics
    /// As [above](Self::g5_who_asks_again_when_a_link_breaks_meets_no_link_that_is_over).
    pub async fn l19_unanswered_resolves_at_a_peer_are_bounded(&self) {
        const MOST: usize = 1024;
        let late = Duration::from_millis(500);
        let slow = Faults { delay: Some(late..late), ..Faults::default() };
        let scene = self.begin(NodeConfig::default(), slow).await;
        scene.reach("echo").await;
        let mut asking = JoinSet::new();
        for _ in 0..MOST + 100 {
            let (here, addr) = (scene.here.clone(), scene.addr.clone());
            asking.spawn(async move { here.node().resolve(&addr, "echo").await });
        }
        let (mut found, mut busy) = (0, 0);
        while let Some(resolved) = within("an answer", asking.join_next()).await {
            match resolved.expect("no panic") {
                Ok(Some(_)) => found += 1,
                Err(ResolveError::Busy { max, .. }) => busy += usize::from(max == MOST),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((found, busy), (MOST, 100));
        scene.end().await;
    }

    /// Both nodes, the second of which listens and has an actor that answers and one that does not. The first has
    /// these faults.
    async fn begin(&self, config: NodeConfig, faults: Faults) -> Scene {
        let faulty = Faulty::new(self.transports[0].clone(), faults);
        let here = start(Arc::new(faulty.clone()), config);
        let there = start(self.transports[1].clone(), NodeConfig::default());
        let bound = there.node().listen(&self.bind).await.expect("a free port");
        let addr = match self.transports[1].identity() {
            Some(identity) => format!("{}@{bound}", identity.node).parse().expect("an address"),
            None => bound.clone(),
        };
        there.names().register("echo", echo(&there)).expect("a free name");
        let kept = Mutex::new(Vec::new());
        let keeper = there.spawn_fn(move |_: Bytes, cx: &mut Context<'_>| {
            kept.lock().expect("no panic").extend(cx.take_reply());
        });
        there.names().register("keeper", keeper).expect("a free name");
        Scene { here, there, faulty, bound, addr }
    }
}

struct Scene {
    here: Runtime,
    there: Runtime,
    faulty: Faulty,
    /// Where the second node listens, and how the first says that.
    bound: NodeAddr,
    addr: NodeAddr,
}

impl Scene {
    /// The actor of that name of the second node, as soon as that can be reached.
    async fn reach(&self, name: &str) -> Pid {
        within("it is reached", async {
            loop {
                if let Ok(proxy) = self.here.remote(&self.addr, name).await {
                    return proxy;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }

    async fn end(self) {
        gone(self.here).await;
        gone(self.there).await;
    }
}

fn start(transport: Arc<dyn Transport>, node: NodeConfig) -> Runtime {
    let config = RuntimeConfig { workers: 1, node, ..RuntimeConfig::default() };
    Runtime::builder().config(config).transport(transport).start().expect("a runtime")
}

async fn gone(rt: Runtime) {
    spawn_blocking(move || drop(rt)).await.expect("it ends");
}

/// An actor that answers with what it is asked.
fn echo(rt: &Runtime) -> Pid {
    rt.spawn_fn(|message: Bytes, cx: &mut Context<'_>| {
        if let Some(reply) = cx.take_reply() {
            reply.send(message.into());
        }
    })
}

async fn ask(rt: &Runtime, proxy: Pid, limit: Duration) -> Result<(), AskError> {
    rt.ask(proxy, "x", limit).await.map(drop)
}

async fn next<T: Send + 'static>(told: Receiver<T>) -> T {
    spawn_blocking(move || told.recv_timeout(ANSWER)).await.expect("no panic").expect("an answer in time")
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
