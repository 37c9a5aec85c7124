//! Questions to other nodes wait for room on their way, as messages do (L10).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::cell::Cell;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{self, Waker};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, eventually, listen, next, start};
use myrmidon::actor::{AskError, Context};
use myrmidon::config::NodeConfig;
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
    let ((tell, begun), (go, gate)) = (sync_channel(1), sync_channel::<()>(0));
    server.io().spawn(async move {
        tell.send(()).unwrap();
        let _ = gate.recv();
    });
    next(&begun);
    (client, server, proxy, go)
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
    let waits = second.as_mut().poll(&mut task::Context::from_waker(Waker::noop())).is_pending();
    assert!(waits);
    assert_eq!(next(&ask(&client, proxy, LARGE, DEADLINE)), Err(AskError::Full(proxy)), "one may");
    drop(second);
    let third = Cell::new(None);
    eventually("the place of who gave up is free", || {
        let mut asked = asking(LARGE);
        let waits = asked.as_mut().poll(&mut task::Context::from_waker(Waker::noop())).is_pending();
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
