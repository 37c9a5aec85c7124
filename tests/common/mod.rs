//! Helpers shared by the tests of the runtime.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses some of them, and a test may panic")]

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use myrmidon::actor::{Context, ExitReason, Flow, SpawnOptions, bytes_fn};
use myrmidon::config::{NodeConfig, RuntimeConfig};
use myrmidon::runtime::Event;
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::{Pid, Runtime};

/// How long a condition may take before a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) fn runtime() -> Runtime {
    Runtime::builder().workers(2).start().unwrap()
}

/// A runtime on an in-process network.
pub(crate) fn start(network: &MemoryNetwork, node: NodeConfig) -> Runtime {
    Runtime::builder()
        .config(RuntimeConfig { workers: 2, node, ..RuntimeConfig::default() })
        .transport(Arc::new(MemoryTransport::new(network)))
        .start()
        .unwrap()
}

/// The address at which others reach it now.
pub(crate) fn listen(rt: &Runtime, addr: &str) -> NodeAddr {
    rt.io().block_on(rt.node().listen(&addr.parse().unwrap())).unwrap()
}

/// A runtime that keeps the PIDs of the crashes that nobody heard of.
pub(crate) fn crash_recorder(workers: usize) -> (Runtime, Arc<Mutex<Vec<Pid>>>) {
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let heard = crashes.clone();
    let record = move |event: &Event| {
        if let Event::Crash { pid, .. } = event {
            heard.lock().unwrap().push(*pid);
        }
    };
    (Runtime::builder().workers(workers).on_event(Arc::new(record)).start().unwrap(), crashes)
}

/// Waits until the condition holds.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An actor that passes on every message as text.
pub(crate) fn echo(rt: &Runtime, tag: &'static str) -> (Pid, Receiver<String>) {
    let (tell, told) = sync_channel(10_000);
    (rt.spawn_fn(teller(tag, tell)), told)
}

/// The function of such an actor. `panic`, `stop` and `wait` are orders.
pub(crate) fn teller(
    tag: &'static str,
    tell: SyncSender<String>,
) -> impl FnMut(Bytes, &mut Context<'_>) -> Flow + Send + 'static {
    move |message, _| {
        let text = String::from_utf8_lossy(&message).into_owned();
        assert!(text != "panic", "as ordered");
        let flow = if text == "stop" {
            Flow::Stop(ExitReason::Other("as asked".to_owned()))
        } else {
            Flow::Continue
        };
        let _ = tell.send(format!("{tag}{text}"));
        flow
    }
}

/// An actor that is held at its first message until the returned sender is used or dropped.
pub(crate) fn held(rt: &Runtime, tag: &'static str) -> (Pid, SyncSender<()>, Receiver<String>) {
    held_with(rt, tag, SpawnOptions::default())
}

pub(crate) fn held_with(
    rt: &Runtime,
    tag: &'static str,
    options: SpawnOptions,
) -> (Pid, SyncSender<()>, Receiver<String>) {
    let (tell, told) = sync_channel(10_000);
    let (go, gate) = sync_channel::<()>(1);
    let mut inner = teller(tag, tell.clone());
    let mut gate = Some(gate);
    let pid = rt.spawn_behaviour(
        Box::new(bytes_fn(move |message, cx: &mut Context<'_>| {
            if let Some(gate) = gate.take() {
                let _ = tell.send("held".to_owned());
                let _ = gate.recv();
            }
            inner(message, cx)
        })),
        options,
    );
    rt.send(pid, "first").unwrap();
    assert_eq!(next(&told), "held");
    (pid, go, told)
}

/// The reason with which the actor will end.
pub(crate) fn watch(rt: &Runtime, pid: Pid) -> Receiver<ExitReason> {
    let (tell, told) = sync_channel(1);
    rt.on_exit(pid, move |reason| tell.send(reason.clone()).unwrap());
    told
}

pub(crate) fn next<T>(told: &Receiver<T>) -> T {
    told.recv_timeout(DEADLINE).expect("an answer in time")
}
