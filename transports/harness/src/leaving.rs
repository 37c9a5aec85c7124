//! A node that leaves while another one links with it (G10): the other one notices at once. And one that leaves while it
//! dials where nobody answers: the others have everything (G8).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::Runtime;
use myrmidon::actor::{Context, NodeState};
use myrmidon::config::RuntimeConfig;
use myrmidon::node::NodeInfo;
use myrmidon::transport::{NodeAddr, Transport};

use crate::{Faults, Faulty, within};

/// What the dialling node says comes so much later: its last word of the greeting when the other one leaves already.
const LATE: Duration = Duration::from_millis(50);

/// How long the node that leaves beside silence waits for its peers, and what it sends.
const DRAIN: Duration = Duration::from_secs(3);
const SENT: usize = 200;

/// A node that dials and one that leaves.
pub struct Leaving {
    /// Their transports, in this order, each with an identity of its own where they have one.
    pub transports: [Arc<dyn Transport>; 2],
    /// An address with port 0 that the second can bind.
    pub bind: NodeAddr,
}

impl Leaving {
    /// One round.
    ///
    /// # Panics
    /// When an actor of the node that left seems to live, or its node only to be out of reach.
    pub async fn check(&self) {
        let [here, there] = &self.transports;
        let late = Faults { delay: Some(LATE..LATE), ..Faults::default() };
        let here = start(Arc::new(Faulty::new(here.clone(), late)));
        let there = start(there.clone());
        let bound = there.node().listen(&self.bind).await.expect("a free port");
        let addr: NodeAddr = match self.transports[1].identity() {
            Some(identity) => format!("{}@{bound}", identity.node).parse().expect("an address"),
            None => bound,
        };
        let far = there.spawn_fn(|_: Bytes, _: &mut Context<'_>| {});
        let proxy = here.remote(&addr, far).await.expect("it is reached");
        // By now the link is up for the one who dialled, and for the other one it is not.
        let leaves = tokio::task::spawn_blocking(move || there.shutdown(Duration::from_secs(1)));
        within("the other node notices", async {
            while here.is_alive(proxy) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let nodes = here.node().nodes();
        let cut = nodes.iter().find(|node| matches!(node.state, NodeState::Unreachable(_)));
        assert!(cut.is_none(), "{cut:?}");
        within("the end of both", async {
            leaves.await.expect("it does not panic");
            tokio::task::spawn_blocking(move || drop(here)).await.expect("it does not panic");
        })
        .await;
    }

    /// A round in which the node that leaves has dialled an address at which nobody answers.
    ///
    /// # Panics
    /// When the other node does not have everything, or has not heard that it left.
    pub async fn check_beside_silence(&self) {
        let [here, there] = self.transports.clone().map(start);
        let silent = self.transports[1].bind(&self.bind).await.expect("a free port");
        let bound = there.node().listen(&self.bind).await.expect("a free port");
        let [hole, addr] = [silent.local_addr(), bound].map(|addr| match self.transports[1].identity() {
            Some(identity) => format!("{}@{addr}", identity.node).parse().expect("an address"),
            None => addr,
        });
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let far = there.spawn_fn(move |_: Bytes, _: &mut Context<'_>| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let proxy = within("the link", here.remote(&addr, far)).await.expect("it is reached");
        let (asking, at) = (here.clone(), hole.clone());
        let asked = tokio::spawn(async move { asking.node().is_up(&at).await });
        within("it is dialled", async {
            while !here.node().peers().iter().any(|peer| peer.addr == hole) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        for _ in 0..SENT {
            here.send(proxy, Bytes::from(vec![0; 10_000])).expect("there is room");
        }
        let leaves = tokio::task::spawn_blocking(move || here.shutdown(DRAIN));
        assert_eq!(within("the end", leaves).await.expect("it does not panic"), 0);
        within("everything is there", async {
            while count.load(Ordering::Relaxed) < SENT {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        let nodes = there.node().nodes();
        assert!(matches!(nodes[..], [NodeInfo { state: NodeState::Left, .. }]), "{nodes:?}");
        assert!(!within("an answer", asked).await.expect("it does not panic"));
        drop(silent);
        within("the end", tokio::task::spawn_blocking(move || drop(there))).await.expect("it does not panic");
    }
}

fn start(transport: Arc<dyn Transport>) -> Runtime {
    let config = RuntimeConfig { workers: 1, ..RuntimeConfig::default() };
    Runtime::builder().config(config).transport(transport).start().expect("a runtime")
}
