//! What one actor sends to actors of another node by their proxies keeps its order and comes at most once,
//! whatever it is and however often the connection breaks (G1, G2).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use common::{DEADLINE, eventually, start};
use myrmidon::actor::Context;
use myrmidon::config::NodeConfig;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};
use proptest::collection::vec;
use proptest::prelude::*;

const RECEIVERS: usize = 3;
/// Beyond what travels in one frame.
const LARGE: usize = 300 << 10;

#[derive(Clone, Copy, Debug)]
enum Op {
    Send { to: usize, large: bool },
    Ask { to: usize, large: bool },
    Cut,
}

fn op() -> impl Strategy<Value = Op> {
    let to = 0..RECEIVERS;
    prop_oneof![
        12 => (to.clone(), prop::bool::weighted(0.2)).prop_map(|(to, large)| Op::Send { to, large }),
        4 => (to, prop::bool::weighted(0.3)).prop_map(|(to, large)| Op::Ask { to, large }),
        1 => Just(Op::Cut),
    ]
}

fn node(network: &MemoryNetwork) -> Runtime {
    start(network, NodeConfig { reconnect_first: Duration::from_millis(1), ..NodeConfig::default() })
}

type Record = Arc<Mutex<Vec<u64>>>;

/// Keeps the numbers of what it gets, and answers with them.
fn receiver(rt: &Runtime) -> (Pid, Record) {
    let record = Record::default();
    let kept = record.clone();
    let pid = rt.spawn_fn(move |message: Bytes, cx: &mut Context<'_>| {
        let number = u64::from_be_bytes(message[..8].try_into().unwrap());
        // What tests whether the connection is up is no part of the record.
        if number > 0 {
            kept.lock().unwrap().push(number);
        }
        if let Some(reply) = cx.take_reply() {
            reply.send(message.into());
        }
    });
    (pid, record)
}

fn payload(number: u64, large: bool) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u64(number);
    bytes.resize(if large { LARGE } else { 8 }, number as u8);
    bytes.freeze()
}

fn run(ops: &[Op]) {
    let network = MemoryNetwork::new();
    let (here, there) = (node(&network), node(&network));
    let addr = there.io().block_on(there.node().listen(&"there:0".parse().unwrap())).unwrap();
    let receivers: Vec<_> = (0..RECEIVERS).map(|_| receiver(&there)).collect();
    let proxies: Vec<_> =
        receivers.iter().map(|(pid, _)| here.io().block_on(here.remote(&addr, *pid)).unwrap()).collect();
    let mut taken: Vec<Vec<u64>> = vec![Vec::new(); RECEIVERS];
    for (number, op) in (1..).zip(ops) {
        match *op {
            Op::Send { to, large } => {
                if here.send(proxies[to], payload(number, large)).is_ok() {
                    taken[to].push(number);
                }
            }
            Op::Ask { to, large } => {
                let question = payload(number, large);
                if let Ok(answer) = here.ask_blocking(proxies[to], question.clone(), DEADLINE) {
                    assert!(answer.into_bytes().unwrap() == question);
                }
                taken[to].push(number);
            }
            Op::Cut => drop(network.cut(&addr)),
        }
    }
    for proxy in &proxies {
        let up = || here.ask_blocking(*proxy, payload(0, false), DEADLINE).is_ok();
        eventually("the connection is up, and what was sent is there", up);
    }
    let cuts = ops.iter().any(|op| matches!(op, Op::Cut));
    for ((_, record), taken) in receivers.iter().zip(&taken) {
        let record = record.lock().unwrap();
        assert!(record.windows(2).all(|pair| pair[0] < pair[1]), "G1, G2: {record:?}");
        assert!(record.iter().all(|number| taken.contains(number)), "refused and delivered: {record:?}");
        assert!(cuts || *record == *taken, "nothing is lost where nothing breaks: {record:?} of {taken:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn g1_g2_what_goes_through_proxies_keeps_its_order(ops in vec(op(), 1..80)) {
        run(&ops);
    }
}
