//! Paths that are gone for a while, in the middle of a stream of messages.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{BACK, NEAR, Pair, SEEN, is_in_order, lasting, meets_again, millis, secs, watch};
use crate::node::{Node, Setup};
use crate::traffic::{Received, StreamId};
use crate::wait::until;
use crate::wan::{Conditions, Wan};

const SIZE: usize = 100;
/// Between two messages, in microseconds.
const GAP: u64 = 2000;
/// What reconnecting may do at most, however long a link flaps (F13).
const MOST_ATTEMPTS: usize = 30;
/// More than any noise, less than a queue that is never emptied.
const MOST_GROWTH: u64 = 32 << 20;

/// An outage shorter than the patience of a node is a delay: nothing is lost, nobody is told (F06).
pub fn f06_a_short_outage_is_only_a_delay(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 1, Conditions::round_trip(NEAR)) else { return };
    pair.watch_each_other();
    let flow = Flow::begin(&mut pair);
    pair.wan.cut(0, 1);
    sleep(secs(2));
    pair.wan.heal();
    let got = flow.account(&mut pair);
    assert_eq!(got.missing, 0, "{got:?}");
    is_in_order(&got);
    assert_eq!((pair.a.downs(), pair.b.downs()), (vec![], vec![]));
}

/// A long outage breaks the connection. What was lost is a gap: nothing is repeated, the order stays,
/// and the sender is told (F05, F06, G1, G2, G4).
pub fn f05_f06_a_long_outage_leaves_a_gap_and_the_sender_is_told(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 2, Conditions::round_trip(NEAR)) else { return };
    watch(&mut pair.a, &mut pair.b);
    let flow = Flow::begin(&mut pair);
    pair.wan.cut(0, 1);
    sleep(lasting(secs(8), secs(60)));
    pair.wan.heal();
    let got = flow.end(&mut pair);
    assert!(got.missing > 0, "so long an outage loses something: {got:?}");
    assert_eq!(pair.a.downs().len(), 1, "the sender is told once");
}

/// The sender's ports change, as behind a translator of addresses that was restarted: what the receiver
/// misses then, if anything, is told, and the stream goes on soon (F06).
pub fn f06_a_sender_whose_ports_change_is_back_soon(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 5, Conditions::round_trip(NEAR)) else { return };
    watch(&mut pair.a, &mut pair.b);
    let flow = Flow::begin(&mut pair);
    pair.wan.rebind(0);
    let rebound = Instant::now();
    let got = flow.end(&mut pair);
    let after = rebound.elapsed();
    assert!(after < SEEN + BACK, "the stream went on after {after:?} only");
    println!("{}: the stream went on after {after:?}, {} messages were lost", setup.kind.name(), got.missing);
}

/// Far away a QUIC connection survives new ports of its dialler: nothing is lost, and nobody is told (F06, WAN
/// profile).
pub fn f06_a_connection_far_away_survives_new_ports(setup: &Setup) {
    let setup = setup.clone().with_rust_arguments(&["--profile", "wan"]);
    let Some(mut pair) = Pair::start(&setup, 6, Conditions::round_trip(50)) else { return };
    pair.watch_each_other();
    let flow = Flow::begin(&mut pair);
    for _ in 0..3 {
        let before = pair.b.received().received;
        pair.wan.rebind(0);
        until("the stream to flow on", || (pair.b.received().received > before + 200).then_some(()));
    }
    let got = flow.account(&mut pair);
    assert_eq!(got.missing, 0, "{got:?}");
    is_in_order(&got);
    assert_eq!((pair.a.downs(), pair.b.downs()), (vec![], vec![]));
}

/// A link that comes and goes: no storm of connections, no growing memory, and what arrives is in
/// order and once (F13, L28).
pub fn f13_a_flapping_link_is_dialled_with_patience(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 3, Conditions::round_trip(NEAR)) else { return };
    watch(&mut pair.a, &mut pair.b);
    let flow = Flow::begin(&mut pair);
    let attempts = pair.wan.attempts(0, 1);
    let memory = [pair.a.memory(), pair.b.memory()];
    flap(&pair.wan, millis(200), lasting(secs(8), secs(60)));
    let attempts = pair.wan.attempts(0, 1) - attempts;
    assert!(attempts <= MOST_ATTEMPTS, "{attempts} attempts");
    flow.end(&mut pair);
    for (before, now) in memory.into_iter().zip([pair.a.memory(), pair.b.memory()]) {
        assert!(now < before + MOST_GROWTH, "{before} bytes, then {now}");
    }
}

/// Five nodes, parted two from three: each misses those of the other side and nobody else, each side
/// goes on, and after the heal everybody reaches everybody (F14, without names).
pub fn f14_a_partition_leaves_each_side_whole_and_heals(setup: &Setup) {
    let sides: [&[usize]; 2] = [&[0, 1], &[2, 3, 4]];
    let Some(wan) = Wan::start(5, 4) else { return };
    wan.everywhere(Conditions::round_trip(NEAR));
    let mut nodes: Vec<Node> = (0..5).map(|host| setup.node_on(&wan, host)).collect();
    for_each_pair(&mut nodes, &|_, _| true, watch);

    wan.part(sides[0], sides[1]);
    let parted = Instant::now();
    for (number, node) in nodes.iter_mut().enumerate() {
        let others = if sides[0].contains(&number) { 3 } else { 2 };
        until("the other side to be missed", || (node.downs().len() == others).then_some(()));
    }
    let after = parted.elapsed();
    assert!(after <= SEEN, "seen after {after:?} only");
    let same_side = |a: usize, b: usize| sides[0].contains(&a) == sides[0].contains(&b);
    for_each_pair(&mut nodes, &same_side, |a, b| {
        assert!(a.downs().iter().all(|down| !down.starts_with(&b.addr)), "{:?}", a.downs());
        meets_again(a, b, Instant::now());
    });

    sleep(lasting(secs(0), secs(60)));
    wan.heal();
    let healed = Instant::now();
    for_each_pair(&mut nodes, &|a, b| !same_side(a, b), |a, b| meets_again(a, b, healed));
    let downs: Vec<_> = nodes.iter_mut().map(|node| node.downs().len()).collect();
    assert_eq!(downs, [3, 3, 2, 2, 2], "fired once and for all");
}

/// An endless stream from the first node of a pair to a sink at the second.
struct Flow {
    id: StreamId,
    sink: u64,
}

impl Flow {
    /// Starts it, and waits until it flows.
    fn begin(pair: &mut Pair) -> Self {
        let sink = pair.b.sinks(1)[0];
        let id = pair.a.stream(&pair.b.addr, &[sink], u64::MAX, SIZE, GAP);
        until("the stream to flow", || (pair.b.received().received > 100).then_some(()));
        Self { id, sink }
    }

    /// Waits until it flows again, ends it, and makes sure that every message either arrived once, or is
    /// a gap of which the sender was told.
    fn end(self, pair: &mut Pair) -> Received {
        let before = pair.b.received().received;
        until("the stream to flow again", || (pair.b.received().received > before + 100).then_some(()));
        let got = self.account(pair);
        let downs = pair.a.downs();
        assert!(downs.len() <= 1 && (got.missing == 0 || downs.len() == 1), "{got:?} {downs:?}");
        is_in_order(&got);
        got
    }

    /// Ends it, and waits until every number has arrived or is a gap. A loss at the end only shows when
    /// something comes after it, so now and then one more message is sent.
    fn account(&self, pair: &mut Pair) -> Received {
        let mut accepted = pair.a.halt(self.id).accepted;
        let mut last = Instant::now();
        until("all that is left", || {
            let got = pair.b.received();
            let is_all = got.received + got.missing == accepted;
            if !is_all && last.elapsed() > secs(1) {
                pair.a.send_one(&pair.b.addr, self.sink, accepted);
                accepted += 1;
                last = Instant::now();
            }
            is_all.then_some(got)
        })
    }
}

/// Cuts and heals in turns, so long each, and leaves the network healed.
fn flap(wan: &Wan, each: Duration, during: Duration) {
    let start = Instant::now();
    while start.elapsed() < during {
        wan.cut(0, 1);
        sleep(each);
        wan.heal();
        sleep(each);
    }
}

/// Does something with every ordered pair of different nodes that `wanted` names by number.
fn for_each_pair(
    nodes: &mut [Node],
    wanted: &dyn Fn(usize, usize) -> bool,
    mut work: impl FnMut(&mut Node, &mut Node),
) {
    for a in 0..nodes.len() {
        for b in (0..nodes.len()).filter(|b| a != *b && wanted(a, *b)) {
            let [first, second] = nodes.get_disjoint_mut([a, b]).expect("two different nodes");
            work(first, second);
        }
    }
}
