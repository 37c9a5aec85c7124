//! What holds whatever happens: random sequences of use and misfortune, on a paused clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use myrmidon::config::NodeConfig;
use myrmidon::node::RemoteMonitor;
use myrmidon::transport::memory::MemoryNetwork;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fake::{Running, eventually, node, node_at, number, pid};

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    Resolve,
    Monitor,
    Demonitor(prop::sample::Index),
    /// Breaks every connection; the peer lives.
    Cut,
    /// Kills the peer and starts another one at its address.
    Restart,
    Freeze,
    Thaw,
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..50).prop_map(Step::Send),
        1 => Just(Step::Resolve),
        2 => Just(Step::Monitor),
        1 => any::<prop::sample::Index>().prop_map(Step::Demonitor),
        1 => Just(Step::Cut),
        1 => Just(Step::Restart),
        1 => Just(Step::Freeze),
        2 => Just(Step::Thaw),
        4 => (0u16..8_000).prop_map(Step::Pass),
    ]
}

/// A node that uses a peer which has bad luck.
struct World {
    network: MemoryNetwork,
    a: Running,
    b: Option<Running>,
    next: usize,
    accepted: u64,
    received: Vec<u64>,
    monitors: Vec<(RemoteMonitor, Arc<Mutex<u32>>, Option<bool>)>,
}

impl World {
    async fn new() -> Self {
        let network = MemoryNetwork::new();
        let (a, b) = (node(&network).await, Some(node(&network).await));
        Self { network, a, b, next: 0, accepted: 0, received: Vec::new(), monitors: Vec::new() }
    }

    async fn run(&mut self, step: Step) {
        match step {
            Step::Send(count) => (0..count).for_each(|_| self.send()),
            // It may fail, and must not hang.
            Step::Resolve => drop(self.a.node.resolve(&self.b().addr, "nobody").await),
            Step::Monitor => self.monitor(),
            Step::Demonitor(at) => self.demonitor(at),
            Step::Cut => drop(self.network.cut(&self.b().addr)),
            Step::Restart => self.restart().await,
            Step::Freeze => self.b().runtime.freeze(),
            Step::Thaw => self.b().runtime.thaw(),
            Step::Pass(millis) => tokio::time::sleep(Duration::from_millis(millis.into())).await,
        }
    }

    fn b(&self) -> &Running {
        self.b.as_ref().unwrap()
    }

    fn send(&mut self) {
        let sent = self.a.node.try_send(&self.b().addr, pid(1), number(self.next));
        self.next += 1;
        self.accepted += u64::from(sent.is_ok());
    }

    fn monitor(&mut self) {
        let fired = Arc::new(Mutex::new(0));
        let count = fired.clone();
        let on_down = Box::new(move |_| *count.lock().unwrap() += 1);
        let monitor = self.a.node.monitor(&self.b().addr, pid(1), on_down);
        self.monitors.push((monitor, fired, None));
    }

    fn demonitor(&mut self, at: prop::sample::Index) {
        if self.monitors.is_empty() {
            return;
        }
        let (monitor, _, removed) = at.get(&self.monitors).clone();
        if removed.is_none() {
            let at = at.index(self.monitors.len());
            self.monitors[at].2 = Some(self.a.node.demonitor(monitor));
        }
    }

    async fn restart(&mut self) {
        let old = self.b.take().unwrap();
        let addr = old.addr.clone();
        let runtime = old.runtime.clone();
        old.kill(&self.network).await;
        self.received.extend(numbers(&runtime.received()));
        self.b = Some(node_at(&self.network, &addr, NodeConfig::default()).await);
    }

    /// Lets everything settle, kills the peer once more, and checks what must hold.
    async fn check(mut self) {
        self.b().runtime.thaw();
        tokio::time::sleep(Duration::from_secs(20)).await;
        self.restart().await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        for (_, fired, removed) in &self.monitors {
            let expected = u32::from(*removed != Some(true));
            assert_eq!(*fired.lock().unwrap(), expected, "G6: one DOWN, unless it was removed ({removed:?})");
        }
        eventually("it works again", async || self.a.node.is_up(&self.b().addr).await).await;
        self.send();
        let last = self.b().runtime.wait_for(1).await;
        self.received.extend(numbers(&last));
        assert!(
            self.received.is_sorted_by(|a, b| a < b),
            "G1, G2: in order, none twice: {:?}",
            self.received
        );
        let info = self.a.node.peers().pop().unwrap();
        assert_eq!(info.sent + info.dead_letters, self.accepted, "D11: what was accepted is accounted for");
        assert!(self.received.len() as u64 <= info.sent);
    }
}

fn numbers(messages: &[(myrmidon::Pid, bytes::Bytes)]) -> Vec<u64> {
    messages.iter().map(|(_, data)| u64::from_be_bytes(data[..].try_into().unwrap())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn g1_g2_g6_d11_hold_whatever_happens(steps in vec(step(), 0..40)) {
        let io = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        io.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.run(step).await;
            }
            world.check().await;
        });
    }
}
