//! What a peer can make a node hold that has its confidence: it speaks level 2, and keeps to no bound.

use myrmidon::actor::{ExitReason, NodeState};
use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::wire::Batch;
use myrmidon::wire::level2::{Frame, Hello, Monitor, Text16, Unlink};

use crate::fake::{Running, eventually, node, node_with, pid, soon};
use crate::greetings::{Peer, hello};

/// Says `frame` again and again, with other numbers, and reads nothing, until it is cut off.
async fn flood(peer: &mut Peer, frame: impl Fn(u64) -> Frame) {
    for number in 0.. {
        let mut batch = Batch::new();
        (0..1000).for_each(|n| batch.frame(frame(1000 * number + n)));
        if soon(peer.raw.lane.0.write(&mut batch.take())).await.is_err() {
            return;
        }
    }
}

async fn is_cut_off(node: &Running, because: &str) {
    eventually("it is cut off", async || {
        let nodes = node.node.nodes();
        nodes.iter().any(|node| matches!(&node.state, NodeState::Unreachable(why) if why.contains(because)))
    })
    .await;
}

// On the real clock: on a paused one no time passes during a flood, and a goodbye takes some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l09_a_peer_that_does_not_read_what_it_makes_us_say_is_cut_off_and_nobody_else() {
    let unlink = |id| Frame::Unlink(Unlink { id, to: Some(pid(1)), from: Some(pid(2)) });
    let monitor =
        |id| Frame::Monitor(Monitor { id, to: Some(pid(3)), from: Some(pid(2)), name: Text16::default() });
    let frames: [&dyn Fn(u64) -> Frame; 2] = [&unlink, &monitor];
    for frame in frames {
        let network = MemoryNetwork::new();
        let a = node_with(&network, NodeConfig { outbound_bytes: 1 << 20, ..NodeConfig::default() }).await;
        a.runtime.end(pid(3), &ExitReason::Normal);
        let other = node(&network).await;
        assert!(other.node.is_up(&a.addr).await);
        let mut peer = Peer::up_with(&network, &a, Hello { caps: 7, ..hello(0) }).await;
        flood(&mut peer, frame).await;
        is_cut_off(&a, "it does not read what it is told").await;
        assert!(other.node.is_up(&a.addr).await);
    }
}
