//! Nodes that fall silent: cut off, frozen or killed.

use std::thread::sleep;
use std::time::Instant;

use super::{BACK, NEAR, Pair, SEEN, goes_down, is_in_order, lasting, meets_again, millis, secs, watch};
use crate::node::{Kind, Setup};
use crate::wait::until;
use crate::wan::{Conditions, Signal};

/// Both directions are cut: both nodes see the other down in time, once, and talk again soon after the
/// heal (F04, S28).
pub fn f04_a_cut_is_seen_from_both_sides_and_heals(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 1, Conditions::round_trip(NEAR)) else { return };
    pair.watch_each_other();
    pair.wan.cut(0, 1);
    both_go_down_and_meet_again(pair);
}

/// One direction is cut, so that one side hears the other and is not heard: both see it (F04).
pub fn f04_a_cut_of_one_direction_is_seen_from_both_sides_and_heals(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 2, Conditions::round_trip(NEAR)) else { return };
    pair.watch_each_other();
    pair.wan.cut_one_way(0, 1);
    both_go_down_and_meet_again(pair);
}

/// A node that never stops trying to send while the cut lasts is back as soon as one that waited (F04,
/// L28).
pub fn f04_a_sender_that_goes_on_trying_is_back_soon_after_the_heal(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 3, Conditions::round_trip(NEAR)) else { return };
    let sink = pair.b.sinks(1);
    let stream = pair.a.stream(&pair.b.addr, &sink, u64::MAX, 64, 20_000);
    until("the stream to flow", || (pair.b.received().received > 0).then_some(()));
    pair.wan.cut(0, 1);
    sleep(lasting(secs(9), secs(40)));
    let before = pair.b.received().received;
    pair.wan.heal();
    let healed = Instant::now();
    until("the stream to flow again", || (pair.b.received().received > before).then_some(()));
    let after = healed.elapsed();
    assert!(after < BACK, "back after {after:?} only");
    pair.a.halt(stream);
    let got = pair.b.received();
    is_in_order(&got);
}

/// A frozen node is down in time and takes part again when it wakes; the monitor that fired stays
/// fired (F03).
pub fn f03_a_frozen_node_is_down_and_takes_part_again_when_it_wakes(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 4, Conditions::round_trip(NEAR)) else { return };
    watch(&mut pair.a, &mut pair.b);
    pair.b.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    goes_down(&mut pair.a, frozen, SEEN);
    sleep(lasting(millis(0), secs(20)).saturating_sub(frozen.elapsed()));
    pair.b.signal(Signal::SIGCONT);
    meets_again(&mut pair.a, &mut pair.b, Instant::now());
    assert_eq!(pair.a.downs().len(), 1, "fired once and for all");
}

/// A killed node is missed, at once where its kernel says goodbye for it, and a new one on its port is
/// found; the PID from before reaches nobody there (F01, F02, S36).
pub fn f01_f02_a_killed_node_is_missed_and_the_next_on_its_port_is_found(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 5, Conditions::round_trip(NEAR)) else { return };
    watch(&mut pair.a, &mut pair.b);
    let old = pair.a.find_counter(&pair.b.addr);
    pair.b.process.kill();
    let limit = if setup.kind == Kind::Quic { SEEN } else { secs(1) };
    goes_down(&mut pair.a, Instant::now(), limit);
    let mut b = setup.node_on_port(&pair.wan, 1, pair.b.port());
    meets_again(&mut pair.a, &mut b, Instant::now());
    pair.a.send(&b.addr, old, 10, 0).expect("messages for nobody");
    pair.a.find_counter(&b.addr);
    assert_eq!(b.counts().received, 1, "the old PID reaches nobody");
}

/// A node that dies and is back on its port at once is missed at the next heartbeat, over QUIC too: its
/// successor has the same key and can tell that it knows nothing of the connection (F02).
pub fn f02_a_node_that_is_back_at_once_is_missed_at_once(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 6, Conditions::round_trip(NEAR)) else { return };
    watch(&mut pair.a, &mut pair.b);
    pair.b.process.kill();
    let mut b = setup.node_on_port(&pair.wan, 1, pair.b.port());
    let back = Instant::now();
    // One interval of the heartbeat, and time for a busy machine.
    goes_down(&mut pair.a, back, secs(3));
    println!("{}: missed {:?} after it was back", setup.kind.name(), back.elapsed());
    meets_again(&mut pair.a, &mut b, Instant::now());
    assert_eq!(pair.a.downs().len(), 1, "fired once and for all");
}

fn both_go_down_and_meet_again(mut pair: Pair) {
    let cut = Instant::now();
    goes_down(&mut pair.a, cut, SEEN);
    goes_down(&mut pair.b, cut, SEEN);
    pair.wan.heal();
    let healed = Instant::now();
    meets_again(&mut pair.a, &mut pair.b, healed);
    meets_again(&mut pair.b, &mut pair.a, healed);
    assert_eq!((pair.a.downs().len(), pair.b.downs().len()), (1, 1), "fired once and for all");
}
