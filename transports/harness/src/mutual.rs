//! Two nodes that dial each other at the same time (F12): one link is left, and nothing is lost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use myrmidon::Pid;
use myrmidon::actor::{ExitReason, MonitorRef};
use myrmidon::config::NodeConfig;
use myrmidon::node::{LocalNode, Node};
use myrmidon::transport::{NodeAddr, Transport};

use crate::{Faults, Faulty, within};

/// Messages of each side.
const MESSAGES: u64 = 20;
/// The link that gives way is gone after this, however busy the machine is.
const SETTLED: Duration = Duration::from_secs(20);
/// Actors that they go to.
const ACTORS: u64 = 5;

/// Two transports whose nodes dial each other.
pub struct Mutual {
    /// The transports, each with an identity of its own where they have one.
    pub transports: [Arc<dyn Transport>; 2],
    /// An address with port 0 that both can bind.
    pub bind: NodeAddr,
    /// Connections that the accepting side of one link has: more than one where each lane is one.
    pub accepted_per_link: usize,
}

impl Mutual {
    /// So many rounds, each with two new nodes that begin to send at the same time.
    ///
    /// # Panics
    /// When a message is lost, comes twice or out of its order, or more than one link is left.
    pub async fn check(&self, rounds: u32) {
        for round in 0..rounds {
            let [a, b] = [self.start(0).await, self.start(1).await];
            tokio::join!(a.send_all(&b.addr), b.send_all(&a.addr));
            for side in [&a, &b] {
                until("everything arrives", async || side.came().len() as u64 >= MESSAGES).await;
                side.check(round);
            }
            let one_link = 1 + self.accepted_per_link;
            let held = || a.transport.held() + b.transport.held();
            let settled = until("one link is left", async || held() == one_link);
            tokio::select! {
                () = settled => {}
                () = tokio::time::sleep(SETTLED) => panic!("{} connections are left, not {one_link}", held()),
            }
            assert!(a.node.is_up(&b.addr).await && b.node.is_up(&a.addr).await, "in round {round}");
            a.node.shutdown(Duration::from_secs(5)).await;
            for side in [&a, &b] {
                side.check(round);
            }
        }
    }

    async fn start(&self, side: usize) -> Side {
        let transport = Faulty::new(self.transports[side].clone(), Faults::default());
        let inbox = Arc::new(Inbox::default());
        let io = tokio::runtime::Handle::current();
        let node = Node::new(Arc::new(transport.clone()), inbox.clone(), io, NodeConfig::default());
        let bound = node.listen(&self.bind).await.expect("a free port");
        let addr = match transport.identity() {
            Some(identity) => format!("{}@{bound}", identity.node).parse().expect("an address"),
            None => bound,
        };
        Side { node, transport, inbox, addr }
    }
}

struct Side {
    node: Node,
    transport: Faulty,
    inbox: Arc<Inbox>,
    addr: NodeAddr,
}

impl Side {
    async fn send_all(&self, to: &NodeAddr) {
        for number in 0..MESSAGES {
            let message = Bytes::copy_from_slice(&number.to_be_bytes());
            self.node.send(to, pid(number), message).await.expect("there is room, and a peer");
        }
    }

    fn came(&self) -> Vec<(Pid, u64)> {
        self.inbox.0.lock().expect("no test panicked").clone()
    }

    /// Each message came once, and those for one actor in their order.
    fn check(&self, round: u32) {
        let came = self.came();
        for actor in 0..ACTORS {
            let own: Vec<_> = came.iter().filter(|(to, _)| *to == pid(actor)).map(|(_, n)| *n).collect();
            let sent: Vec<_> = (0..MESSAGES).filter(|number| number % ACTORS == actor).collect();
            assert_eq!(own, sent, "in round {round}");
        }
    }
}

fn pid(number: u64) -> Pid {
    Pid::new(1, (number % ACTORS) as u32).expect("a PID")
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within(what, waiting).await;
}

/// Keeps what comes.
#[derive(Default)]
struct Inbox(Mutex<Vec<(Pid, u64)>>);

impl LocalNode for Inbox {
    fn deliver(&self, batch: &mut Vec<(Pid, Bytes)>) {
        let number = |data: &Bytes| data.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
        let came = batch.drain(..).map(|(pid, data)| (pid, number(&data)));
        self.0.lock().expect("no test panicked").extend(came);
    }

    fn mailbox_size(&self, _: Pid) -> Option<usize> {
        Some(0)
    }

    fn mark(&self, _: Pid, reached: Box<dyn FnOnce() + Send>) {
        reached();
    }

    fn whereis(&self, _: &str) -> Option<Pid> {
        None
    }

    fn watch(&self, _: Pid, on_exit: Box<dyn FnOnce(&ExitReason) + Send>) -> MonitorRef {
        on_exit(&ExitReason::NoProcess);
        MonitorRef::from_u64(1)
    }

    fn unwatch(&self, _: Pid, _: MonitorRef) {}

    fn on_worker(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}
