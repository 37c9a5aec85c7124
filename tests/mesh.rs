//! Two runtimes on an in-process network: what the mesh and supervision do together.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, held, listen, next, start};
use myrmidon::actor::{Actor, Context, ExitCause, ExitReason, Flow, Observed, SpawnOptions, SystemMessage};
use myrmidon::config::{NodeConfig, RuntimeConfig};
use myrmidon::node::DownReason;
use myrmidon::supervision::{Factory, Strategy};
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::{MemoryNetwork, MemoryTransport};
use myrmidon::{Pid, Runtime};

fn node(network: &MemoryNetwork) -> Runtime {
    node_with(network, NodeConfig::default())
}

fn node_with(network: &MemoryNetwork, node: NodeConfig) -> Runtime {
    let heartbeat = Duration::from_millis(50);
    start(network, NodeConfig { heartbeat, down_after: Duration::from_secs(2), ..node })
}

fn resolve(rt: &Runtime, addr: &NodeAddr, name: &str) -> Option<Pid> {
    rt.io().block_on(rt.node().resolve(addr, name)).unwrap()
}

#[test]
fn names_resolve_and_messages_arrive_in_order_both_ways() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network), node(&network));
    for (from, to) in [(&a, &b), (&b, &a)] {
        let addr = listen(to, "host:0");
        let (pid, told) = echo(to, "");
        to.names().register("svc", pid).unwrap();
        assert_eq!(resolve(from, &addr, "nobody"), None);
        let remote = resolve(from, &addr, "svc").unwrap();
        assert_eq!(remote, pid);
        for n in 0..10_000 {
            from.io().block_on(from.node().send(&addr, remote, Bytes::from(n.to_string()))).unwrap();
        }
        for n in 0..10_000 {
            assert_eq!(next(&told), n.to_string());
        }
        assert!(from.io().block_on(from.node().is_up(&addr)));
        to.names().unregister("svc");
    }
}

#[test]
fn a_runtime_without_a_transport_says_what_to_do() {
    let rt = Runtime::new().unwrap();
    let error = rt.io().block_on(rt.node().listen(&"127.0.0.1:0".parse().unwrap())).unwrap_err();
    assert!(error.to_string().contains("RuntimeBuilder::transport"), "{error}");
}

#[test]
fn a_lost_node_runs_the_factory_of_who_monitors_it_and_the_new_child_works() {
    let network = MemoryNetwork::new();
    let client = node(&network);
    let start = |n: u32| {
        let server = node(&network);
        let addr = listen(&server, "server:7");
        let (pid, told) = echo(&server, if n == 1 { "one:" } else { "two:" });
        server.names().register("database", pid).unwrap();
        (server, addr, told)
    };
    let (server, addr, told) = start(1);

    let (rt, to) = (client.clone(), addr.clone());
    let factory: Factory = Arc::new(move || {
        let found = rt.io().block_on(rt.node().resolve(&to, "database")).map_err(|e| e.to_string())?;
        let target = found.ok_or("no such name yet")?;
        rt.monitor_remote(&to, target);
        let (rt, to) = (rt.clone(), to.clone());
        Ok(Some(rt.clone().spawn_fn(move |message, _| {
            let _ = rt.node().try_send(&to, target, message);
        })))
    });
    let proxy = factory().unwrap().unwrap();
    client.supervisor().supervise_with_factory(proxy, factory, Strategy::RestartOne).unwrap();
    assert_eq!(client.supervisor().child_pids(), [proxy], "the monitor just made was adopted");
    client.send(proxy, "hello").unwrap();
    assert_eq!(next(&told), "one:hello");

    network.cut(&addr);
    drop(server);
    eventually("the proxy is stopped", || !client.is_alive(proxy));
    let (_server, _, told) = start(2);
    let child = || client.supervisor().child_pids()[0];
    eventually("the factory made a new proxy", || child() != proxy && client.is_alive(child()));
    client.send(child(), "again").unwrap();
    assert_eq!(next(&told), "two:again");
}

#[test]
fn s28_the_owner_of_a_remote_monitor_hears_of_the_loss_once() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:8");
    let (target, _told) = echo(&server, "");
    let observer = client.spawn_observed(SpawnOptions::default());
    client.monitor_remote(&addr, target);
    let factory: Factory = Arc::new(|| Ok(None));
    client.supervisor().supervise_with_factory(observer, factory, Strategy::RestartOne).unwrap();
    eventually("the heartbeat runs", || client.node().peers().iter().any(|peer| peer.round_trip.is_some()));
    network.cut(&addr);
    drop(server);
    eventually("the supervised owner is stopped", || !client.is_alive(observer));
    let messages = client.take_messages(observer).unwrap();
    assert!(
        matches!(
            &messages[..],
            [Observed::System(SystemMessage::Exit {
                target: gone,
                reason: ExitReason::NoConnection(_),
                cause: ExitCause::RemoteMonitor(_),
            })] if *gone == target
        ),
        "{messages:?}"
    );
}

/// Monitors a remote actor in its handler and passes on what it is told of it.
struct Watchful {
    rt: Runtime,
    addr: NodeAddr,
    target: Pid,
    tell: SyncSender<SystemMessage>,
}

impl Actor for Watchful {
    type Msg = ();

    fn handle(&mut self, (): (), _: &mut Context<'_>) -> Flow {
        self.rt.monitor_remote(&self.addr, self.target);
        Flow::Continue
    }

    fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
        let _ = self.tell.send(message);
        Flow::Continue
    }
}

#[test]
fn s28_a_remote_monitor_made_in_a_handler_belongs_to_that_actor() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:9");
    let (target, _told) = echo(&server, "");
    let (tell, told) = sync_channel(10);
    let watchful = Watchful { rt: client.clone(), addr: addr.clone(), target, tell };
    let watchful = client.spawn(watchful);
    watchful.send(()).unwrap();
    eventually("the heartbeat runs", || client.node().peers().iter().any(|peer| peer.round_trip.is_some()));
    network.cut(&addr);
    drop(server);
    let message = next(&told);
    let SystemMessage::Exit { target: gone, cause: ExitCause::RemoteMonitor(_), .. } = message else {
        panic!("{message:?}");
    };
    assert_eq!(gone, target);
    assert!(client.is_alive(watchful.pid()), "told, and not supervised: it lives on");
}

/// Monitors a remote actor, tells it to begin, and passes on what it hears.
struct Observer {
    rt: Runtime,
    there: NodeAddr,
    target: Pid,
    tell: SyncSender<String>,
}

impl Actor for Observer {
    type Msg = Bytes;

    fn handle(&mut self, message: Bytes, cx: &mut Context<'_>) -> Flow {
        if message == "go" {
            self.rt.monitor_remote(&self.there, self.target);
            let me = Bytes::copy_from_slice(&cx.pid().as_u64().to_be_bytes());
            self.rt.node().try_send(&self.there, self.target, me).unwrap();
        } else {
            self.tell.send(String::from_utf8_lossy(&message).into_owned()).unwrap();
        }
        Flow::Continue
    }

    fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
        if let SystemMessage::Exit { reason, .. } = message {
            self.tell.send(reason.to_string()).unwrap();
        }
        Flow::Continue
    }
}

#[test]
fn s29_messages_of_an_actor_arrive_before_the_news_of_its_end_and_that_has_its_reason() {
    let network = MemoryNetwork::new();
    for count in [0, 1, 100, 2_000] {
        let (client, server) = (node(&network), node(&network));
        let (here, there) = (listen(&client, "client:0"), listen(&server, "server:0"));
        let (tell, told) = sync_channel(3_000);
        let (rt, address) = (server.clone(), here.clone());
        let target = server.spawn_fn(move |observer, _| {
            let observer = Pid::from_u64(u64::from_be_bytes(observer[..].try_into().unwrap())).unwrap();
            for n in 0..count {
                let message = Bytes::from(n.to_string());
                rt.node().try_send(&here, observer, message).unwrap();
            }
            assert!(count > 5_000, "as ordered");
        });
        // From here on both names of the client's node lead to one link.
        assert!(server.io().block_on(server.node().is_up(&address)));
        let observer = client.spawn(Observer { rt: client.clone(), there, target, tell }).pid();
        client.send(observer, "go").unwrap();
        for n in 0..count {
            assert_eq!(next(&told), n.to_string());
        }
        assert_eq!(next(&told), "panic: as ordered");
    }
}

#[test]
fn s24_a_remote_monitor_of_a_dead_actor_fires_at_once_with_noproc() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let there = listen(&server, "server:0");
    let (target, _told) = echo(&server, "");
    server.stop(target);
    eventually("it has ended", || !server.is_alive(target));
    let (tell, told) = sync_channel(1);
    client.node().monitor(&there, target, Box::new(move |down| tell.send(down.reason).unwrap()));
    assert_eq!(next(&told), DownReason::Ended(ExitReason::NoProcess));
}

#[test]
fn f17_an_actor_that_never_reads_costs_bounded_memory_and_harms_nobody() {
    let network = MemoryNetwork::new();
    let limits = NodeConfig {
        credit_messages: 1_000,
        actor_messages: 100,
        outbound_messages: 8_000,
        ..NodeConfig::default()
    };
    let (a, b) = (node_with(&network, limits.clone()), node_with(&network, limits));
    let addr = listen(&b, "b:0");
    let (dead, go, _told) = held(&b, "");
    let (living, told) = echo(&b, "");
    eventually("its queue is full, and nothing else is", || {
        let full = a.node().try_send(&addr, dead, Bytes::from_static(b"x")).is_err();
        full && a.node().peers()[0].queued_messages <= 2_700
    });
    for n in 0..1_000 {
        a.io().block_on(a.node().send(&addr, living, Bytes::from(n.to_string()))).unwrap();
        assert_eq!(next(&told), n.to_string());
    }
    assert!(b.mailbox_size(dead).unwrap() <= 100 + 1_000, "{:?}", b.mailbox_size(dead));
    drop(go);
    eventually("it catches up", || a.node().peers()[0].queued_messages == 0);
}

#[test]
fn g9_a_pid_of_another_node_is_nobody_here() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network), node(&network));
    let (pid, _told) = echo(&b, "");
    assert!(a.send(pid, "x").is_err());
    let addr = listen(&a, "a:1");
    b.io().block_on(b.node().send(&addr, pid, Bytes::from_static(b"astray"))).unwrap();
    eventually("it became a dead letter", || a.dead_letters() == 1);
}

#[test]
fn shutdown_writes_what_was_accepted_for_other_nodes() {
    let network = MemoryNetwork::new();
    let (a, b) = (node(&network), node(&network));
    let addr = listen(&b, "b:1");
    let (pid, told) = echo(&b, "");
    for n in 0..5_000 {
        a.node().try_send(&addr, pid, Bytes::from(n.to_string())).unwrap();
    }
    assert_eq!(a.shutdown(DEADLINE), 0);
    for n in 0..5_000 {
        assert_eq!(next(&told), n.to_string());
    }
}

/// The short names of the node events that an observed actor has received since the last call.
fn told(rt: &Runtime, observer: Pid) -> Vec<&'static str> {
    let messages = rt.take_messages(observer).unwrap_or_default().into_iter();
    let names = messages.map(|message| match message {
        Observed::System(SystemMessage::Node(event)) => event.state.name(),
        other => panic!("{other:?}"),
    });
    names.collect()
}

#[test]
fn d12_an_actor_that_monitors_the_nodes_is_told_of_each_change_until_it_takes_that_back() {
    let network = MemoryNetwork::new();
    let [client, server] = [(); 2].map(|()| start(&network, NodeConfig::default()));
    let addr = listen(&server, "server:10");
    let [first, second] = [(); 2].map(|()| client.spawn_observed(SpawnOptions::default()));
    for observer in [first, second, first] {
        assert!(client.monitor_nodes(observer));
    }
    assert!(client.io().block_on(client.node().is_up(&addr)));
    eventually("it is up", || told(&client, first) == ["up"]);
    assert!(client.demonitor_nodes(second) && !client.demonitor_nodes(second));
    server.shutdown(DEADLINE);
    eventually("it has left", || told(&client, first) == ["left"]);
    assert_eq!(told(&client, second), ["up"]);
    client.kill(first);
    client.join(first, Some(DEADLINE)).unwrap();
    assert!(!client.monitor_nodes(first), "the dead are told nothing");
}

#[test]
fn f24_a_lane_that_does_not_run_is_a_stall_to_the_peers_and_the_node_stays_up() {
    let network = MemoryNetwork::new();
    let client = start(&network, NodeConfig::default());
    let config = RuntimeConfig { lane_stall_after: Duration::from_millis(100), ..RuntimeConfig::default() };
    let node = NodeConfig { heartbeat: Duration::from_millis(50), ..config.node };
    let server = Runtime::builder()
        .config(RuntimeConfig { node, ..config })
        .transport(Arc::new(MemoryTransport::new(&network)))
        .start()
        .unwrap();
    let addr = listen(&server, "server:11");
    let lane = server.open_lane("handlers");
    let driver = {
        let lane = lane.clone();
        std::thread::spawn(move || {
            while !lane.is_closed() {
                lane.wait(None);
                lane.run(Duration::from_millis(2), || true);
            }
        })
    };
    let observer = client.spawn_observed(SpawnOptions::default());
    client.monitor_nodes(observer);
    assert!(client.io().block_on(client.node().is_up(&addr)));
    let last = || told(&client, observer).last().copied();
    eventually("it is up", || last() == Some("up"));
    for _ in 0..2 {
        let ((go, gate), (begin, begun)) = (sync_channel::<()>(1), sync_channel(1));
        lane.submit(Box::new(move || {
            begin.send(()).unwrap();
            gate.recv().unwrap();
        }));
        next(&begun);
        eventually("it is stalled", || last() == Some("stalled"));
        assert!(client.io().block_on(client.node().is_up(&addr)), "workers answer pings");
        go.send(()).unwrap();
        eventually("it has recovered", || last() == Some("recovered"));
    }
    lane.close();
    driver.join().unwrap();
}
