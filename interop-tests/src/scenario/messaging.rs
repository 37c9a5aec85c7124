//! Names and messages between healthy nodes.

use crate::node::{Counts, Setup};

/// Each side finds the other's counter and sends to it.
pub fn names_resolve_and_messages_flow_both_ways(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let (there, here) = (server.addr.clone(), client.addr.clone());
    let pid = client.resolve(&there, "counter").expect("the server's counter");
    client.send(&there, pid, 10, 0).expect("send");
    let pid = server.resolve(&here, "counter").expect("the client's counter");
    server.send(&here, pid, 20, 0).expect("send");
    assert_eq!(server.counted(10), in_order(10));
    assert_eq!(client.counted(20), in_order(20));
}

/// Ten thousand messages arrive once each and in the order of sending (G1, G2).
pub fn ten_thousand_messages_arrive_once_and_in_order(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    let pid = client.resolve(&addr, "counter").expect("the server's counter");
    client.send(&addr, pid, 10_000, 0).expect("send");
    assert_eq!(server.counted(10_000), in_order(10_000));
    // A resolve is answered after what was sent before it: nothing more is on its way.
    client.resolve(&addr, "counter").expect("the server's counter");
    assert_eq!(server.counts(), in_order(10_000));
}

/// A name that nobody has is no error; neither is a message to a PID that nobody has.
pub fn an_unknown_name_resolves_to_nothing(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    assert_eq!(client.resolve(&addr, "nobody"), None);
    let pid = client.resolve(&addr, "counter").expect("the server's counter");
    client.send(&addr, pid ^ (1 << 40), 1, 0).expect("a message for nobody");
    client.send(&addr, pid, 1, 0).expect("send");
    assert_eq!(server.counted(1), in_order(1));
}

/// A living node answers heartbeats; an address where nobody listens does not.
pub fn heartbeats_are_answered(setup: &Setup) {
    let (server, mut client) = (setup.server(), setup.client());
    assert!(client.is_up(&server.addr));
    let addr = server.addr.clone();
    assert!(server.quit(), "the server ends in good order");
    assert!(!client.is_up(&addr));
}

/// A node that ends in good order right after sending loses nothing (G8).
pub fn a_clean_end_loses_nothing(setup: &Setup) {
    let (mut server, mut client) = (setup.server(), setup.client());
    let addr = server.addr.clone();
    let pid = client.resolve(&addr, "counter").expect("the server's counter");
    client.send(&addr, pid, 5_000, 0).expect("send");
    assert!(client.quit(), "the client ends in good order");
    assert_eq!(server.counted(5_000), in_order(5_000));
}

/// Three nodes send around the circle, each to the next.
pub fn three_nodes_send_around_a_circle(setup: &Setup) {
    let mut nodes = [setup.server(), setup.client(), setup.server()];
    let addrs = nodes.each_ref().map(|node| node.addr.clone());
    for (number, node) in nodes.iter_mut().enumerate() {
        let next = &addrs[(number + 1) % addrs.len()];
        let pid = node.resolve(next, "counter").expect("the next node's counter");
        node.send(next, pid, 1_000, 0).expect("send");
    }
    for mut node in nodes {
        assert_eq!(node.counted(1_000), in_order(1_000));
    }
}

fn in_order(received: u64) -> Counts {
    Counts { received, out_of_order: 0, first: received, second: 0 }
}
