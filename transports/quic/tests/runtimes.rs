//! Whole runtimes over QUIC.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{DEADLINE, local};
use myrmidon::actor::SpawnOptions;
use myrmidon::node::DownReason;
use myrmidon::transport::NodeAddr;
use myrmidon::{Pid, Runtime};

fn runtime(state: &Path) -> Runtime {
    Runtime::builder().workers(1).transport(Arc::new(local(state))).start().unwrap()
}

/// A runtime that listens, with an actor called "sink" that keeps what it gets.
fn sink(state: &Path) -> (Runtime, NodeAddr, Pid) {
    let runtime = runtime(state);
    let addr = runtime.io().block_on(runtime.node().listen(&"127.0.0.1:0".parse().unwrap())).unwrap();
    let pid = runtime.spawn_observed(SpawnOptions::default());
    runtime.names().register("sink", pid).unwrap();
    (runtime, addr, pid)
}

fn resolve(runtime: &Runtime, addr: &NodeAddr) -> Pid {
    runtime.io().block_on(runtime.node().resolve(addr, "sink")).unwrap().unwrap()
}

#[track_caller]
fn eventually(what: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !what() {
        assert!(Instant::now() < deadline, "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn g8_a_runtime_that_shuts_down_in_good_order_loses_nothing() {
    const COUNT: u32 = 10_000;
    let dir = tempfile::tempdir().unwrap();
    let (there, addr, pid) = sink(dir.path());
    let here = runtime(dir.path());
    let remote = resolve(&here, &addr);
    assert_eq!(remote, pid);
    for number in 0..COUNT {
        let message = Bytes::copy_from_slice(&number.to_be_bytes());
        here.io().block_on(here.node().send(&addr, remote, message)).unwrap();
    }
    assert_eq!(here.shutdown(DEADLINE), 0);
    eventually(|| there.mailbox_size(pid) == Some(0));
    let got = there.take_messages(pid).unwrap();
    assert_eq!(got.len(), COUNT as usize);
}

#[test]
fn a_runtime_that_shuts_down_is_missed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (there, addr, pid) = sink(dir.path());
    let here = runtime(dir.path());
    let (tell, told) = sync_channel(1);
    here.node().monitor(&addr, pid, Box::new(move |down| tell.send(down).unwrap()));
    eventually(|| here.node().peers().iter().any(|peer| peer.round_trip.is_some()));
    there.shutdown(Duration::from_secs(1));
    let down = told.recv_timeout(DEADLINE).unwrap();
    // Not by its silence, which takes 5 s to tell.
    assert_eq!(down.reason, DownReason::Left);
}
