//! What must hold between nodes that are far apart, by kind of trouble. Each scenario makes a network
//! of its own, and passes at once where there can be none.
//!
//! The durations are short, so that all of it fits into a check of every change. With
//! `MYRMIDON_TEST_WAN=long` they are those of the fault table.

pub mod load;
pub mod outage;
pub mod rough;
pub mod silence;

use std::time::{Duration, Instant};

use crate::node::{Counts, Node, Setup};
use crate::traffic::Received;
use crate::wait::until;
use crate::wan::{Conditions, Wan};

/// A node that is silent is down after so long, as it is seen (G10, LAN profile).
const SEEN: Duration = Duration::from_secs(6);
/// After a heal or a restart, the nodes talk again within this (F03, F04).
const BACK: Duration = Duration::from_secs(5);
/// The round trip where the scenario is not about it, in milliseconds.
const NEAR: u64 = 10;

/// Two nodes on two hosts. The first asks and sends, the second serves.
struct Pair {
    // Nodes end before their network does.
    a: Node,
    b: Node,
    wan: Wan,
}

impl Pair {
    /// Two nodes that have not talked yet; `None` where there can be no network.
    fn start(setup: &Setup, seed: u64, conditions: Conditions) -> Option<Self> {
        let wan = Wan::start(2, seed)?;
        wan.everywhere(conditions);
        let (a, b) = (setup.node_on(&wan, 0), setup.node_on(&wan, 1));
        Some(Self { a, b, wan })
    }

    /// Lets each monitor the counter of the other.
    fn watch_each_other(&mut self) {
        watch(&mut self.a, &mut self.b);
        watch(&mut self.b, &mut self.a);
    }
}

/// Lets `watcher` monitor the counter of `node`, and waits until heartbeats flow.
fn watch(watcher: &mut Node, node: &mut Node) {
    let pid = watcher.find_counter(&node.addr);
    watcher.watch(&node.addr, pid);
    assert!(watcher.is_up(&node.addr));
}

/// Waits until the only monitor of `node` has fired, which has to be within `limit` of `since`.
fn goes_down(node: &mut Node, since: Instant, limit: Duration) {
    let downs = until("the monitor to fire", || Some(node.downs()).filter(|downs| !downs.is_empty()));
    let after = since.elapsed();
    assert!(after <= limit, "seen after {after:?} only: {downs:?}");
    assert_eq!(downs.len(), 1, "{downs:?}");
}

/// Waits until `node` reaches the counter of `other` with a message, which has to be within [`BACK`] of
/// `since`.
fn meets_again(node: &mut Node, other: &mut Node, since: Instant) {
    let Counts { received, .. } = other.counts();
    let pid = node.find_counter(&other.addr);
    node.send(&other.addr, pid, 1, received).expect("send");
    other.counted(received + 1);
    let after = since.elapsed();
    assert!(after < BACK, "back after {after:?} only");
}

/// Nothing came twice, late or damaged (G1, G2), also where a connection broke in between.
fn is_in_order(got: &Received) {
    assert_eq!((got.repeated, got.late, got.corrupt), (0, 0, 0), "{got:?}");
}

/// The duration of a test in a check of every change, or with `MYRMIDON_TEST_WAN=long`.
fn lasting<T>(short: T, long: T) -> T {
    match std::env::var("MYRMIDON_TEST_WAN").is_ok_and(|value| value == "long") {
        true => long,
        false => short,
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
