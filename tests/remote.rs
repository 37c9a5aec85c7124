//! Actors of other nodes behind PIDs of this one.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, held_with, listen, next, start, watch};
use myrmidon::actor::{
    Actor, AskError, Context, ExitCause, ExitReason, Flow, Observed, Reference, Reply, SpawnOptions,
    SystemMessage, bytes_fn,
};
use myrmidon::config::{Level, NodeConfig};
use myrmidon::error::{SendError, SwapError};
use myrmidon::mailbox::{Mailbox, Overflow, Payload};
use myrmidon::node::{RemoteError, ResolveError};
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};

const LONG: Duration = DEADLINE;

fn node(network: &MemoryNetwork) -> Runtime {
    node_with(network, NodeConfig::default())
}

fn node_with(network: &MemoryNetwork, node: NodeConfig) -> Runtime {
    start(network, NodeConfig { heartbeat: Duration::from_millis(50), ..node })
}

fn remote(rt: &Runtime, addr: &NodeAddr, name: &str) -> Pid {
    rt.io().block_on(rt.remote(addr, name)).unwrap()
}

/// A server with an actor that answers, under the name "svc", and a client.
fn pair(network: &MemoryNetwork) -> (Runtime, Runtime, NodeAddr, Pid) {
    let (client, server) = (node(network), node(network));
    let addr = listen(&server, "server:0");
    let pid = clerk(&server);
    server.names().register("svc", pid).unwrap();
    (client, server, addr, pid)
}

/// Answers with what it was asked, unless that is an order.
fn clerk(rt: &Runtime) -> Pid {
    let mut kept = Vec::new();
    rt.spawn_fn(move |message: Bytes, cx: &mut Context<'_>| match &message[..] {
        b"panic" => panic!("as ordered"),
        b"stop" => Flow::Stop(ExitReason::Other("closing".into())),
        b"keep" => {
            kept.extend(cx.take_reply());
            Flow::Continue
        }
        b"release" => {
            for reply in kept.drain(..) {
                reply.send("late".into());
            }
            Flow::Continue
        }
        b"forget" => Flow::Continue,
        _ => {
            if let Some(reply) = cx.take_reply() {
                reply.send(message.into());
            }
            Flow::Continue
        }
    })
}

fn ask(rt: &Runtime, pid: Pid, text: impl Into<Payload>) -> Result<Bytes, AskError> {
    rt.ask_blocking(pid, text, LONG).map(|answer| answer.into_bytes().unwrap())
}

/// An actor that traps exits and passes on what it is told.
fn trapper(rt: &Runtime) -> (Pid, Receiver<(Pid, ExitReason, ExitCause)>) {
    struct Trapper(SyncSender<(Pid, ExitReason, ExitCause)>);
    impl Actor for Trapper {
        type Msg = Bytes;
        fn handle(&mut self, _: Bytes, _: &mut Context<'_>) -> Flow {
            Flow::Continue
        }
        fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
            if let SystemMessage::Exit { target, reason, cause } = message {
                self.0.send((target, reason, cause)).unwrap();
            }
            Flow::Continue
        }
    }
    let (tell, told) = sync_channel(1000);
    let options = SpawnOptions { trap_exit: true, ..SpawnOptions::default() };
    (rt.spawn_with(Trapper(tell), options).pid(), told)
}

#[test]
fn a_proxy_takes_messages_and_questions_in_order() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    let (tell, told) = sync_channel(10_000);
    let pid = server.spawn_fn(move |message: Bytes, cx: &mut Context<'_>| {
        tell.send(String::from_utf8_lossy(&message).into_owned()).unwrap();
        if let Some(reply) = cx.take_reply() {
            reply.send(message.into());
        }
    });
    server.names().register("svc", pid).unwrap();
    let proxy = remote(&client, &addr, "svc");
    assert!(client.is_remote(proxy) && client.is_alive(proxy) && proxy != pid);
    for n in 0..1000 {
        client.send(proxy, n.to_string()).unwrap();
        if n % 100 == 0 {
            assert_eq!(ask(&client, proxy, format!("ask {n}")).unwrap(), format!("ask {n}"), "G2");
        }
    }
    for n in 0..1000 {
        assert_eq!(next(&told), n.to_string());
        if n % 100 == 0 {
            assert_eq!(next(&told), format!("ask {n}"));
        }
    }
    assert_eq!(remote(&client, &addr, "svc"), proxy, "one actor has one proxy");
    assert_eq!(client.io().block_on(client.remote(&addr, pid)).unwrap(), proxy);
    assert!(client.actors().is_empty(), "it is no actor of this runtime");
}

#[test]
fn g5_every_question_to_another_node_has_one_outcome() {
    let network = MemoryNetwork::new();
    let (client, server, addr, _) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    assert_eq!(ask(&client, proxy, "forget"), Err(AskError::NoReply(proxy)));
    let short = client.ask_blocking(proxy, "keep", Duration::from_millis(10));
    assert!(matches!(short, Err(AskError::Timeout(pid)) if pid == proxy));
    client.send(proxy, "release").unwrap();
    assert_eq!(ask(&client, proxy, "still there"), Ok("still there".into()));
    eventually("the late answer is counted", || client.late_replies() == 1);

    let typed = server.spawn(Counter).pid();
    server.names().register("typed", typed).unwrap();
    let far = remote(&client, &addr, "typed");
    assert_eq!(ask(&client, far, "x"), Err(AskError::NotBytes(far)));
    let value = Payload::Value(myrmidon::mailbox::Value::new(7));
    assert!(matches!(client.ask_blocking(proxy, value, LONG), Err(AskError::Unsendable { .. })));
    let huge = vec![0; (64 << 20) + 1];
    assert!(matches!(ask(&client, proxy, huge), Err(AskError::Unsendable { .. })));

    let reason = ExitReason::Other("closing".into());
    assert_eq!(ask(&client, proxy, "stop"), Err(AskError::Ended { pid: proxy, reason }));
    eventually("the proxy ends with its actor", || !client.is_alive(proxy));
    assert_eq!(ask(&client, proxy, "hello"), Err(AskError::NoProcess(proxy)));
    assert!(matches!(client.send(proxy, "hello"), Err(SendError::NoProcess { .. })));
}

struct Counter;

impl Actor for Counter {
    type Msg = u64;

    fn handle(&mut self, _: u64, _: &mut Context<'_>) -> Flow {
        Flow::Continue
    }
}

#[test]
fn s38_the_end_of_the_actor_or_of_the_connection_ends_a_question_at_once() {
    let network = MemoryNetwork::new();
    let (client, server, addr, _) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    let outcome = ask(&client, proxy, "panic");
    assert!(matches!(outcome, Err(AskError::Ended { reason: ExitReason::Panic(_), .. })), "{outcome:?}");

    let keeper = clerk(&server);
    server.names().register("keeper", keeper).unwrap();
    let proxy = remote(&client, &addr, "keeper");
    let (asker, done) = (client.clone(), sync_channel(10));
    for _ in 0..10 {
        let (rt, tell) = (asker.clone(), done.0.clone());
        std::thread::spawn(move || tell.send(ask(&rt, proxy, "keep")).unwrap());
    }
    eventually("all are asked", || server.mailbox_size(keeper) == Some(0));
    // Those that are still under way are lost as well.
    network.cut(&addr);
    for _ in 0..10 {
        let outcome = next(&done.1);
        assert!(matches!(outcome, Err(AskError::NoConnection { .. })), "{outcome:?}");
    }
}

#[test]
fn large_questions_and_answers_travel_in_chunks() {
    let network = MemoryNetwork::new();
    let (client, server, addr, _) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    let large: Bytes = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(ask(&client, proxy, large.clone()).unwrap() == large);
    let (tell, told) = sync_channel(1);
    // An actor asks: its answer comes in its own lane, and is not for nobody.
    let asking = client.clone();
    let asker = client.spawn_fn(move |message: Bytes, _| {
        tell.send(ask(&asking, proxy, message).unwrap()).unwrap();
    });
    client.send(asker, large.clone()).unwrap();
    assert!(next(&told) == large);
    assert!(server.is_alive(server.names().whereis("svc").unwrap()));
}

#[test]
fn large_payloads_that_nobody_wants_hold_up_nobody() {
    let network = MemoryNetwork::new();
    // Few bytes at a time, so that a large payload is under way for long.
    let narrow = NodeConfig { credit_bytes: 128 << 10, ..NodeConfig::default() };
    let (client, server) = (node(&network), node_with(&network, narrow));
    let addr = listen(&server, "server:0");
    let (dying, living) = (clerk(&server), clerk(&server));
    let at = |pid| client.io().block_on(client.remote(&addr, pid)).unwrap();
    let (dying_at, living_at) = (at(dying), at(living));
    let large = Bytes::from(vec![7; 2 << 20]);
    let letters = server.dead_letters();
    for _ in 0..2 {
        client.send(dying_at, large.clone()).unwrap();
    }
    server.kill(dying);
    // Given up before it is there, unless this thread sleeps meanwhile.
    eventually("a question is given up", || {
        let late = client.ask_blocking(living_at, large.clone(), Duration::from_millis(1));
        matches!(late, Err(AskError::Timeout(_)))
    });
    assert_eq!(ask(&client, living_at, large.clone()).unwrap().len(), large.len());
    assert_eq!(ask(&client, living_at, "behind"), Ok("behind".into()));
    eventually("nothing is left", || {
        let peers = client.node().peers();
        peers.iter().all(|peer| peer.queued_messages == 0) && server.dead_letters() <= letters + 2
    });
}

#[test]
fn s24_s25_monitors_of_a_proxy_tell_why_its_actor_ended() {
    let network = MemoryNetwork::new();
    let (client, server, addr, pid) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    let (observer, told) = trapper(&client);
    let (first, second) = (client.monitor(observer, proxy), client.monitor(observer, proxy));
    let taken_back = client.monitor(observer, proxy);
    client.demonitor(observer, taken_back);
    let ended = watch(&client, proxy);
    server.send(pid, "panic").unwrap();
    let mut causes = Vec::new();
    for _ in 0..2 {
        let (target, reason, cause) = next(&told);
        assert_eq!(target, proxy);
        assert!(matches!(reason, ExitReason::Panic(_)), "{reason}");
        causes.push(cause);
    }
    assert_eq!(causes, [ExitCause::Monitor(first), ExitCause::Monitor(second)], "S26");
    assert!(matches!(next(&ended), ExitReason::Panic(_)));
    eventually("the proxy ends", || !client.is_alive(proxy));
    let again = client.monitor(observer, proxy);
    assert_eq!(next(&told), (proxy, ExitReason::NoProcess, ExitCause::Monitor(again)), "S24");
    assert!(client.io().block_on(client.remote(&addr, "svc")).is_err());
    let dead = client.io().block_on(client.remote(&addr, pid)).unwrap();
    let of_the_dead = client.monitor(observer, dead);
    assert_eq!(next(&told), (dead, ExitReason::NoProcess, ExitCause::Monitor(of_the_dead)));
}

#[test]
fn s29_messages_come_before_the_news_of_their_senders_end() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    let client_addr = listen(&client, "client:0");
    for round in 0..20 {
        let (tell, told) = sync_channel(10_000);
        let system = tell.clone();
        let receiver = client.spawn_behaviour(
            Box::new(Recorder(Box::new(move |text| system.send(text).unwrap()))),
            SpawnOptions::default(),
        );
        drop(tell);
        let to = server.io().block_on(server.remote(&client_addr, receiver)).unwrap();
        let rt = server.clone();
        let sender = server.spawn_fn(move |_: Bytes, _| {
            (0..500).for_each(|n| rt.send(to, n.to_string()).unwrap());
            Flow::Stop(ExitReason::Other("done".into()))
        });
        let proxy = client.io().block_on(client.remote(&addr, sender)).unwrap();
        client.monitor(receiver, proxy);
        client.send(proxy, "go").unwrap();
        for n in 0..500 {
            assert_eq!(next(&told), n.to_string(), "in round {round}");
        }
        assert_eq!(next(&told), "other: done");
    }
}

/// Passes on messages and exits as text.
struct Recorder(Box<dyn FnMut(String) + Send>);

impl myrmidon::actor::Behaviour for Recorder {
    fn handle(&mut self, message: Payload, _: &mut Context<'_>) -> Flow {
        (self.0)(String::from_utf8_lossy(&message.into_bytes().unwrap()).into_owned());
        Flow::Continue
    }

    fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
        if let SystemMessage::Exit { reason, .. } = message {
            (self.0)(reason.to_string());
        }
        Flow::Continue
    }
}

#[test]
fn s32_links_work_both_ways_and_end_with_an_unlink() {
    let network = MemoryNetwork::new();
    let (client, server, addr, _) = pair(&network);
    let end = |rt: &Runtime, pid| rt.exit(pid, ExitReason::Other("crash".into()));
    // The far one ends.
    let (far, near) = (clerk(&server), clerk(&client));
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    assert!(client.link(near, proxy) && client.link(near, proxy), "twice is once");
    assert_eq!(ask(&client, proxy, "LINK has come"), Ok("LINK has come".into()));
    let ended = watch(&client, near);
    end(&server, far);
    assert_eq!(next(&ended), ExitReason::Other("crash".into()));
    // The near one ends.
    let (far, near) = (clerk(&server), clerk(&client));
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    assert!(client.link(proxy, near), "either way round");
    assert_eq!(ask(&client, proxy, "LINK has come"), Ok("LINK has come".into()));
    let ended = watch(&server, far);
    end(&client, near);
    assert_eq!(next(&ended), ExitReason::Other("crash".into()));
    // Neither, after an unlink.
    let (far, near) = (clerk(&server), clerk(&client));
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    client.link(near, proxy);
    client.unlink(near, proxy);
    end(&server, far);
    eventually("the proxy ends", || !client.is_alive(proxy));
    assert_eq!(ask(&client, near, "alive"), Ok("alive".into()));
    // Linked again behind an unlink that is not acknowledged yet.
    let (far, near) = (clerk(&server), clerk(&client));
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    for _ in 0..10 {
        client.link(near, proxy);
        client.unlink(near, proxy);
    }
    client.link(near, proxy);
    // LINK waits for the acknowledgement, which comes before this answer.
    for _ in 0..2 {
        assert_eq!(ask(&client, proxy, "the lane is empty"), Ok("the lane is empty".into()));
    }
    let ended = watch(&client, near);
    end(&server, far);
    assert_eq!(next(&ended), ExitReason::Other("crash".into()));
}

#[test]
fn s33_a_link_to_the_dead_breaks_at_once() {
    let network = MemoryNetwork::new();
    let (client, server, addr, pid) = pair(&network);
    let (near, told) = trapper(&client);
    server.kill(pid);
    eventually("it is dead", || !server.is_alive(pid));
    let proxy = client.io().block_on(client.remote(&addr, pid)).unwrap();
    client.link(near, proxy);
    let (_, reason, cause) = next(&told);
    assert_eq!((reason, cause), (ExitReason::NoProcess, ExitCause::Signal));
}

#[test]
fn s34_exit_signals_travel() {
    let network = MemoryNetwork::new();
    let (client, server, addr, _) = pair(&network);
    let at = |pid| client.io().block_on(client.remote(&addr, pid)).unwrap();
    // Trapped, with who sent it.
    let (far, told) = trapper(&server);
    assert!(client.exit(at(far), ExitReason::Shutdown));
    assert_eq!(next(&told), (far, ExitReason::Shutdown, ExitCause::Signal));
    // A kill cannot be trapped.
    let ended = watch(&server, far);
    assert!(client.kill(at(far)));
    assert_eq!(next(&ended), ExitReason::Killed);
    // A stop keeps its place behind the messages.
    let (far, told) = echo(&server, "");
    let (proxy, ended) = (at(far), watch(&server, far));
    (0..100).for_each(|n: i32| client.send(proxy, n.to_string()).unwrap());
    assert!(client.stop(proxy));
    assert_eq!(next(&ended), ExitReason::Normal);
    assert_eq!(told.try_iter().count(), 100);
    eventually("the proxy ends", || !client.is_alive(proxy));
    assert!(!client.stop(proxy));
}

#[test]
fn a_node_may_refuse_exits_from_afar_and_keep_links() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { remote_exits: false, ..NodeConfig::default() };
    let (client, server) = (node(&network), node_with(&network, config));
    let addr = listen(&server, "server:0");
    let far = clerk(&server);
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    client.kill(proxy);
    client.stop(proxy);
    client.exit(proxy, ExitReason::Other("no".into()));
    assert_eq!(ask(&client, proxy, "alive"), Ok("alive".into()));
    let near = clerk(&client);
    client.link(near, proxy);
    let ended = watch(&server, far);
    client.send(near, "stop").unwrap();
    assert_eq!(next(&ended), ExitReason::Other("closing".into()));
}

#[test]
fn timers_names_pings_and_versions_of_a_proxy() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    let (far, told) = echo(&server, "");
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    client.timers().send_after(Duration::from_millis(1), proxy, "later");
    assert_eq!(next(&told), "later");
    let interval = client.timers().send_interval(Duration::from_millis(1), proxy, "again");
    assert_eq!((next(&told), next(&told)), ("again".into(), "again".into()));
    assert!(client.timers().cancel(interval));
    client.names().register("alias", proxy).unwrap();
    assert_eq!(client.names().whereis("alias"), Some(proxy));
    let observer = client.spawn_observed(SpawnOptions::default());
    assert!(client.ping(proxy, observer));
    eventually("the PONG", || {
        let seen = client.take_messages(observer).unwrap();
        seen.iter().any(|m| matches!(m, Observed::System(SystemMessage::Pong { from }) if *from == proxy))
    });
    let swap = client.hot_swap(proxy, Box::new(bytes_fn(|_, _| ())));
    assert_eq!(swap, Err(SwapError::Remote(proxy)));
    assert_eq!(client.rollback(proxy), Err(SwapError::Remote(proxy)));
    assert_eq!(client.send_many(proxy, (0..3).map(|n| n.to_string())).unwrap(), 3);
    server.stop(far);
    eventually("the name is free", || client.names().whereis("alias").is_none());
    assert!(client.timers().is_empty());
}

#[test]
fn references_lead_back_from_every_node() {
    let network = MemoryNetwork::new();
    let (a, b, c) = (node(&network), node(&network), node(&network));
    let (addr_a, addr_b) = (listen(&a, "a:0"), listen(&b, "b:0"));
    let (pid, told) = echo(&a, "");
    let text = a.reference(pid).to_string();
    let reference: Reference = text.parse().unwrap();
    assert_eq!((reference.addr(), reference.pid()), (Some(&addr_a), pid));
    // At home it is the actor itself; elsewhere a proxy, whose reference is the same.
    assert_eq!(a.io().block_on(a.remote_by_reference(&reference)).unwrap(), pid);
    let at_b = b.io().block_on(b.remote_by_reference(&reference)).unwrap();
    assert!(b.is_remote(at_b));
    assert_eq!(b.reference(at_b), reference);
    // An actor puts its own reference into a message, and is answered.
    let (rt, answering) = (b.clone(), b.clone());
    let service = b.spawn_fn(move |message: Bytes, _| {
        let reference = std::str::from_utf8(&message).unwrap().parse().unwrap();
        let rt = rt.clone();
        answering.io().spawn(async move {
            let who = rt.remote_by_reference(&reference).await.unwrap();
            rt.send(who, "thank you").unwrap();
        });
    });
    let proxy = a.io().block_on(a.remote(&addr_b, service)).unwrap();
    a.send(proxy, text.clone()).unwrap();
    assert_eq!(next(&told), "thank you");
    // A node that listens nowhere is found over the connection that it made.
    let (pid, told) = echo(&c, "");
    let reference = c.reference(pid);
    assert_eq!(reference.addr(), None);
    let refused = a.io().block_on(a.remote_by_reference(&reference));
    assert_eq!(refused, Err(RemoteError::NoAddress));
    let proxy = c.io().block_on(c.remote(&addr_b, service)).unwrap();
    c.send(proxy, reference.to_string()).unwrap();
    assert_eq!(next(&told), "thank you");
}

#[test]
fn a_proxy_from_a_reference_to_a_node_that_has_dialled_finds_back_there_when_the_link_breaks() {
    let network = MemoryNetwork::new();
    let (dialler, server, addr, _) = pair(&network);
    let home = listen(&dialler, "client:0");
    remote(&dialler, &addr, "svc");
    let reference = dialler.reference(clerk(&dialler));
    let proxy = server.io().block_on(server.remote_by_reference(&reference)).unwrap();
    assert_eq!(ask(&server, proxy, "first"), Ok("first".into()));
    eventually("the way is known", || {
        server.node().peers().iter().any(|peer| peer.addr == home && peer.connected)
    });
    assert!(network.cut(&addr) > 0);
    eventually("it is reached again", || ask(&server, proxy, "again") == Ok("again".into()));
}

#[test]
fn g5_a_question_that_runs_out_of_time_before_it_is_written_times_out() {
    let network = MemoryNetwork::new();
    let (client, _server, addr, _) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    for micros in (0..400).map(|n| n % 40) {
        let asked = client.ask_blocking(proxy, "x", Duration::from_micros(micros));
        assert!(matches!(asked, Ok(_) | Err(AskError::Timeout(_))), "{:?}", asked.map(drop));
    }
}

#[test]
fn an_advertised_address_stands_in_references() {
    let network = MemoryNetwork::new();
    let advertised = Some("db.example.org:9000".to_owned());
    let rt = node_with(&network, NodeConfig { advertised, ..NodeConfig::default() });
    listen(&rt, "inside:0");
    let pid = clerk(&rt);
    assert_eq!(rt.reference(pid).addr().unwrap().to_string(), "db.example.org:9000");
}

#[test]
fn s28_a_lost_connection_fires_everything_once_and_the_proxy_lives_on() {
    let network = MemoryNetwork::new();
    let (client, server, addr, pid) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    client.names().register("alias", proxy).unwrap();
    let (observer, told) = trapper(&client);
    let monitor = client.monitor(observer, proxy);
    let (linked, broken) = trapper(&client);
    let (far, far_told) = trapper(&server);
    let tied = client.io().block_on(client.remote(&addr, far)).unwrap();
    client.link(linked, tied);
    let back = server.io().block_on(server.remote(&listen(&client, "client:0"), observer)).unwrap();
    server.link(far, back);
    assert_eq!(server.ask_blocking(back, "in place", LONG).map(drop), Err(AskError::NoReply(back)));
    assert_eq!(client.ask_blocking(tied, "in place", LONG).map(drop), Err(AskError::NoReply(tied)));
    assert_eq!(ask(&client, proxy, "all is in place"), Ok("all is in place".into()));
    let client_at = |rt: &Runtime| rt.node().listening_on()[0].clone();
    assert!(network.cut(&addr) + network.cut(&client_at(&client)) > 0);
    let lost = |reason: &ExitReason| matches!(reason, ExitReason::NoConnection(_));
    let (target, reason, cause) = next(&told);
    assert!((target, cause) == (proxy, ExitCause::Monitor(monitor)) && lost(&reason), "{reason}");
    let (target, reason, cause) = next(&broken);
    assert!((target, cause) == (tied, ExitCause::Signal) && lost(&reason), "{reason}");
    // Both links of the far one broke, and that one here.
    let far_seen = [next(&far_told), next(&far_told)];
    assert!(far_seen.iter().any(|(target, ..)| *target == back));
    assert!(far_seen.iter().all(|(_, reason, _)| lost(reason)));
    assert!(matches!(next(&told), (_, ExitReason::NoConnection(_), ExitCause::Signal)));
    assert_eq!(client.names().whereis("alias"), Some(proxy));
    // The same life comes back, and with it the actor.
    eventually("it is reached again", || ask(&client, proxy, "back") == Ok("back".into()));
    server.kill(pid);
    eventually("its end is noticed", || !client.is_alive(proxy));
    assert!(told.try_recv().is_err() && broken.try_recv().is_err(), "what fired stays fired");
}

#[test]
fn s36_a_proxy_ends_with_the_life_of_its_node() {
    let network = MemoryNetwork::new();
    let (client, server, addr, pid) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    let reference = client.reference(proxy);
    network.cut(&addr);
    drop(server);
    eventually("nobody answers", || matches!(client.send(proxy, "x"), Err(SendError::NoConnection { .. })));
    assert!(client.is_alive(proxy), "it may come back");
    let server = node(&network);
    let again = client.clone();
    eventually("the address is free", || server.io().block_on(server.node().listen(&addr)).is_ok());
    let _ = pid;
    eventually("another life answers", || {
        let _ = again.send(proxy, "x");
        !again.is_alive(proxy)
    });
    assert!(matches!(client.send(proxy, "x"), Err(SendError::NoProcess { .. })));
    let gone = client.io().block_on(client.remote_by_reference(&reference));
    assert!(matches!(gone, Err(RemoteError::Restarted { .. })), "{gone:?}");
    assert_eq!(server.dead_letters(), 0, "nothing for the earlier life reached the new one");
}

#[test]
fn a_node_that_leaves_takes_its_proxies_with_it() {
    let network = MemoryNetwork::new();
    let (client, server, addr, _) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    let ended = watch(&client, proxy);
    server.shutdown(LONG);
    assert!(matches!(next(&ended), ExitReason::NoConnection(_) | ExitReason::Killed));
    eventually("the proxy ends", || !client.is_alive(proxy));
}

#[test]
fn l20_proxies_are_bounded_and_those_of_lost_nodes_make_room() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { max_proxies: 3, ..NodeConfig::default() };
    let (client, first, second) = (node_with(&network, config), node(&network), node(&network));
    let (addr, other) = (listen(&first, "first:0"), listen(&second, "second:0"));
    let at = |addr: &NodeAddr, pid| client.io().block_on(client.remote(addr, pid));
    let kept: Vec<_> = (0..3).map(|_| at(&addr, clerk(&first)).unwrap()).collect();
    assert_eq!(at(&other, clerk(&second)), Err(RemoteError::TooMany(3)));
    first.kill(client.reference(kept[0]).pid());
    eventually("one has ended", || !client.is_alive(kept[0]));
    let fresh = at(&other, clerk(&second)).unwrap();
    assert_eq!(at(&other, clerk(&second)), Err(RemoteError::TooMany(3)));
    network.cut(&addr);
    drop(first);
    eventually("the first node is lost", || at(&other, clerk(&second)).is_ok());
    assert!(client.is_alive(fresh) && !client.is_alive(kept[1]) && !client.is_alive(kept[2]));
}

#[test]
fn f26_a_level_1_peer_takes_messages_and_says_what_it_cannot() {
    let network = MemoryNetwork::new();
    let one = NodeConfig { level: Level::One, ..NodeConfig::default() };
    let (client, server) = (node(&network), node_with(&network, one));
    let addr = listen(&server, "server:0");
    let (pid, told) = echo(&server, "");
    server.names().register("svc", pid).unwrap();
    let proxy = remote(&client, &addr, "svc");
    assert_eq!(remote(&client, &addr, "svc"), proxy);
    (0..100).for_each(|n: i32| client.send(proxy, n.to_string()).unwrap());
    (0..100).for_each(|n: i32| assert_eq!(next(&told), n.to_string()));
    assert_eq!(ask(&client, proxy, "x"), Err(AskError::Unsupported(proxy)));
    let (near, exits) = trapper(&client);
    assert!(!client.link(near, proxy) && !client.kill(proxy) && !client.stop(proxy));
    let reference: Reference = client.reference(proxy).to_string().parse().unwrap();
    assert_eq!(client.io().block_on(client.remote_by_reference(&reference)).unwrap(), proxy);
    let monitor = client.monitor(near, proxy);
    network.cut(&addr);
    drop(server);
    let (target, reason, cause) = next(&exits);
    assert_eq!((target, cause), (proxy, ExitCause::Monitor(monitor)));
    assert!(matches!(reason, ExitReason::NoConnection(_)), "{reason}");
    eventually("its proxy ends with it", || !client.is_alive(proxy));
}

#[test]
fn what_cannot_be_found_is_an_error_that_says_so() {
    let network = MemoryNetwork::new();
    let (client, server, addr, pid) = pair(&network);
    let nobody = client.io().block_on(client.remote(&addr, "nobody"));
    assert!(matches!(nobody, Err(RemoteError::NoName { .. })), "{nobody:?}");
    let nowhere: NodeAddr = "nowhere:1".parse().unwrap();
    let lost = client.io().block_on(client.remote(&nowhere, pid));
    assert!(matches!(lost, Err(RemoteError::Resolve(ResolveError::NoConnection { .. }))), "{lost:?}");
    // The own address leads home.
    assert_eq!(server.io().block_on(server.remote(&addr, "svc")).unwrap(), pid);
    assert!(!server.is_remote(pid));
}

#[test]
fn l10_a_full_queue_to_a_node_says_so_and_who_waits_gets_room() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { outbound_messages: 8, ..NodeConfig::default() };
    let slow = NodeConfig { credit_messages: 8, actor_messages: 8, ..NodeConfig::default() };
    let (client, server) = (node_with(&network, config), node_with(&network, slow));
    let addr = listen(&server, "server:0");
    let (far, go, told) = common::held(&server, "");
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    let mut sent = 0;
    let unsent = loop {
        match client.send(proxy, "x") {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        assert!(sent < 10_000, "nothing holds it back");
    };
    assert!(matches!(unsent, SendError::Full { .. }), "{unsent}");
    let waiting = client.clone();
    let (tell, done) = sync_channel(1);
    client.io().spawn(async move {
        tell.send(waiting.send_async(proxy, "last").await.is_ok()).unwrap();
    });
    drop(go);
    assert!(next(&done));
    while next(&told) != "last" {}
}

#[test]
fn l10_who_waits_behind_a_large_question_gets_its_room_when_the_asker_gives_up() {
    [true, false].into_iter().for_each(give_up_a_large_question);
}

/// While it is on its way, or before it is announced.
fn give_up_a_large_question(announced: bool) {
    const CREDIT: u32 = 8;
    let network = MemoryNetwork::new();
    let long = Duration::from_secs(120);
    let wide =
        NodeConfig { outbound_bytes: 4 << 20, send_timeout: long, down_after: long, ..NodeConfig::default() };
    let narrow = NodeConfig { credit_messages: CREDIT, credit_bytes: 128 << 10, ..NodeConfig::default() };
    let (client, server) = (node_with(&network, wide), node_with(&network, narrow));
    let addr = listen(&server, "server:0");
    let at = |pid| client.io().block_on(client.remote(&addr, pid)).unwrap();
    let (proxy, other) = (at(clerk(&server)), at(clerk(&server)));
    // From now on the server reads nothing.
    let ((tell, begun), (go, gate)) = (sync_channel(1), sync_channel::<()>(0));
    server.io().spawn(async move {
        tell.send(()).unwrap();
        let _ = gate.recv();
    });
    next(&begun);
    let queued = || client.node().peers()[0].queued_messages;
    if !announced {
        (0..CREDIT).for_each(|_| client.send(other, "x").unwrap());
        eventually("the credit is used up", || queued() == 0);
    }
    let (asking, waiting) = (client.clone(), client.clone());
    let asker =
        std::thread::spawn(move || asking.ask_blocking(proxy, vec![0; 2 << 20], Duration::from_secs(1)));
    eventually("it is asked", || queued() == 1);
    let (tell, done) = sync_channel(1);
    client.io().spawn(async move {
        tell.send(waiting.send_async(proxy, vec![0; 3 << 19]).await.is_ok()).unwrap();
    });
    assert!(matches!(asker.join().unwrap(), Err(AskError::Timeout(_))));
    // What was not announced is met when there is credit again.
    let _stays = announced.then_some(go);
    assert!(next(&done));
}

#[test]
fn a_reply_can_be_passed_on_and_answered_by_another() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    struct Worker;
    impl Actor for Worker {
        type Msg = Reply<Payload>;
        fn handle(&mut self, reply: Reply<Payload>, _: &mut Context<'_>) -> Flow {
            reply.send("done by another".into());
            Flow::Continue
        }
    }
    let worker = server.spawn(Worker);
    let far = server.spawn_fn(move |_: Bytes, cx: &mut Context<'_>| {
        worker.send(cx.take_reply().unwrap()).unwrap();
    });
    let proxy = client.io().block_on(client.remote(&addr, far)).unwrap();
    assert_eq!(ask(&client, proxy, "x"), Ok("done by another".into()));
}

#[test]
fn g13_who_takes_messages_of_known_nodes_only_hears_nothing_of_others() {
    let network = MemoryNetwork::new();
    let (client, server, addr, open) = pair(&network);
    let (tell, told) = sync_channel(10);
    let guarded = server.spawn_behaviour(
        Box::new(bytes_fn(move |message: Bytes, _: &mut Context<'_>| drop(tell.send(message)))),
        SpawnOptions { authenticated_only: true, ..SpawnOptions::default() },
    );
    server.names().register("guarded", guarded).unwrap();
    let there = remote(&client, &addr, "guarded");
    assert!(!client.is_trusted(there), "the transport in memory proves nothing");
    assert!(client.is_trusted(clerk(&client)));

    assert!(ask(&client, there, "a question").is_err());
    client.send(there, "a message").unwrap();
    eventually("the message is a dead letter", || server.dead_letters() == 1);
    let open_there = remote(&client, &addr, "svc");
    assert_eq!(ask(&client, open_there, "others hear").unwrap(), "others hear");
    server.send(guarded, "from here").unwrap();
    assert_eq!(next(&told), "from here");
    assert!(told.try_recv().is_err());
    assert!(server.is_alive(open));
}

#[test]
fn g5_a_question_that_is_redirected_to_another_node_brings_its_way_back_along() {
    let network = MemoryNetwork::new();
    let (client, server, addr, _) = pair(&network);
    let proxy = remote(&client, &addr, "svc");
    let mailbox = Mailbox::Bounded { capacity: 1, overflow: Overflow::Redirect(proxy) };
    let options = SpawnOptions { mailbox, ..SpawnOptions::default() };
    let (full, go, told) = held_with(&client, "", options);
    client.send(full, "fills it").unwrap();
    assert_eq!(ask(&client, full, "redirected"), Ok("redirected".into()));
    let late = client.ask_blocking(full, "keep", Duration::from_millis(20));
    assert!(matches!(late, Err(AskError::Timeout(pid)) if pid == full), "{late:?}");
    client.send(full, "release").unwrap();
    eventually("the late answer is counted", || client.late_replies() == 1);
    let outcome = ask(&client, full, "forget");
    assert_eq!(outcome, Err(AskError::NoReply(full)));
    server.shutdown(Duration::ZERO);
    eventually("its node is gone", || !client.is_alive(proxy));
    assert!(ask(&client, full, "nobody").is_err());
    drop(go);
    assert_eq!((next(&told), next(&told)), ("first".into(), "fills it".into()));
}
