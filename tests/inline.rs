//! Handlers that the thread of the sockets runs itself, and what becomes of the sockets where one does not return.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use common::{DEADLINE, eventually, listen, next, start};
use myrmidon::actor::{Context, Flow};
use myrmidon::config::NodeConfig;
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};

/// Whether the thread of the sockets runs this.
fn is_inline() -> bool {
    thread::current().name() == Some("myrmidon-io")
}

fn node(network: &MemoryNetwork) -> Runtime {
    start(network, NodeConfig::default())
}

/// A server with an actor "svc" that answers, and "held", which does not return from a message that it handles on the
/// thread of the sockets before it is let go. It says of each message whether that is so.
struct Server {
    rt: Runtime,
    addr: NodeAddr,
    told: Receiver<bool>,
    go: SyncSender<()>,
}

fn server(network: &MemoryNetwork) -> Server {
    let rt = node(network);
    let addr = listen(&rt, "server:0");
    let answer = rt.spawn_fn(|message: Bytes, cx: &mut Context<'_>| {
        if let Some(reply) = cx.take_reply() {
            reply.send(message.into());
        }
        Flow::Continue
    });
    let ((tell, told), (go, gate)) = (sync_channel(1000), sync_channel::<()>(1));
    let held = rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| {
        let inline = is_inline();
        tell.send(inline).unwrap();
        if inline {
            let _ = gate.recv();
        }
    });
    rt.names().register("svc", answer).unwrap();
    rt.names().register("held", held).unwrap();
    Server { rt, addr, told, go }
}

fn remote(rt: &Runtime, addr: &NodeAddr, name: &str) -> Pid {
    rt.io().block_on(rt.remote(addr, name)).unwrap()
}

fn answers(rt: &Runtime, pid: Pid) {
    let answer = rt.ask_blocking(pid, "question", DEADLINE).unwrap();
    assert_eq!(answer.into_bytes().unwrap(), "question");
}

/// Sends until the thread of the sockets has taken one.
fn hold(client: &Runtime, server: &Server) {
    let held = remote(client, &server.addr, "held");
    let deadline = Instant::now() + DEADLINE;
    loop {
        client.send(held, "hold").unwrap();
        if next(&server.told) {
            return;
        }
        assert!(Instant::now() < deadline, "no handler runs on the thread of the sockets");
    }
}

#[test]
fn s42_a_handler_that_holds_up_the_thread_of_the_sockets_holds_up_no_connection() {
    let network = MemoryNetwork::new();
    let (server, client, other) = (server(&network), node(&network), node(&network));
    hold(&client, &server);
    // On the connection over which the message came, and on one that is made only now.
    for rt in [&client, &other] {
        rt.io().block_on(rt.node().ping(&server.addr)).unwrap();
        let svc = remote(rt, &server.addr, "svc");
        (0..100).for_each(|_| answers(rt, svc));
    }
    // Once it is back there is again one that stands by, so that another message may be handled there.
    server.go.send(()).unwrap();
    hold(&client, &server);
    answers(&other, remote(&other, &server.addr, "svc"));
    server.go.send(()).unwrap();
}

#[test]
fn a_handler_on_the_thread_of_the_sockets_may_wait_for_what_comes_over_them() {
    let network = MemoryNetwork::new();
    let (server, client) = (server(&network), node(&network));
    let here = listen(&client, "client:0");
    let svc = remote(&client, &server.addr, "svc");
    let rt = client.clone();
    let (tell, told) = sync_channel(1000);
    let asker = client.spawn_fn(move |_: Bytes, _: &mut Context<'_>| {
        let inline = is_inline();
        answers(&rt, svc);
        tell.send(inline).unwrap();
    });
    client.names().register("asker", asker).unwrap();
    let asker = remote(&server.rt, &here, "asker");
    eventually("it runs on the thread of the sockets", || {
        server.rt.send(asker, "ask").unwrap();
        next(&told)
    });
}

#[test]
fn a_runtime_ends_though_a_handler_does_not_leave_the_thread_of_its_sockets() {
    let network = MemoryNetwork::new();
    let (server, client) = (server(&network), node(&network));
    hold(&client, &server);
    let Server { rt, addr, go, .. } = server;
    drop(rt);
    eventually("the connection has ended", || {
        !client.node().peers().iter().any(|peer| peer.addr == addr && peer.connected)
    });
    drop(go);
}
