//! PIDs that follow a name of another node.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use common::{DEADLINE, echo, eventually, listen, next, start};
use myrmidon::actor::{Actor, AskError, Context, ExitReason, Flow, SpawnOptions, SystemMessage};
use myrmidon::config::{Level, NodeConfig};
use myrmidon::error::SendError;
use myrmidon::node::RemoteError;
use myrmidon::transport::NodeAddr;
use myrmidon::transport::memory::MemoryNetwork;
use myrmidon::{Pid, Runtime};

fn node(network: &MemoryNetwork) -> Runtime {
    node_with(network, NodeConfig::default())
}

fn node_with(network: &MemoryNetwork, node: NodeConfig) -> Runtime {
    let heartbeat = Duration::from_millis(50);
    start(network, NodeConfig { heartbeat, reconnect_first: Duration::from_millis(10), ..node })
}

/// A node that gives up looking for a name soon.
fn impatient(network: &MemoryNetwork) -> Runtime {
    node_with(network, NodeConfig { request_timeout: Duration::from_millis(200), ..NodeConfig::default() })
}

fn follow(rt: &Runtime, addr: &NodeAddr) -> Pid {
    rt.io().block_on(rt.follow(addr, "svc")).unwrap()
}

/// Answers with its tag, and passes on what it is told.
fn service(rt: &Runtime, tag: &'static str) -> (Pid, Receiver<String>) {
    let (tell, told) = sync_channel(10_000);
    let pid = rt.spawn_fn(move |message: Bytes, cx: &mut Context<'_>| {
        let _ = tell.send(String::from_utf8_lossy(&message).into_owned());
        if let Some(reply) = cx.take_reply() {
            reply.send(tag.into());
        }
    });
    rt.names().register("svc", pid).unwrap();
    (pid, told)
}

fn ask(rt: &Runtime, pid: Pid) -> Result<Bytes, AskError> {
    rt.ask_blocking(pid, "who", DEADLINE).map(|answer| answer.into_bytes().unwrap())
}

/// An actor that traps exits and passes on what it is told.
fn observer(rt: &Runtime) -> (Pid, Receiver<(Pid, ExitReason)>) {
    struct Observer(std::sync::mpsc::SyncSender<(Pid, ExitReason)>);
    impl Actor for Observer {
        type Msg = Bytes;
        fn handle(&mut self, _: Bytes, _: &mut Context<'_>) -> Flow {
            Flow::Continue
        }
        fn system(&mut self, message: SystemMessage, _: &mut Context<'_>) -> Flow {
            if let SystemMessage::Exit { target, reason, .. } = message {
                self.0.send((target, reason)).unwrap();
            }
            Flow::Continue
        }
    }
    let (tell, told) = sync_channel(100);
    let options = SpawnOptions { trap_exit: true, ..SpawnOptions::default() };
    (rt.spawn_with(Observer(tell), options).pid(), told)
}

#[test]
fn s37_a_followed_name_leads_to_its_next_owner_and_what_was_sent_meanwhile_comes_in_order() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    let (first, told) = service(&server, "first");
    let proxy = follow(&client, &addr);
    assert_eq!(follow(&client, &addr), proxy, "an address and a name have one");
    assert!(client.is_remote(proxy));
    let (watcher, ends) = observer(&client);
    client.monitor(watcher, proxy);
    assert_eq!(ask(&client, proxy).unwrap(), "first");
    assert_eq!(next(&told), "who");
    server.kill(first);
    assert_eq!(next(&ends), (proxy, ExitReason::Killed), "a monitor is of the actor");
    // The name is free, and nobody has it: what comes now waits.
    for n in 0..100 {
        client.send(proxy, n.to_string()).unwrap();
    }
    client.monitor(watcher, proxy);
    let (second, told) = service(&server, "second");
    assert_eq!(ask(&client, proxy).unwrap(), "second");
    for n in 0..100 {
        assert_eq!(next(&told), n.to_string(), "G2");
    }
    assert_eq!(next(&told), "who");
    assert!(client.is_alive(proxy) && ends.try_recv().is_err());
    server.kill(second);
    assert_eq!(next(&ends), (proxy, ExitReason::Killed), "the monitor that waited is of the next one");
}

#[test]
fn l17_names_that_are_followed_in_large_numbers_are_all_found_again_however_long_their_resolves_take() {
    const NAMES: usize = 3500;
    let network = MemoryNetwork::new();
    let patience = NodeConfig { request_timeout: Duration::from_secs(1), ..NodeConfig::default() };
    let (client, server) = (node_with(&network, patience), node(&network));
    let (tell, told) = sync_channel(NAMES);
    let serve = |server: &Runtime| {
        for n in 0..NAMES {
            let tell = tell.clone();
            let pid = server.spawn_fn(move |message: Bytes, _| tell.send(message).unwrap());
            server.names().register(&format!("n{n}"), pid).unwrap();
        }
    };
    serve(&server);
    let addr = listen(&server, "server:0");
    let follow = |n| client.io().block_on(client.follow(&addr, &format!("n{n}"))).unwrap();
    let proxies: Vec<_> = (0..NAMES).map(follow).collect();
    network.cut(&addr);
    drop(server);
    eventually("the loss is noticed", || client.node().peers().iter().all(|peer| !peer.connected));
    let server = node(&network);
    serve(&server);
    eventually("the address is free", || server.io().block_on(server.node().listen(&addr)).is_ok());
    for (n, proxy) in proxies.iter().enumerate() {
        client.send(*proxy, n.to_string()).unwrap();
    }
    let mut came: Vec<usize> =
        (0..NAMES).map(|_| std::str::from_utf8(&next(&told)).unwrap().parse().unwrap()).collect();
    came.sort_unstable();
    assert!(came.into_iter().eq(0..NAMES));
}

#[test]
fn s36_a_followed_name_is_found_again_in_the_next_life_of_its_node() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    service(&server, "first");
    let proxy = follow(&client, &addr);
    let plain = client.io().block_on(client.remote(&addr, "svc")).unwrap();
    assert_ne!(plain, proxy);
    let (watcher, ends) = observer(&client);
    client.monitor(watcher, proxy);
    network.cut(&addr);
    drop(server);
    assert!(matches!(next(&ends), (pid, ExitReason::NoConnection(_)) if pid == proxy));

    let server = node(&network);
    let (_, told) = service(&server, "second");
    eventually("the address is free", || server.io().block_on(server.node().listen(&addr)).is_ok());
    eventually("the next life answers", || ask(&client, proxy).is_ok_and(|answer| answer == "second"));
    client.send(proxy, "hello").unwrap();
    eventually("it comes", || told.try_recv().is_ok_and(|text| text == "hello"));
    eventually("the other proxy is of the earlier life", || !client.is_alive(plain));
    assert!(ends.try_recv().is_err(), "what fired stays fired");
}

#[test]
fn s28_a_followed_name_is_reached_again_after_a_lost_connection() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    let (pid, told) = service(&server, "same");
    let proxy = follow(&client, &addr);
    for round in 0..20 {
        network.cut(&addr);
        eventually("it is reached", || client.send(proxy, format!("round {round}")).is_ok());
        eventually("it answers", || ask(&client, proxy).is_ok());
        let plain = client.io().block_on(client.remote(&addr, pid)).unwrap();
        assert_ne!(plain, proxy);
    }
    // What waits when a connection breaks may be lost, and nothing comes twice.
    let mut rounds: Vec<_> = told.try_iter().filter(|text| text != "who").collect();
    rounds.dedup();
    assert_eq!(rounds.iter().collect::<std::collections::HashSet<_>>().len(), rounds.len());
}

#[test]
fn s32_links_through_a_followed_name_work_both_ways() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    let (first, _told) = service(&server, "first");
    let proxy = follow(&client, &addr);
    let plain = client.io().block_on(client.remote(&addr, "svc")).unwrap();
    let (near, ends) = observer(&client);
    // Through both PIDs it is the same pair.
    assert!(client.link(near, proxy) && client.link(near, plain));
    assert!(client.unlink(near, plain));
    assert_eq!(ask(&client, proxy).unwrap(), "first", "all of that has been said");
    server.kill(first);
    assert_eq!(next(&ends), (proxy, ExitReason::Killed));

    // And the other way round, with a link that waits until somebody has the name.
    let (victim, _) = echo(&client, "");
    assert!(client.link(victim, proxy));
    let (far, told) = observer(&server);
    server.names().register("svc", far).unwrap();
    eventually("it is there", || matches!(ask(&client, proxy), Err(AskError::NoReply(_))));
    client.kill(victim);
    assert!(matches!(next(&told), (_, ExitReason::Killed)));
    assert!(ends.try_recv().is_err());
}

#[test]
fn g5_nobody_to_be_found_is_told_once_to_everybody_who_waits() {
    let network = MemoryNetwork::new();
    let (client, server) = (impatient(&network), node(&network));
    let addr = listen(&server, "server:0");
    let (first, _told) = service(&server, "first");
    let proxy = follow(&client, &addr);
    let (watcher, ends) = observer(&client);
    client.monitor(watcher, proxy);
    server.kill(first);
    next(&ends);
    client.send(proxy, "lost").unwrap();
    client.monitor(watcher, proxy);
    assert_eq!(ask(&client, proxy), Err(AskError::NoProcess(proxy)));
    assert_eq!(next(&ends), (proxy, ExitReason::NoProcess));
    eventually("the message is a dead letter", || client.dead_letters() == 1);
    assert!(client.is_alive(proxy), "it may be found yet");
    let (_pid, told) = service(&server, "second");
    eventually("it is found", || client.send(proxy, "there").is_ok() && told.try_recv().is_ok());

    server.shutdown(Duration::ZERO);
    let told_so = |error: &SendError<_>| matches!(error, SendError::NoConnection { .. });
    eventually("its node is gone", || client.send(proxy, "x").as_ref().is_err_and(told_so));
    assert!(matches!(ask(&client, proxy), Err(AskError::NoConnection { .. })));
}

#[test]
fn l10_what_waits_for_a_name_is_bounded_and_who_waits_gets_room() {
    let network = MemoryNetwork::new();
    let config = NodeConfig { outbound_messages: 10, ..NodeConfig::default() };
    let (client, server) = (node_with(&network, config), node(&network));
    let addr = listen(&server, "server:0");
    let (first, _told) = service(&server, "first");
    let proxy = follow(&client, &addr);
    let (watcher, ends) = observer(&client);
    client.monitor(watcher, proxy);
    server.kill(first);
    next(&ends);
    for n in 0..10 {
        client.send(proxy, n.to_string()).unwrap();
    }
    assert!(matches!(client.send(proxy, "x"), Err(SendError::Full { .. })));
    let (rt, (tell, done)) = (client.clone(), sync_channel(1));
    std::thread::spawn(move || {
        let sent = rt.io().block_on(rt.send_async(proxy, "10"));
        tell.send(sent.map_err(|error| error.to_string())).unwrap();
    });
    let (_pid, told) = service(&server, "second");
    assert_eq!(next(&done), Ok(()));
    for n in 0..=10 {
        assert_eq!(next(&told), n.to_string());
    }
}

#[test]
fn a_followed_name_of_this_very_node_leads_to_its_own_actors() {
    let network = MemoryNetwork::new();
    let rt = node(&network);
    let addr = listen(&rt, "server:0");
    let (first, told) = service(&rt, "first");
    let proxy = follow(&rt, &addr);
    let (watcher, ends) = observer(&rt);
    rt.monitor(watcher, proxy);
    assert_eq!(ask(&rt, proxy).unwrap(), "first");
    rt.send(proxy, "hello").unwrap();
    assert_eq!((next(&told), next(&told)), ("who".into(), "hello".into()));
    assert!(!rt.link(watcher, proxy), "there are no links by it");
    assert_eq!(rt.reference(proxy), rt.reference(first));
    rt.stop(proxy);
    assert_eq!(next(&ends), (proxy, ExitReason::Normal));
    let (_second, _told) = service(&rt, "second");
    assert_eq!(ask(&rt, proxy).unwrap(), "second");
}

#[test]
fn a_name_that_leads_to_its_own_follower_is_nobodys() {
    let network = MemoryNetwork::new();
    let rt = impatient(&network);
    let addr = listen(&rt, "server:0");
    let (first, _told) = service(&rt, "first");
    let proxy = follow(&rt, &addr);
    rt.kill(first);
    eventually("the name is free", || rt.names().register("svc", proxy).is_ok());
    assert_eq!(ask(&rt, proxy), Err(AskError::NoProcess(proxy)));
    assert!(rt.names().unregister("svc"));
    let (_second, _told) = service(&rt, "second");
    eventually("it is found", || ask(&rt, proxy).is_ok_and(|answer| answer == "second"));
}

#[test]
fn f26_a_name_at_a_level_1_peer_is_found_again_when_its_node_is_back() {
    let network = MemoryNetwork::new();
    let old = || node_with(&network, NodeConfig { level: Level::One, ..NodeConfig::default() });
    let (client, server) = (node(&network), old());
    let addr = listen(&server, "server:0");
    let (_pid, told) = service(&server, "first");
    let proxy = follow(&client, &addr);
    client.send(proxy, "one").unwrap();
    assert_eq!(next(&told), "one");
    network.cut(&addr);
    drop(server);
    let server = old();
    let (_pid, told) = service(&server, "second");
    eventually("the address is free", || server.io().block_on(server.node().listen(&addr)).is_ok());
    eventually("the next life gets something", || {
        let _ = client.send(proxy, "two");
        told.try_recv().is_ok()
    });
    assert_eq!(ask(&client, proxy), Err(AskError::Unsupported(proxy)));
}

#[test]
fn what_is_not_followed_any_more_is_dead_and_the_actor_lives() {
    let network = MemoryNetwork::new();
    let (client, server) = (node(&network), node(&network));
    let addr = listen(&server, "server:0");
    let nobody = client.io().block_on(client.follow(&addr, "svc"));
    assert!(matches!(nobody, Err(RemoteError::NoName { .. })));
    let (pid, _told) = service(&server, "first");
    let proxy = follow(&client, &addr);
    assert!(client.unfollow(proxy) && !client.unfollow(proxy));
    assert!(!client.is_alive(proxy) && server.is_alive(pid));
    assert!(matches!(client.send(proxy, "x"), Err(SendError::NoProcess { .. })));
    let again = follow(&client, &addr);
    assert_ne!(again, proxy);
    assert_eq!(ask(&client, again).unwrap(), "first");
}

#[test]
fn what_another_node_sends_goes_no_further_than_to_actors_of_the_node_it_is_sent_to() {
    let network = MemoryNetwork::new();
    let (sender, between, owner) = (node(&network), node(&network), node(&network));
    let (near, far) = (listen(&between, "between:0"), listen(&owner, "owner:0"));
    let (_, told) = service(&owner, "owner");
    let proxy = between.io().block_on(between.remote(&far, "svc")).unwrap();
    between.names().register("svc", proxy).unwrap();
    assert_eq!(
        ask(&between, between.names().whereis("svc").unwrap()).unwrap(),
        "owner",
        "the name is good here"
    );
    assert_eq!(next(&told), "who");
    let named = sender.io().block_on(sender.remote(&near, "svc"));
    assert!(matches!(named, Err(RemoteError::NoName { .. })), "{named:?}");
    // Nor is the PID of the node between an actor for others.
    let guessed = sender.io().block_on(sender.remote(&near, proxy)).unwrap();
    let before = between.dead_letters();
    sender.io().block_on(sender.node().send(&near, proxy, "lost".into())).unwrap();
    eventually("it is nobody there", || !sender.is_alive(guessed) && between.dead_letters() > before);
    assert_eq!(ask(&sender, guessed), Err(AskError::NoProcess(guessed)));
    // What goes by the words for the actor goes to itself.
    let reference = between.reference(proxy);
    let own = sender.io().block_on(sender.remote_by_reference(&reference)).unwrap();
    assert_eq!(ask(&sender, own).unwrap(), "owner");
    assert_eq!(next(&told), "who");
    assert!(told.try_recv().is_err(), "nothing else came");
}

#[test]
fn two_nodes_that_follow_each_others_name_do_not_run_in_a_circle() {
    let network = MemoryNetwork::new();
    let (one, two) = (impatient(&network), impatient(&network));
    let (at_one, at_two) = (listen(&one, "one:0"), listen(&two, "two:0"));
    let (real, _told) = service(&one, "one");
    let of_two = follow(&two, &at_one);
    two.names().register("svc", of_two).unwrap();
    one.names().unregister("svc");
    assert!(one.io().block_on(one.follow(&at_two, "svc")).is_err(), "nobody of the other node has the name");
    one.kill(real);
    eventually("it is looked for in vain", || {
        matches!(two.send(of_two, "x"), Err(SendError::NoProcess { .. }))
    });
}
