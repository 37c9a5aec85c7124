//! Lanes whose drivers drive the sockets while they wait, and what becomes of the sockets where one does not come back to them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::future::pending;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, eventually, listen, next, start};
use myrmidon::actor::{Context, SpawnOptions, bytes_fn};
use myrmidon::config::NodeConfig;
use myrmidon::scheduler::Lane;
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};

const DRIVER: &str = "driver";

/// A node with a lane that a thread of the test drives, and an actor there called "svc", which answers. Some words are orders
/// to it: "wait" until it is let go, the same after it has said so ("excused"), and to "leave" the lane without a driver.
struct Served {
    rt: Runtime,
    lane: Arc<Lane>,
    svc: Pid,
    addr: NodeAddr,
    /// The orders that it has begun.
    told: Receiver<Bytes>,
    go: SyncSender<()>,
    driver: JoinHandle<()>,
}

fn served(network: &MemoryNetwork) -> Served {
    let rt = start(network, NodeConfig::default());
    let addr = listen(&rt, "server:0");
    let lane = rt.open_lane("test");
    let ((tell, told), (go, gate)) = (sync_channel(1000), sync_channel::<()>(1));
    let (leave, leaves) = sync_channel(1);
    let excuses = lane.clone();
    let svc = bytes_fn(move |message: Bytes, cx: &mut Context<'_>| {
        match &message[..] {
            b"wait" | b"excused" => {
                if message == "excused" {
                    excuses.excuse();
                }
                let _ = tell.send(message.clone());
                let _ = gate.recv();
            }
            b"leave" => leave.send(()).unwrap(),
            _ => {}
        }
        if let Some(reply) = cx.take_reply() {
            reply.send(message.into());
        }
    });
    let options = SpawnOptions { lane: lane.id(), ..SpawnOptions::default() };
    let svc = rt.spawn_behaviour(Box::new(svc), options);
    rt.names().register("svc", svc).unwrap();
    let driven = lane.clone();
    let drive = move || {
        while !driven.is_closed() && leaves.try_recv().is_err() {
            driven.attend(None);
            driven.run(DEADLINE, || true);
        }
    };
    let driver = thread::Builder::new().name(DRIVER.to_owned()).spawn(drive).unwrap();
    Served { rt, lane, svc, addr, told, go, driver }
}

/// Who drives the sockets.
fn who_drives(rt: &Runtime) -> String {
    let (tell, told) = sync_channel(1);
    rt.io().spawn(async move { tell.send(thread::current().name().unwrap_or_default().to_owned()).unwrap() });
    next(&told)
}

fn send_there(rt: &Runtime, to: Pid, word: &'static str) {
    let there = rt.clone();
    rt.io().spawn(async move { there.send(to, word).unwrap() });
}

/// Sends from the thread of the sockets until the driver of the lane drives them.
fn borrow(served: &Served) {
    eventually("the driver of the lane drives the sockets", || {
        send_there(&served.rt, served.svc, "message");
        who_drives(&served.rt) == DRIVER
    });
}

fn answers(rt: &Runtime, addr: &NodeAddr) {
    let svc = rt.io().block_on(rt.remote(addr, "svc")).unwrap();
    let answer = rt.ask_blocking(svc, "question", DEADLINE).unwrap();
    assert_eq!(answer.into_bytes().unwrap(), "question");
}

#[test]
fn a_driver_that_waits_drives_the_sockets_while_messages_come_and_no_longer() {
    let network = MemoryNetwork::new();
    let (served, client) = (served(&network), start(&network, NodeConfig::default()));
    for _ in 0..3 {
        borrow(&served);
        (0..100).for_each(|_| answers(&client, &served.addr));
        eventually("they are given back", || who_drives(&served.rt) != DRIVER);
    }
    answers(&client, &served.addr);
}

#[test]
fn s42_a_handler_of_a_lane_that_drives_the_sockets_holds_up_no_connection() {
    let network = MemoryNetwork::new();
    let (served, client) = (served(&network), start(&network, NodeConfig::default()));
    for order in ["wait", "excused"] {
        answers(&client, &served.addr);
        borrow(&served);
        send_there(&served.rt, served.svc, order);
        assert_eq!(next(&served.told), order);
        client.io().block_on(client.node().ping(&served.addr)).unwrap();
        // And on a connection that is made only now.
        let other = start(&network, NodeConfig::default());
        other.io().block_on(other.node().ping(&served.addr)).unwrap();
        assert_ne!(who_drives(&served.rt), DRIVER);
        served.go.send(()).unwrap();
    }
    answers(&client, &served.addr);
    borrow(&served);
}

#[test]
fn what_others_send_to_a_lane_that_drives_the_sockets_is_run() {
    let served = served(&MemoryNetwork::new());
    for _ in 0..100 {
        borrow(&served);
        served.rt.ask_blocking(served.svc, "question", DEADLINE).unwrap();
        let (tell, told) = sync_channel(1);
        served.lane.submit(Box::new(move || tell.send(()).unwrap()));
        next(&told);
    }
}

#[test]
fn a_driver_that_leaves_its_lane_gives_the_sockets_back() {
    let network = MemoryNetwork::new();
    let (served, client) = (served(&network), start(&network, NodeConfig::default()));
    borrow(&served);
    send_there(&served.rt, served.svc, "leave");
    served.driver.join().unwrap();
    client.io().block_on(client.node().ping(&served.addr)).unwrap();
    assert_ne!(who_drives(&served.rt), DRIVER);
}

#[test]
fn closing_a_lane_that_drives_the_sockets_ends_its_driver() {
    let network = MemoryNetwork::new();
    let (served, client) = (served(&network), start(&network, NodeConfig::default()));
    borrow(&served);
    served.lane.close();
    served.driver.join().unwrap();
    client.io().block_on(client.node().ping(&served.addr)).unwrap();
}

#[test]
fn a_runtime_ends_while_a_lane_drives_its_sockets() {
    for dropped in [false, true] {
        let served = served(&MemoryNetwork::new());
        let (guard, ended) = sync_channel::<()>(1);
        served.rt.io().spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        borrow(&served);
        if !dropped {
            served.rt.shutdown(Duration::ZERO);
        }
        drop(served.rt);
        served.driver.join().unwrap();
        assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected), "tasks end as well");
    }
}
