//! Paths that lose, repeat and reorder packets, and take their time (F07).

use std::thread::sleep;
use std::time::Duration;

use super::{Pair, is_in_order, lasting, millis, secs};
use crate::node::Setup;
use crate::wait::{DEADLINE, until};
use crate::wan::{Conditions, Tally, Wan};

/// 75 ± 50 ms, one packet in a hundred twice, one overtaken.
const ROUGH: Conditions = Conditions {
    delay: millis(75),
    jitter: millis(50),
    duplicate: 0.01,
    reorder: 0.01,
    ..Conditions::PERFECT
};
const SIZE: usize = 200;
/// Between two messages, in microseconds.
const GAP: u64 = 4000;
/// For ten minutes, less than what such a path carries in the long run.
const LONG_GAP: u64 = 20_000;
const TEN_MINUTES: (u64, u64) = (600_000_000 / LONG_GAP, LONG_GAP);

/// F07 at 1 %.
pub fn f07_one_lost_packet_in_a_hundred_loses_no_message(setup: &Setup) {
    nothing_is_lost(setup, 0.01, lasting((600, GAP), TEN_MINUTES));
}

/// F07 at 5 %.
pub fn f07_five_lost_packets_in_a_hundred_lose_no_message(setup: &Setup) {
    nothing_is_lost(setup, 0.05, lasting((500, GAP), TEN_MINUTES));
}

/// F07 at 20 %: while the connection lives all arrives, and if it breaks the sender is told.
pub fn f07_twenty_lost_packets_in_a_hundred_lose_no_message_or_the_sender_is_told(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 20, ROUGH.with_loss(0.2)) else { return };
    super::watch(&mut pair.a, &mut pair.b);
    let sink = pair.b.sinks(1);
    let stream = pair.a.stream(&pair.b.addr, &sink, lasting(200, 2000), SIZE, GAP);
    let accepted = pair.a.stream_end(stream).accepted;
    until("all messages, or the news of a loss", || {
        let arrived = pair.b.received().received >= accepted;
        (arrived || !pair.a.downs().is_empty()).then_some(())
    });
    is_in_order(&pair.b.received());
    assert!(pair.wan.tally(0, 1).lost > 0, "the path was too good");
}

/// Half of all packets is lost for a second: a delay, and nothing else.
pub fn f07_half_of_the_packets_lost_for_a_second_is_only_a_delay(setup: &Setup) {
    let near = Conditions::round_trip(20);
    let Some(mut pair) = Pair::start(setup, 50, near) else { return };
    pair.watch_each_other();
    let sink = pair.b.sinks(1);
    let stream = pair.a.stream(&pair.b.addr, &sink, u64::MAX, SIZE, GAP);
    until("the stream to flow", || (pair.b.received().received > 100).then_some(()));
    pair.wan.everywhere(near.with_loss(0.5));
    sleep(secs(1));
    pair.wan.everywhere(near);
    let accepted = pair.a.halt(stream).accepted;
    all_arrived(&mut pair, accepted);
    assert!(pair.wan.tally(0, 1).lost > 0, "the path was too good");
}

/// Connections that have nothing to carry: a lost sign of life, or its lost answer, is not a lost peer
/// (F07).
pub fn f07_five_lost_packets_in_a_hundred_end_no_idle_connection(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 6, Conditions::round_trip(20).with_loss(0.05)) else { return };
    pair.watch_each_other();
    sleep(lasting(secs(16), secs(600)));
    assert_eq!((pair.a.downs(), pair.b.downs()), (vec![], vec![]));
    assert!(pair.a.is_up(&pair.b.addr) && pair.b.is_up(&pair.a.addr));
}

/// The same on a rough path for nodes in any language, by the commands that all of them know.
pub fn nodes_of_all_languages_keep_the_order_on_a_rough_path(setup: &Setup) {
    const COUNT: u64 = 2000;
    let Some(wan) = Wan::start(2, 7) else { return };
    wan.everywhere(ROUGH.with_loss(0.02));
    let (mut client, mut server) = (setup.node_on(&wan, 0), setup.node_on(&wan, 1));
    let pid = client.find_counter(&server.addr);
    client.send(&server.addr, pid, COUNT, 0).expect("send");
    assert_eq!(server.counted(COUNT).out_of_order, 0);
    // A resolve is answered after what was sent before it: nothing more is on its way.
    client.find_counter(&server.addr);
    assert_eq!(server.counts().received, COUNT, "none twice");
    assert!(client.is_up(&server.addr) && server.is_up(&client.addr));
}

/// Streams over a rough path that loses this share of packets: everything arrives, once and in order,
/// and nobody is taken for dead.
fn nothing_is_lost(setup: &Setup, loss: f64, (count, gap): (u64, u64)) {
    let Some(mut pair) = Pair::start(setup, (loss * 100.0) as u64, ROUGH.with_loss(loss)) else { return };
    pair.watch_each_other();
    let sink = pair.b.sinks(1);
    let stream = pair.a.stream(&pair.b.addr, &sink, count, SIZE, gap);
    let planned = Duration::from_micros(count * gap);
    let accepted = pair.a.stream_end_within(planned + DEADLINE, stream).accepted;
    assert_eq!(accepted, count);
    all_arrived(&mut pair, accepted);
    let harm = |Tally { lost, duplicated, reordered, .. }| lost + duplicated + reordered;
    assert!(harm(pair.wan.tally(0, 1)) + harm(pair.wan.tally(1, 0)) > 0, "the path was too good");
}

fn all_arrived(pair: &mut Pair, accepted: u64) {
    let got = until("all messages", || Some(pair.b.received()).filter(|got| got.received >= accepted));
    assert_eq!((got.received, got.missing), (accepted, 0), "{got:?}");
    is_in_order(&got);
    assert_eq!((pair.a.downs(), pair.b.downs()), (vec![], vec![]));
}
