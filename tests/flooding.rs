//! Many messages at once, and what who sends too many pays.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, held, held_with, listen, next, runtime, start};
use myrmidon::actor::{Actor, AsyncActor, Context, Flow, SpawnOptions, SystemMessage, bytes_fn};
use myrmidon::config::{NodeConfig, RuntimeConfig};
use myrmidon::error::SendError;
use myrmidon::mailbox::{Mailbox, Payload};
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};

#[test]
fn g2_many_messages_at_once_arrive_in_order() {
    let rt = runtime();
    let (pid, told) = echo(&rt, "");
    rt.send(pid, "first").unwrap();
    assert_eq!(rt.send_many(pid, (0..1_000).map(|n| n.to_string())).unwrap(), 1_000);
    rt.send(pid, "last").unwrap();
    assert_eq!(rt.send_many(pid, Vec::<Bytes>::new()).unwrap(), 0);
    assert_eq!(next(&told), "first");
    for n in 0..1_000 {
        assert_eq!(next(&told), n.to_string());
    }
    assert_eq!(next(&told), "last");
}

#[test]
fn messages_sent_at_once_by_several_senders_do_not_mix() {
    let rt = runtime();
    let (pid, go, told) = held(&rt, "");
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let rt = &rt;
            scope.spawn(move || {
                for _ in 0..50 {
                    rt.send_many(pid, (0..20).map(|n| format!("{name}{n}"))).unwrap();
                }
            });
        }
    });
    assert_eq!(rt.mailbox_size(pid), Some(3_000));
    go.send(()).unwrap();
    assert_eq!(next(&told), "first");
    for _ in 0..150 {
        let first = next(&told);
        let name = &first[..1];
        assert_eq!(first[1..], *"0");
        for n in 1..20 {
            assert_eq!(next(&told), format!("{name}{n}"));
        }
    }
}

#[test]
fn a_batch_to_the_dead_comes_back_whole() {
    let rt = runtime();
    let (pid, _told) = echo(&rt, "");
    rt.kill(pid);
    rt.join(pid, Some(DEADLINE)).unwrap();
    let error = rt.send_many(pid, ["a", "b", "c"]).unwrap_err();
    assert!(matches!(error.error, SendError::NoProcess { .. }));
    assert_eq!((error.delivered, error.rest.len()), (0, 2));
    let back: Vec<_> =
        error.into_messages().into_iter().map(|message| message.into_bytes().unwrap()).collect();
    assert_eq!(back, ["a", "b", "c"]);
    assert_eq!(rt.dead_letters(), 0);
}

struct Adder(u64, std::sync::mpsc::SyncSender<u64>);

impl Actor for Adder {
    type Msg = u64;

    fn handle(&mut self, number: u64, _: &mut Context<'_>) -> Flow {
        self.0 += number;
        if number == 0 {
            self.1.send(self.0).unwrap();
        }
        Flow::Continue
    }
}

#[test]
fn a_batch_of_typed_messages_is_refused_from_the_first_that_cannot_be_taken() {
    let rt = runtime();
    let (tell, told) = sync_channel(1);
    let adder = rt.spawn(Adder(0, tell));
    assert_eq!(adder.send_many(1..=10).unwrap(), 10);
    adder.send(0).unwrap();
    assert_eq!(next(&told), 55);
    let mixed = [
        Payload::Value(myrmidon::mailbox::Value::new(5_u64)),
        Payload::from("bytes"),
        Payload::Value(myrmidon::mailbox::Value::new(6_u64)),
    ];
    let error = rt.send_many(adder.pid(), mixed).unwrap_err();
    assert!(matches!(error.error, SendError::NotBytes { .. }));
    assert_eq!((error.delivered, error.rest.len()), (1, 1));
    adder.send(0).unwrap();
    assert_eq!(next(&told), 60);
    rt.stop(adder.pid());
    rt.join(adder.pid(), Some(DEADLINE)).unwrap();
    assert_eq!(adder.send_many([7, 8]).unwrap_err().into_messages(), [7, 8]);
}

#[test]
fn a_batch_fills_a_bounded_mailbox_and_the_rest_comes_back() {
    let rt = runtime();
    let options = SpawnOptions { mailbox: Mailbox::bounded(3), ..SpawnOptions::default() };
    let (pid, go, told) = held_with(&rt, "", options);
    let error = rt.send_many(pid, (0..6).map(|n| n.to_string())).unwrap_err();
    assert!(matches!(error.error, SendError::Full { .. }));
    assert_eq!((error.delivered, error.rest.len()), (3, 2));
    go.send(()).unwrap();
    for text in ["first", "0", "1", "2"] {
        assert_eq!(next(&told), text);
    }
}

/// Waits once for the gate in its first message.
struct Gated(Option<tokio::sync::oneshot::Receiver<()>>, std::sync::mpsc::SyncSender<u64>);

impl AsyncActor for Gated {
    type Msg = u64;

    async fn handle(&mut self, number: u64, _: Pid) -> Flow {
        if let Some(gate) = self.0.take() {
            gate.await.unwrap();
        }
        tokio::task::yield_now().await;
        self.1.send(number).unwrap();
        Flow::Continue
    }
}

#[test]
fn g2_messages_that_wait_behind_a_handler_keep_their_order() {
    let rt = runtime();
    let (tell, told) = sync_channel(2_000);
    let (go, gate) = tokio::sync::oneshot::channel();
    let actor = rt.spawn_async(Gated(Some(gate), tell), SpawnOptions::default());
    // One by one, so that they are taken while the handler waits, and at once.
    for number in 0..500 {
        actor.send(number).unwrap();
    }
    actor.send_many(500..1_000).unwrap();
    eventually("the first is being handled", || rt.mailbox_size(actor.pid()) == Some(999));
    go.send(()).unwrap();
    actor.send_many(1_000..1_500).unwrap();
    for number in 0..1_500 {
        assert_eq!(next(&told), number);
    }
}

/// How many of its 500 messages an actor handles before the next gets its turn, if for each it sends so
/// many at once to an actor for which `waiting` wait, in such a mailbox.
fn handled_in_one_turn(waiting: usize, mailbox: Mailbox, batch: usize) -> usize {
    // No spare, which would run the one beside the other where the held worker is found out.
    let slice = Duration::from_secs(60);
    let config = RuntimeConfig { workers: 1, spare_workers: 0, slice, ..RuntimeConfig::default() };
    let rt = Runtime::builder().config(config).start().unwrap();
    // Nobody drives the lane, so nothing is ever taken.
    let lane = rt.open_lane("still");
    let still = SpawnOptions { lane: lane.id(), mailbox, ..SpawnOptions::default() };
    let target = rt.spawn_behaviour(Box::new(bytes_fn(|_, _: &mut Context<'_>| {})), still);
    rt.send_many(target, (0..waiting).map(|_| Bytes::new())).unwrap();

    let handled = Arc::new(AtomicUsize::new(0));
    let count = handled.clone();
    let flood = move |_: Bytes, cx: &mut Context<'_>| {
        match batch {
            1 => cx.send(target, Bytes::new()).unwrap(),
            _ => assert_eq!(cx.send_many(target, (0..batch).map(|_| Bytes::new())).unwrap(), batch),
        }
        count.fetch_add(1, Ordering::Relaxed);
    };
    let options = SpawnOptions { budget: Some(1_000), ..SpawnOptions::default() };
    let flooder = rt.spawn_behaviour(Box::new(bytes_fn(flood)), options);
    let (tell, told) = sync_channel(1);
    let other: Pid = rt.spawn_fn(move |_, _| tell.send(handled.load(Ordering::Relaxed)).unwrap());
    // Both become ready while the only worker is held.
    let (_held, go, _told) = held(&rt, "");
    rt.send_many(flooder, (0..500).map(|_| Bytes::new())).unwrap();
    rt.send(other, "look").unwrap();
    go.send(()).unwrap();
    next(&told)
}

#[test]
fn who_sends_to_a_very_long_queue_yields_earlier() {
    for mailbox in [Mailbox::Unbounded, Mailbox::bounded(1_000_000)] {
        assert_eq!(handled_in_one_turn(100, mailbox, 1), 500);
        let flooding = handled_in_one_turn(200_000, mailbox, 1);
        assert!((1..100).contains(&flooding), "{flooding} with {mailbox:?}");
        // Twenty in one step cost as much as twenty steps.
        let flooding = handled_in_one_turn(2_000, mailbox, 20);
        assert!((1..100).contains(&flooding), "{flooding} with {mailbox:?} in batches");
    }
}

#[test]
fn l17_any_number_of_pings_of_a_proxy_share_a_few_of_the_link_and_nothing_waits_behind_them() {
    struct Pinger(SyncSender<Pid>);
    impl Actor for Pinger {
        type Msg = Bytes;
        fn handle(&mut self, _: Bytes, _: &mut Context<'_>) -> Flow {
            Flow::Continue
        }
        fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
            if let SystemMessage::Pong { from } = message {
                self.0.send(from).unwrap();
            }
            Flow::Continue
        }
    }
    const PINGS: usize = 60_000;
    let network = MemoryNetwork::new();
    let node = NodeConfig { heartbeat: Duration::from_millis(50), ..NodeConfig::default() };
    let (client, server) = (start(&network, node.clone()), start(&network, node));
    let addr = listen(&server, "server:0");
    server.names().register("svc", echo(&server, "").0).unwrap();
    let remote = || client.io().block_on(client.remote(&addr, "svc")).unwrap();
    let proxy = remote();
    let (tell, told) = sync_channel(PINGS);
    let pinger = client.spawn(Pinger(tell)).pid();
    assert!((0..PINGS).all(|_| client.ping(proxy, pinger)));
    assert_eq!(remote(), proxy);
    assert!((0..PINGS).all(|_| next(&told) == proxy));
}

/// A node from which little can be on its way, and where a send waits for a moment only.
fn narrow(network: &MemoryNetwork) -> Runtime {
    let node = NodeConfig {
        outbound_messages: 8,
        credit_messages: 8,
        actor_messages: 8,
        send_timeout: Duration::from_millis(20),
        ..NodeConfig::default()
    };
    start(network, node)
}

/// Sends to an actor of another node that is held until there is no room for it.
fn fill(rt: &Runtime, proxy: Pid) {
    for _ in 0..10_000 {
        if let Err(error) = rt.io().block_on(rt.send_async(proxy, "x")) {
            assert!(matches!(error, SendError::Full { .. }), "{error}");
            return;
        }
    }
    panic!("nothing holds it back");
}

#[test]
fn l10_who_waits_for_room_on_the_way_to_another_node_waits_as_long_as_he_says() {
    let network = MemoryNetwork::new();
    let (client, server) = (narrow(&network), narrow(&network));
    let addr = listen(&server, "server:0");
    // By an address, and by a link alone that the other node has made.
    for dialled in [true, false] {
        let (here, there) = if dialled { (&client, &server) } else { (&server, &client) };
        let (far, go, told) = held(there, "");
        let proxy = match dialled {
            true => here.io().block_on(here.remote(&addr, far)).unwrap(),
            false => here.io().block_on(here.remote_by_reference(&there.reference(far))).unwrap(),
        };
        assert!(here.is_remote(proxy));
        fill(here, proxy);
        let brief = here.send_blocking(proxy, "brief", Duration::from_millis(1));
        assert!(matches!(brief, Err(SendError::Full { .. })), "{brief:?}");
        let (blocking, eventual) = (here.clone(), here.clone());
        let blocked = std::thread::spawn(move || blocking.send_blocking(proxy, "last", DEADLINE));
        let waiting = here.io().spawn(async move { eventual.send_eventually(proxy, "last").await });
        // Each of these waits for longer than a send that is not told how long.
        for _ in 0..3 {
            fill(here, proxy);
        }
        assert!(!blocked.is_finished() && !waiting.is_finished(), "they wait on");
        drop(go);
        blocked.join().unwrap().unwrap();
        here.io().block_on(waiting).unwrap().unwrap();
        let mut last = 0;
        while last < 2 {
            last += usize::from(next(&told) == "last");
        }
    }
}
