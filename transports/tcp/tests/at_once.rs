//! Messages that the sending threads write themselves, and those that the writers of the lanes write.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use common::{local_config, transport};
use myrmidon::Runtime;
use myrmidon::node::RemoteSendError;
use myrmidon_tcp::TcpTransport;

const SENDERS: u64 = 3;
const EACH: u64 = 3_000;
const DEADLINE: Duration = Duration::from_secs(60);

fn runtime(transport: TcpTransport) -> Runtime {
    Runtime::builder().workers(1).transport(Arc::new(transport)).start().unwrap()
}

/// The sender and the number of a message, and a body of another length in each.
fn message(sender: u64, number: u64) -> Bytes {
    let mut data = BytesMut::zeroed(16 + (number * 37 % 7_000) as usize);
    data[..8].copy_from_slice(&sender.to_be_bytes());
    data[8..16].copy_from_slice(&number.to_be_bytes());
    data.freeze()
}

/// Sends with pauses of 0 to 40 us, so that a lane is quiet for some messages and not for others.
fn send_all(here: &Runtime, addr: &myrmidon::transport::NodeAddr, to: myrmidon::Pid, sender: u64) {
    for number in 0..EACH {
        let until = Instant::now() + Duration::from_micros(number * 13 % 40);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        match here.node().try_send(addr, to, message(sender, number)) {
            Err(RemoteSendError::Busy { message, .. }) => {
                here.io().block_on(here.node().send(addr, to, message)).unwrap();
            }
            sent => sent.unwrap(),
        }
    }
}

fn every_sender_is_heard_in_order(there: &Runtime, here: &Runtime) {
    let mut next = vec![0; SENDERS as usize];
    let (tell, told) = sync_channel(1);
    let to = there.spawn_fn(move |mut data: Bytes, _| {
        let len = data.len();
        let (sender, number) = (data.get_u64(), data.get_u64());
        let expected = std::mem::replace(&mut next[sender as usize], number + 1);
        assert_eq!((number, len), (expected, message(sender, number).len()), "of sender {sender}");
        if next.iter().all(|next| *next == EACH) {
            tell.send(()).unwrap();
        }
    });
    let addr = there.io().block_on(there.node().listen(&"127.0.0.1:0".parse().unwrap())).unwrap();
    let found = here.io().block_on(here.node().resolve(&addr, "nobody"));
    assert_eq!(found.unwrap(), None);
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            let addr = &addr;
            scope.spawn(move || send_all(here, addr, to, sender));
        }
    });
    told.recv_timeout(DEADLINE).expect("every message in its order");
}

#[test]
fn g1_messages_arrive_in_order_whichever_thread_writes_them_to_tcp() {
    every_sender_is_heard_in_order(&runtime(TcpTransport::default()), &runtime(TcpTransport::default()));
}

#[test]
fn g1_messages_arrive_in_order_whichever_thread_writes_them_to_tls() {
    let dir = tempfile::tempdir().unwrap();
    let tls = || runtime(transport(local_config(dir.path())));
    every_sender_is_heard_in_order(&tls(), &tls());
}
