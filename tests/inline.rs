//! Handlers that the thread of the sockets runs itself, and what becomes of the sockets where one does not return.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{DEADLINE, eventually, held, listen, next, runtime, start};
use myrmidon::actor::{Context, ExitReason, Flow, SpawnOptions, bytes_fn};
use myrmidon::config::NodeConfig;
use myrmidon::runtime::Event;
use myrmidon::supervision::SupervisorSpec;
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

/// A handler that answers with its question.
fn reply(message: Bytes, cx: &mut Context<'_>) {
    if let Some(reply) = cx.take_reply() {
        reply.send(message.into());
    }
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
    let answer = rt.spawn_fn(reply);
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

/// Sends each of them a message from the thread of the sockets, in one task.
fn send_there(rt: &Runtime, to: &[Pid]) {
    let (there, to) = (rt.clone(), to.to_vec());
    rt.io().spawn(async move { to.into_iter().for_each(|pid| there.send(pid, "message").unwrap()) });
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
fn s42_a_handler_on_the_thread_of_the_sockets_that_says_it_waits_is_reported_only_if_it_holds_up_after() {
    let (tell, reports) = sync_channel(10_000);
    let sink = move |event: &Event| {
        if let Event::Stalled { pid, .. } = event {
            let _ = tell.try_send(*pid);
        }
    };
    let rt = Runtime::builder().workers(2).on_event(Arc::new(sink)).start().unwrap();
    let ((tell, told), (go, gate)) = (sync_channel(1000), sync_channel::<()>(1));
    let waits = rt.spawn_fn(move |_: Bytes, cx: &mut Context<'_>| {
        let inline = is_inline();
        tell.send(inline).unwrap();
        if inline {
            cx.block_in_place(|| gate.recv()).unwrap();
            let _ = gate.recv();
        }
    });
    eventually("it runs on the thread of the sockets", || {
        send_there(&rt, &[waits]);
        next(&told)
    });
    let ran = |rt: &Runtime| rt.info(waits).unwrap().run_time;
    let before = ran(&rt);
    // One that began later and does not say so is reported, and again when it has lasted twice as long.
    let (stalls, _let_go, _told) = held(&rt, "");
    assert_eq!([next(&reports), next(&reports)], [stalls, stalls]);
    // One look may have seen it just before.
    assert!(ran(&rt) - before <= rt.config().stall_after, "it has not run, but waited");
    go.send(()).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while next(&reports) != waits {
        assert!(Instant::now() < deadline, "it holds up its thread now");
    }
    drop(go);
}

#[test]
fn a_runtime_ends_though_a_handler_does_not_leave_the_thread_of_its_sockets() {
    let network = MemoryNetwork::new();
    let (server, client) = (server(&network), node(&network));
    hold(&client, &server);
    let Server { rt, addr, go, .. } = server;
    let (guard, ended) = sync_channel::<()>(1);
    let io = rt.io().clone();
    io.spawn(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    drop(rt);
    eventually("the connection has ended", || {
        !client.node().peers().iter().any(|peer| peer.addr == addr && peer.connected)
    });
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected), "tasks end as well");
    drop(go);
}

/// The state of an actor whose end takes a moment, and begins where it says.
struct SlowEnd {
    begun: SyncSender<bool>,
    go: Receiver<()>,
    over: Arc<AtomicBool>,
}

impl Drop for SlowEnd {
    fn drop(&mut self) {
        let _ = self.begun.send(is_inline());
        let _ = self.go.recv();
        // So that everything else has ended by then.
        let _ = self.go.recv_timeout(Duration::from_millis(100));
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Lets go of what waits for it when its actor is killed.
struct LastWord(SyncSender<()>);

impl Drop for LastWord {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_shutdown_waits_for_an_actor_that_ends_on_the_thread_of_the_sockets() {
    let rt = runtime();
    let over = Arc::new(AtomicBool::new(false));
    let (begun, has_begun) = sync_channel(1);
    let (go, gate) = sync_channel(1);
    let ((tell, told), state) = (sync_channel(1000), SlowEnd { begun, go: gate, over: over.clone() });
    let ends = rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| {
        let _state = &state;
        let inline = is_inline();
        tell.send(inline).unwrap();
        if inline { Flow::Stop(ExitReason::Normal) } else { Flow::Continue }
    });
    let word = LastWord(go.clone());
    rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| {
        let _word = &word;
    });
    eventually("it runs on the thread of the sockets", || {
        send_there(&rt, &[ends]);
        next(&told)
    });
    assert!(next(&has_begun), "it ends there too");
    rt.shutdown(Duration::ZERO);
    assert!(over.load(Ordering::SeqCst), "its state has been dropped");
    drop(go);
}

#[test]
fn a_slice_on_the_thread_of_the_sockets_handles_a_few_messages_whatever_the_budget_and_workers_the_rest() {
    let rt = runtime();
    for budget in [16, 24, 40, 100, 128, 200, 1000] {
        let (tell, told) = sync_channel(1000);
        let tells = bytes_fn(move |_, _: &mut Context<'_>| tell.send(is_inline()).unwrap());
        let options = SpawnOptions { budget: Some(budget), ..SpawnOptions::default() };
        let pid = rt.spawn_behaviour(Box::new(tells), options);
        eventually("the first eight are handled on the thread of the sockets", || {
            send_there(&rt, &[pid; 100]);
            let inline: Vec<_> = (0..100).map(|_| next(&told)).collect();
            // Where a worker was first, it may have run out of messages while they were sent.
            let few = inline.iter().take_while(|inline| **inline).count();
            assert!(few <= 8, "{few} of a budget of {budget}");
            assert!(few == 0 || inline[few..].iter().all(|inline| !inline), "what is left is a worker's");
            few == 8
        });
    }
}

#[test]
fn an_actor_kept_for_the_thread_of_the_sockets_is_a_workers_if_one_woke_meanwhile() {
    let rt = runtime();
    let ((tell, told), (go, gate)) = (sync_channel(1), sync_channel(1));
    let kept = rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| {
        tell.send(is_inline()).unwrap();
        go.send(()).unwrap();
    });
    // It keeps its worker awake until the other one has run.
    let wakes = rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| next(&gate));
    for _ in 0..50 {
        send_there(&rt, &[kept, wakes]);
        assert!(!next(&told));
    }
}

/// Runs it in one task on the thread of the sockets after another.
fn in_tasks(rt: &Runtime, job: impl Fn(&Runtime) + Send + Sync + 'static) {
    let job = Arc::new(job);
    for _ in 0..50 {
        let ((tell, told), job, rt_there) = (sync_channel(1), job.clone(), rt.clone());
        rt.io().spawn(async move {
            job(&rt_there);
            drop(rt_there);
            tell.send(()).unwrap();
        });
        next(&told);
    }
}

#[test]
fn a_task_on_the_thread_of_the_sockets_may_wait_for_an_answer_of_whom_it_made_ready() {
    let rt = runtime();
    let answer = rt.spawn_fn(reply);
    in_tasks(&rt, move |rt| answers(rt, answer));
}

#[test]
fn a_task_on_the_thread_of_the_sockets_may_start_a_supervisor_and_wait_for_it() {
    in_tasks(&runtime(), |rt| drop(rt.supervise(SupervisorSpec::one_for_one()).unwrap()));
}

#[test]
fn a_task_on_the_thread_of_the_sockets_may_wait_for_whom_it_made_ready_without_saying_so() {
    let rt = runtime();
    let (tell, told) = sync_channel(1);
    let pid = rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| tell.send(()).unwrap());
    let told = Mutex::new(told);
    in_tasks(&rt, move |rt| {
        rt.send(pid, "message").unwrap();
        next(&told.lock().unwrap());
    });
}

#[test]
fn a_task_on_the_thread_of_the_sockets_that_ends_its_runtime_ends_whom_it_made_ready() {
    let rt = runtime();
    let (guard, ended) = sync_channel::<()>(1);
    let (tell, told) = sync_channel(1000);
    let pid = rt.spawn_fn(move |_: Bytes, _: &mut Context<'_>| {
        let _guard = &guard;
        let _ = tell.send(is_inline());
    });
    eventually("it runs on the thread of the sockets", || {
        send_there(&rt, &[pid]);
        next(&told)
    });
    let io = rt.io().clone();
    io.spawn(async move {
        rt.send(pid, "last").unwrap();
        drop(rt);
    });
    assert_eq!(ended.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected), "its state is dropped");
}
