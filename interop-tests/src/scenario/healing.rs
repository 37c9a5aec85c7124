//! Nodes that die and come back.

use crate::node::{Node, Setup};
use crate::wait::until;

/// A node is killed with -9 and started again on its port: the client notices the death, runs its
/// factory again and reaches the new process through a new proxy (F01, F02).
pub fn a_killed_node_is_noticed_and_the_factory_reconnects(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    client.heal(&addr, "counter");
    assert!(client.tell_proxy(0));
    assert_eq!(server.counted(1).received, 1);
    assert_eq!(client.proxies(), 1);

    server.process.kill();
    until("the death to be noticed", || (!client.is_up(&addr)).then_some(()));
    let mut server = setup.server_on(&addr);
    until("the factory to reconnect", || (client.proxies() >= 2).then_some(()));
    reaches(&mut client, &mut server);
}

/// A node is killed and back at once, before anybody had time to miss it: the factory still runs
/// again, because the end of a heartbeat lane that was in use is the end of a process (F02, F08).
pub fn a_node_that_is_back_at_once_is_found_again(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    client.heal(&addr, "counter");
    assert!(client.tell_proxy(0));
    assert_eq!(server.counted(1).received, 1);

    // A peer of level 1 may close after every heartbeat; one that answered two is known not to.
    assert!(client.is_up(&addr) && client.is_up(&addr));
    server.process.kill();
    let mut server = setup.server_on(&addr);
    until("the factory to reconnect", || (client.proxies() >= 2).then_some(()));
    reaches(&mut client, &mut server);
}

/// A PID from before the restart reaches nobody in the new process (S36, G9).
pub fn a_pid_from_before_a_restart_reaches_nobody(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    let old = client.resolve(&addr, "counter").expect("the server's counter");
    server.process.kill();
    until("the death to be noticed", || (!client.is_up(&addr)).then_some(()));
    let mut server = setup.server_on(&addr);
    let new = client.find_counter(&addr);
    assert_ne!(old, new);
    client.send(&addr, old, 100, 0).expect("messages for nobody");
    client.send(&addr, new, 1, 0).expect("send");
    assert_eq!(server.counted(1).received, 1);
}

/// A node is killed and started again on its port, twice: the same proxy, which follows a name, reaches each
/// of its lives in order, and nothing of an earlier one (S36, S37).
pub fn a_proxy_that_follows_a_name_reaches_every_life_of_a_node(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    client.follow(&addr, "counter");
    for number in 0..100 {
        assert!(client.tell_proxy(number));
    }
    assert_eq!(server.counted(100).out_of_order, 0);
    for _ in 0..2 {
        server.process.kill();
        server = setup.server_on(&addr);
        reaches(&mut client, &mut server);
    }
    assert_eq!(client.proxies(), 1);
}

/// The client's proxy reaches the server. What was sent while the old proxy died may be lost.
fn reaches(client: &mut Node, server: &mut Node) {
    let mut number = 1;
    until("a message through the new proxy", || {
        client.tell_proxy(number);
        number += 1;
        (server.counts().received > 0).then_some(())
    });
}
