//! More than the path or the peer can take.

use super::{NEAR, Pair, is_in_order, lasting, watch};
use crate::node::Setup;
use crate::traffic::Received;
use crate::wait::{DEADLINE, until};
use crate::wan::{Conditions, Signal};

const MIB: usize = 1 << 20;
/// The outbound queue of a peer (L10) with what a message costs beside its bytes, and what is already
/// in the hands of the kernel.
const MOST_GROWTH: u64 = 48 << 20;

/// A peer that stands still: the sender's queue fills to its bound, the sender is told, and when the
/// peer goes on it gets all that was accepted; what a connection takes with it that breaks in the
/// meantime, as it does after five seconds, is counted (F17 without credit, L10).
pub fn f17_a_peer_that_stands_still_costs_a_bounded_queue(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 1, Conditions::round_trip(NEAR)) else { return };
    let sink = pair.b.sinks(1)[0];
    pair.a.find_counter(&pair.b.addr);
    let memory = [pair.a.memory(), pair.b.memory()];
    pair.b.signal(Signal::SIGSTOP);
    let (accepted, why) = pair.a.flood(&pair.b.addr, sink, 10_000_000, 10_000);
    assert!(why.contains("queue"), "{accepted} were accepted, then: {why}");
    let growth = pair.a.memory().saturating_sub(memory[0]);
    assert!(growth < MOST_GROWTH, "{accepted} messages cost the sender {growth} bytes");
    pair.b.signal(Signal::SIGCONT);
    let got = until("all messages, or the count of the lost", || {
        let lost = pair.a.peer(&pair.b.addr).dead_letters;
        Some(pair.b.received()).filter(|got| got.received == accepted || lost > 0)
    });
    assert_eq!(got.missing, 0, "{got:?}");
    is_in_order(&got);
    let growth = pair.b.memory().saturating_sub(memory[1]);
    assert!(growth < MOST_GROWTH, "{accepted} messages cost the receiver {growth} bytes");
}

/// One actor reads nothing while everybody else does: it holds up its own senders, who are told, it costs
/// both sides a bounded memory, and the others get everything in order meanwhile (F17, L11, L12).
pub fn f17_an_actor_that_reads_nothing_holds_up_its_own_senders_only(setup: &Setup) {
    let Some(mut pair) = Pair::start(setup, 4, Conditions::round_trip(NEAR)) else { return };
    watch(&mut pair.a, &mut pair.b);
    let (unread, sinks) = (pair.b.unread(), pair.b.sinks(8));
    let memory = [pair.a.memory(), pair.b.memory()];
    let (accepted, why) = pair.a.flood(&pair.b.addr, unread, 10_000_000, 1000);
    assert!(why.contains("queue"), "{accepted} were accepted, then: {why}");
    let stream = pair.a.stream(&pair.b.addr, &sinks, 2000, 64, 1000);
    // As many as are still taken, again and again.
    while !pair.a.streamed(stream).done {
        pair.a.flood(&pair.b.addr, unread, 10_000_000, 1000);
    }
    let got =
        until("what the others are sent", || Some(pair.b.received()).filter(|got| got.received >= 2000));
    assert_eq!((got.received, got.missing), (2000, 0), "{got:?}");
    is_in_order(&got);
    for (before, now) in memory.into_iter().zip([pair.a.memory(), pair.b.memory()]) {
        let growth = now.saturating_sub(before);
        assert!(growth < MOST_GROWTH, "an actor that reads nothing cost {growth} bytes");
    }
    assert!(pair.a.downs().is_empty(), "{:?}", pair.a.downs());
    println!("{}: p99 of the others {} us", setup.kind.name(), got.p99);
}

/// A hog, an actor that reads nothing and a lossy path at the same time: all signs of life are answered,
/// nobody is taken for dead, and what the others are sent arrives in order.
pub fn f17_f18_a_hog_a_dead_reader_and_loss_harm_nobody_else(setup: &Setup) {
    let path = Conditions::round_trip(NEAR).with_rate(200, MIB / 2).with_loss(0.01);
    let Some(mut pair) = Pair::start(setup, 5, path) else { return };
    watch(&mut pair.a, &mut pair.b);
    let (unread, small, large) = (pair.b.unread(), pair.b.sinks(8), pair.b.sinks(1));
    let (accepted, why) = pair.a.flood(&pair.b.addr, unread, 10_000_000, 1000);
    assert!(why.contains("queue"), "{accepted} were accepted, then: {why}");
    let hog = pair.a.stream(&pair.b.addr, &large, u64::MAX, MIB, 0);
    pair.a.ping(&pair.b.addr, lasting(50, 1000), 20);
    let count = lasting(1000, 20_000);
    let stream = pair.a.stream(&pair.b.addr, &small, count, 64, 2000);
    let sent = pair.a.stream_end_within(lasting(DEADLINE, 10 * DEADLINE), stream);
    let all = |got: &Received| got.received >= count;
    let got = until("what the others are sent", || Some(pair.b.received_by(0..8)).filter(all));
    let pinged = until("all pings", || Some(pair.a.pinged()).filter(|pinged| pinged.done));
    assert_eq!((got.received, got.missing, got.sum), (count, 0, sent.sum), "{got:?}");
    is_in_order(&got);
    assert_eq!(pinged.failed, 0, "{pinged:?}");
    let hogged = pair.a.halt(hog);
    let got_large = until("what the hog was allowed", || {
        Some(pair.b.received_by(8..9)).filter(|got| got.received >= hogged.accepted)
    });
    assert_eq!((got_large.received, got_large.sum), (hogged.accepted, hogged.sum), "{got_large:?}");
    assert!(pair.a.downs().is_empty(), "{:?}", pair.a.downs());
    println!("{}: {pinged:?}, p99 of the others {} us, {} MiB", setup.kind.name(), got.p99, hogged.accepted);
}

/// Large messages fill the path while pings go on: all arrive, every ping is answered, nobody is taken
/// for dead (F18).
pub fn f18_large_messages_leave_room_for_signs_of_life(setup: &Setup) {
    let path = Conditions::round_trip(NEAR).with_rate(200, MIB / 2);
    let Some(mut pair) = Pair::start(setup, 2, path) else { return };
    watch(&mut pair.a, &mut pair.b);
    let (sink, count) = (pair.b.sinks(1), lasting(64, 640));
    let stream = pair.a.stream(&pair.b.addr, &sink, count, MIB, 0);
    pair.a.ping(&pair.b.addr, lasting(100, 1000), 10);
    let sent = pair.a.stream_end_within(lasting(DEADLINE, 10 * DEADLINE), stream);
    let all = |got: &Received| got.received >= count;
    let got = until("all messages", || Some(pair.b.received()).filter(all));
    let pinged = until("all pings", || Some(pair.a.pinged()).filter(|pinged| pinged.done));
    assert_eq!((got.received, got.sum), (sent.accepted, sent.sum), "{got:?}");
    assert_eq!(pinged.failed, 0, "{pinged:?}");
    assert!(pair.a.downs().is_empty(), "{:?}", pair.a.downs());
    println!("{} while {count} MiB passed: {pinged:?}", setup.kind.name());
}

/// Both dial at once, again and again: no message is lost (F12; that one link is left is tested with each
/// transport).
pub fn f12_nodes_that_dial_each_other_at_once_lose_nothing(setup: &Setup) {
    for round in 0..lasting(3, 100) {
        let Some(mut pair) = Pair::start(setup, round, Conditions::round_trip(50)) else { return };
        let (here, there) = (pair.a.addr.clone(), pair.b.addr.clone());
        let (sink_a, sink_b) = (pair.a.sinks(1), pair.b.sinks(1));
        let from_a = pair.a.stream(&there, &sink_b, 200, 64, 500);
        let from_b = pair.b.stream(&here, &sink_a, 200, 64, 500);
        assert_eq!(pair.a.stream_end(from_a).refused, 0);
        assert_eq!(pair.b.stream_end(from_b).refused, 0);
        for node in [&mut pair.a, &mut pair.b] {
            let got = until("all messages", || Some(node.received()).filter(|got| got.received >= 200));
            assert_eq!((got.received, got.missing), (200, 0), "{got:?}");
            is_in_order(&got);
        }
    }
}
