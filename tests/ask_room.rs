//! Questions to other nodes wait for room on their way, as messages do (L10), and so do their answers (G5).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::cell::Cell;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{self, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, eventually, listen, next, start};
use myrmidon::actor::{AskError, Context};
use myrmidon::config::NodeConfig;
use myrmidon::error::SendError;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};

/// More than half of what may wait for a peer here.
const LARGE: usize = 3 << 19;

/// What a question came to.
type Outcome = Result<usize, AskError>;

/// A client whose sends wait for so long, and a server with an actor that answers with the length of what it is asked.
/// The server reads nothing until the last is used or dropped.
fn pair(network: &MemoryNetwork, node: NodeConfig) -> (Runtime, Runtime, Pid, SyncSender<()>) {
    let long = Duration::from_secs(120);
    let client = start(network, NodeConfig { outbound_bytes: 2 << 20, down_after: long, ..node });
    let server = start(network, NodeConfig { down_after: long, ..NodeConfig::default() });
    let addr = listen(&server, "server:0");
    let pid = measurer(&server);
    let proxy = client.io().block_on(client.remote(&addr, pid)).unwrap();
    let go = hold(&server);
    (client, server, proxy, go)
}

/// Reads nothing until the result is used or dropped.
fn hold(rt: &Runtime) -> SyncSender<()> {
    let ((tell, begun), (go, gate)) = (sync_channel(1), sync_channel::<()>(0));
    rt.io().spawn(async move {
        tell.send(()).unwrap();
        let _ = gate.recv();
    });
    next(&begun);
    go
}

fn measurer(rt: &Runtime) -> Pid {
    rt.spawn_fn(|message: Bytes, cx: &mut Context<'_>| {
        if let Some(reply) = cx.take_reply() {
            reply.send(message.len().to_string().into());
        }
    })
}

/// Asks on a thread of its own.
fn ask(rt: &Runtime, proxy: Pid, len: usize, within: Duration) -> Receiver<Outcome> {
    let (rt, (tell, told)) = (rt.clone(), sync_channel(1));
    std::thread::spawn(move || {
        let answer = rt.ask_blocking(proxy, vec![0; len], within);
        let len = answer
            .map(|answer| String::from_utf8(answer.into_bytes().unwrap().into()).unwrap().parse().unwrap());
        let _ = tell.send(len);
    });
    told
}

fn queued(rt: &Runtime) -> usize {
    rt.node().peers()[0].queued_messages
}

/// A question that fills the queue.
fn fill(client: &Runtime, proxy: Pid) -> Receiver<Outcome> {
    let first = ask(client, proxy, LARGE, DEADLINE);
    eventually("the first waits to be written", || queued(client) == 1);
    first
}

#[test]
fn l10_large_questions_wait_for_room_and_are_all_answered() {
    let network = MemoryNetwork::new();
    let (client, _server, proxy, go) = pair(&network, NodeConfig::default());
    let first = fill(&client, proxy);
    let (tell, told) = sync_channel(4);
    for len in 1..=4 {
        let tell = tell.clone();
        // Who is called back waits for nothing.
        client.ask_then(proxy, vec![0; LARGE + len], None, move |answer| tell.send(answer).unwrap());
    }
    assert_eq!(queued(&client), 1, "they have no room");
    drop(go);
    assert_eq!(next(&first), Ok(LARGE));
    let mut lens: Vec<_> = (1..=4).map(|_| next(&told).unwrap().into_bytes().unwrap()).collect();
    lens.sort();
    let expected: Vec<_> = (1..=4).map(|len| Bytes::from((LARGE + len).to_string())).collect();
    assert_eq!(lens, expected);
}

#[test]
fn g2_nothing_overtakes_a_question_that_waits_for_room() {
    let network = MemoryNetwork::new();
    let (client, server, other, go) = pair(&network, NodeConfig::default());
    let (tell, told) = sync_channel(64);
    let pid = server.spawn_fn(move |message: Bytes, cx: &mut Context<'_>| {
        tell.send(message.len()).unwrap();
        if let Some(reply) = cx.take_reply() {
            reply.send(Bytes::new().into());
        }
    });
    let first = fill(&client, other);
    let addr = client.node().peers()[0].addr.clone();
    drop(go);
    let proxy = client.io().block_on(client.remote(&addr, pid)).unwrap();
    assert_eq!(next(&first), Ok(LARGE));
    for round in 0..20 {
        let go = hold(&server);
        let filled = fill(&client, other);
        // Who is called back goes on at once.
        for len in 1..=3 {
            client.ask_then(proxy, vec![0; LARGE + len], None, |_| {});
            if round % 2 == 0 {
                assert!(matches!(client.send(proxy, "x"), Err(SendError::Full { .. })));
            }
        }
        let small = client.io().spawn({
            let client = client.clone();
            async move { client.send_async(proxy, "x").await.unwrap() }
        });
        drop(go);
        assert_eq!(next(&filled), Ok(LARGE));
        let came: Vec<_> = (0..4).map(|_| next(&told)).collect();
        assert_eq!(came, [LARGE + 1, LARGE + 2, LARGE + 3, 1]);
        client.io().block_on(small).unwrap();
    }
}

#[test]
fn l10_a_question_waits_as_long_as_a_message_would_and_no_longer_than_its_own_time() {
    let network = MemoryNetwork::new();
    let patience = NodeConfig { send_timeout: Duration::from_millis(300), ..NodeConfig::default() };
    let (client, _server, proxy, _go) = pair(&network, patience);
    let _first = fill(&client, proxy);
    assert_eq!(next(&ask(&client, proxy, LARGE, DEADLINE)), Err(AskError::Full(proxy)));
    let short = Duration::from_millis(20);
    assert_eq!(next(&ask(&client, proxy, LARGE, short)), Err(AskError::Timeout(proxy)));
}

#[test]
fn l10_questions_that_wait_for_room_are_bounded_and_who_gives_up_leaves_his_place() {
    let network = MemoryNetwork::new();
    let one = NodeConfig { outbound_messages: 1, ..NodeConfig::default() };
    let (client, _server, proxy, go) = pair(&network, one);
    let first = fill(&client, proxy);
    let asking = |len| Box::pin(client.ask(proxy, vec![0; len], DEADLINE));
    let mut second = asking(LARGE);
    assert!(waits(second.as_mut()));
    assert_eq!(next(&ask(&client, proxy, LARGE, DEADLINE)), Err(AskError::Full(proxy)), "one may");
    drop(second);
    let third = Cell::new(None);
    eventually("the place of who gave up is free", || {
        let mut asked = asking(LARGE);
        let waits = waits(asked.as_mut());
        third.set(waits.then_some(asked));
        waits
    });
    drop(go);
    assert_eq!(next(&first), Ok(LARGE));
    assert!(client.io().block_on(third.take().unwrap()).is_ok());
}

#[test]
fn l10_questions_for_a_name_that_nobody_has_wait_for_room() {
    let network = MemoryNetwork::new();
    let client = start(&network, NodeConfig { outbound_messages: 1, ..NodeConfig::default() });
    let server = start(&network, NodeConfig::default());
    let addr = listen(&server, "server:0");
    let first = measurer(&server);
    server.names().register("svc", first).unwrap();
    let proxy = client.io().block_on(client.follow(&addr, "svc")).unwrap();
    let (tell, told) = sync_channel(1);
    client.on_exit(proxy, move |_| tell.send(()).unwrap());
    server.kill(first);
    next(&told);
    let asked = [1, 2].map(|len| ask(&client, proxy, len, DEADLINE));
    let early = asked.each_ref().map(|told| told.recv_timeout(Duration::from_millis(50)).ok());
    assert_eq!(early, [None, None], "nobody has the name");
    server.names().register("svc", measurer(&server)).unwrap();
    assert_eq!(asked.each_ref().map(next), [Ok(1), Ok(2)]);
}

/// Whether a future waits.
fn waits<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut task::Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn l10_who_sends_to_a_node_that_has_only_dialled_waits_for_room_too() {
    let network = MemoryNetwork::new();
    for patience in [DEADLINE, Duration::from_millis(300)] {
        let config = NodeConfig { down_after: Duration::from_secs(120), ..NodeConfig::default() };
        let client = start(&network, config.clone());
        let server =
            start(&network, NodeConfig { outbound_bytes: 2 << 20, send_timeout: patience, ..config });
        let addr = listen(&server, "server:0");
        let far = client.io().block_on(client.remote(&addr, measurer(&server))).unwrap();
        // Once it has answered, the link is up there too.
        client.io().block_on(client.ask(far, "", DEADLINE)).unwrap();
        let reference = client.reference(measurer(&client));
        let proxy = server.io().block_on(server.remote_by_reference(&reference)).unwrap();
        let go = hold(&client);
        let message = || Bytes::from(vec![0; LARGE]);
        server.send(proxy, message()).unwrap();
        assert!(matches!(server.send(proxy, message()), Err(SendError::Full { .. })), "it is not read");
        let mut sent = Box::pin(server.send_async(proxy, message()));
        let mut asked = Box::pin(server.ask(proxy, message(), DEADLINE));
        assert!(waits(sent.as_mut()) && waits(asked.as_mut()));
        if patience < DEADLINE {
            assert!(matches!(server.io().block_on(sent), Err(SendError::Full { .. })));
            assert_eq!(server.io().block_on(asked).unwrap_err(), AskError::Full(proxy));
        } else {
            drop(go);
            server.io().block_on(sent).unwrap();
            server.io().block_on(asked).unwrap();
        }
    }
}

#[test]
fn g5_every_answer_to_a_question_that_has_run_arrives_however_large_they_are_together() {
    const ASKED: usize = 12;
    let network = MemoryNetwork::new();
    let client = start(&network, NodeConfig::default());
    let server = start(&network, NodeConfig { outbound_bytes: 2 << 20, ..NodeConfig::default() });
    let addr = listen(&server, "server:0");
    for len in [250_000, LARGE] {
        let mut replies = Vec::new();
        // All of them at once, so that the second finds the first.
        let pid = server.spawn_fn(move |_: Bytes, cx: &mut Context<'_>| {
            replies.extend(cx.take_reply());
            if replies.len() == ASKED {
                for reply in replies.drain(..) {
                    reply.send(Bytes::from(vec![0; len]).into());
                }
            }
        });
        let proxy = client.io().block_on(client.remote(&addr, pid)).unwrap();
        let asked: Vec<_> = (0..ASKED).map(|_| Box::pin(client.ask(proxy, "x", DEADLINE))).collect();
        let asked = asked.into_iter().map(|mut asked| {
            assert!(waits(asked.as_mut()));
            asked
        });
        for asked in asked.collect::<Vec<_>>() {
            assert_eq!(client.io().block_on(asked).unwrap().into_bytes().unwrap().len(), len);
        }
    }
}
