//! Peers that know the documented framing and nothing else, in both directions. Plain TCP only.

use crate::legacy::{LegacyClient, LegacyServer, message};
use crate::node::Setup;
use crate::wait::until;

const THOUSAND: u64 = 1_000;

/// One connection resolves, sends a thousand messages and pings a thousand times, in turns.
pub fn a_bare_socket_does_everything_in_one_connection(setup: &Setup) {
    let mut server = setup.server();
    let mut peer = LegacyClient::connect(&server.addr).expect("connect");
    let pid = peer.resolve("counter").expect("resolve");
    assert_ne!(pid, 0);
    assert_eq!(peer.resolve("nobody").expect("resolve"), 0);
    for number in 0..THOUSAND {
        peer.send(pid, &number.to_be_bytes()).expect("send");
        assert!(peer.ping().expect("ping"));
    }
    let counts = server.counted(THOUSAND);
    assert_eq!((counts.received, counts.out_of_order), (THOUSAND, 0));
    assert_eq!(peer.finish().expect("the node closes in good order"), b"");
}

/// A connection for every single operation, a thousand of each; each closes right after sending.
pub fn a_bare_socket_does_everything_in_a_thousand_connections(setup: &Setup) {
    let mut server = setup.server();
    let connect = || LegacyClient::connect(&server.addr).expect("connect");
    for number in 0..THOUSAND {
        let pid = connect().resolve("counter").expect("resolve");
        connect().send(pid, &number.to_be_bytes()).expect("send");
        assert!(connect().ping().expect("ping"));
    }
    // Connections are served side by side, so only the count is certain.
    assert_eq!(server.counted(THOUSAND).received, THOUSAND);
}

/// A peer writes a thousand messages in one piece and closes without reading: all arrive, in order.
pub fn what_a_bare_socket_sent_before_closing_arrives(setup: &Setup) {
    let mut server = setup.server();
    let pid = LegacyClient::connect(&server.addr).expect("connect").resolve("counter").expect("resolve");
    let all: Vec<u8> = (0..THOUSAND).flat_map(|number| message(pid, &number.to_be_bytes())).collect();
    LegacyClient::connect(&server.addr).expect("connect").raw(&all).expect("send");
    let counts = server.counted(THOUSAND);
    assert_eq!((counts.received, counts.out_of_order), (THOUSAND, 0));
}

/// Requests in one piece are answered by position, after the peer has shut its writing side too.
pub fn answers_come_in_the_order_of_the_requests(setup: &Setup) {
    let server = setup.server();
    let mut peer = LegacyClient::connect(&server.addr).expect("connect");
    let ask =
        [&[2][..], &crate::legacy::resolve("nobody"), &[2], &crate::legacy::resolve("counter")].concat();
    peer.raw(&ask).expect("send");
    let answers = peer.finish().expect("the node closes in good order");
    assert_eq!(answers.len(), 18);
    assert_eq!(answers[..10], [3, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
    assert_ne!(answers[10..], [0; 8]);
}

/// A node finds a name at a legacy server, sends to it and asks for signs of life; it sends nothing
/// that is not documented.
pub fn a_node_talks_to_a_legacy_server(setup: &Setup) {
    let server = LegacyServer::start().expect("a server");
    server.register("database", 42 << 32 | 7);
    let addr = server.addr().to_string();
    let mut client = setup.client();
    assert_eq!(client.resolve(&addr, "database"), Some(42 << 32 | 7));
    assert_eq!(client.resolve(&addr, "nobody"), None);
    client.send(&addr, 42 << 32 | 7, THOUSAND, 0).expect("send");
    until("a thousand messages", || (server.messages().len() as u64 >= THOUSAND).then_some(()));
    for (number, (pid, data)) in server.messages().into_iter().enumerate() {
        assert_eq!((pid, data), (42 << 32 | 7, (number as u64).to_be_bytes().to_vec()));
    }
    assert!(client.is_up(&addr));
    assert!(server.pings() > 0);
    assert_eq!(server.unknown(), b"");
}

/// A legacy server that goes away is noticed, and one that comes back on the same port is found by
/// the factory.
pub fn a_legacy_server_that_comes_back_is_found_again(setup: &Setup) {
    let server = LegacyServer::start().expect("a server");
    server.register("database", 5);
    let addr = server.addr();
    let mut client = setup.client();
    client.heal(&addr.to_string(), "database");
    assert!(client.tell_proxy(0));
    until("a message", || (server.messages().len() == 1).then_some(()));
    drop(server);
    until("the end to be noticed", || (!client.is_up(&addr.to_string())).then_some(()));
    let server = until("the port to be free", || LegacyServer::start_on(addr).ok());
    server.register("database", 6);
    until("the factory to reconnect", || (client.proxies() >= 2).then_some(()));
    let mut number = 1;
    until("a message through the new proxy", || {
        client.tell_proxy(number);
        number += 1;
        server.messages().first().map(|(pid, _)| assert_eq!(*pid, 6))
    });
}

/// A node that runs out of file descriptors goes on when it gets some back (L29, F19).
pub fn a_node_out_of_file_descriptors_recovers(setup: &Setup) {
    let mut server = setup.server_with_few_files(64);
    let crowd: Vec<_> = (0..100).map(|_| LegacyClient::connect(&server.addr).expect("connect")).collect();
    drop(crowd);
    // Who knocks meanwhile is turned away.
    until("an answer", || {
        LegacyClient::connect(&server.addr).and_then(|mut peer| peer.ping()).unwrap_or(false).then_some(())
    });
    assert_eq!(server.counts().received, 0);
}
