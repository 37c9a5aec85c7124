//! The userspace WAN itself: what its hosts see of delay, loss and cuts.
#![cfg(target_os = "linux")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use myrmidon_interop_tests::wan::{Conditions, Tally, Wan};

const WORKS: &str = "the network works";
const MS: Duration = Duration::from_millis(1);
const NOTHING: [u32; 0] = [];

/// A UDP socket on a host, which waits this long for a datagram.
fn socket(wan: &Wan, host: usize, patience: Duration) -> UdpSocket {
    let addr = (wan.addr(host), 0);
    wan.run(host, move || {
        let socket = UdpSocket::bind(addr).expect(WORKS);
        socket.set_read_timeout(Some(patience)).expect(WORKS);
        socket
    })
}

/// The numbers that arrive at `to`, in their order, of so many sent by `from`.
fn arrivals(from: &UdpSocket, to: &UdpSocket, count: u32) -> Vec<u32> {
    let there = to.local_addr().expect(WORKS);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut datagram = [0; 4];
            let next = move || to.recv(&mut datagram).ok().map(|_| u32::from_be_bytes(datagram));
            std::iter::from_fn(next).collect()
        });
        for number in 0..count {
            from.send_to(&number.to_be_bytes(), there).expect(WORKS);
            std::thread::sleep(MS / 5);
        }
        reading.join().expect(WORKS)
    })
}

#[test]
fn packets_take_the_time_that_the_path_says() {
    let Some(wan) = Wan::start(2, 1) else { return };
    let (a, b) = (socket(&wan, 0, 10_000 * MS), socket(&wan, 1, 10_000 * MS));
    for round_trip in [0, 20, 100] {
        wan.everywhere(Conditions::round_trip(round_trip));
        let (start, mut datagram) = (Instant::now(), [0; 4]);
        a.send_to(b"ping", b.local_addr().expect(WORKS)).expect(WORKS);
        b.recv(&mut datagram).expect(WORKS);
        b.send_to(b"pong", a.local_addr().expect(WORKS)).expect(WORKS);
        a.recv(&mut datagram).expect(WORKS);
        assert!(start.elapsed() >= MS * round_trip as u32, "{:?}", start.elapsed());
        assert_eq!(&datagram, b"pong");
    }
}

#[test]
fn packets_are_lost_repeated_and_overtaken_as_often_as_the_path_counts() {
    let Some(wan) = Wan::start(2, 2) else { return };
    let (a, b) = (socket(&wan, 0, 2000 * MS), socket(&wan, 1, 2000 * MS));
    wan.everywhere(Conditions { loss: 0.2, duplicate: 0.2, reorder: 0.2, ..Conditions::round_trip(10) });
    // No more than a socket holds that nobody reads for a while.
    let mut got = arrivals(&a, &b, 200);
    let Tally { offered, lost, duplicated, reordered, overflowed, cut } = wan.tally(0, 1);
    assert_eq!((offered, overflowed, cut), (200, 0, 0));
    assert!(lost > 15 && duplicated > 15 && reordered > 15, "{:?}", wan.tally(0, 1));
    assert_eq!(got.len() as u64, offered - lost + duplicated);
    assert!(!got.is_sorted());
    got.sort_unstable();
    got.dedup();
    assert_eq!(got.len() as u64, offered - lost);
}

#[test]
fn a_cut_stops_one_direction_and_healing_brings_it_back() {
    let Some(wan) = Wan::start(2, 3) else { return };
    let (a, b) = (socket(&wan, 0, 500 * MS), socket(&wan, 1, 500 * MS));
    wan.cut_one_way(0, 1);
    assert_eq!(arrivals(&a, &b, 10), NOTHING);
    assert_eq!(arrivals(&b, &a, 10).len(), 10);
    wan.heal();
    assert_eq!(arrivals(&a, &b, 10).len(), 10);
    wan.cut(0, 1);
    assert_eq!(arrivals(&b, &a, 10), NOTHING);
}

#[test]
fn three_hosts_reach_each_other_and_a_partition_leaves_each_side_whole() {
    let Some(wan) = Wan::start(3, 4) else { return };
    let sockets = [0, 1, 2].map(|host| socket(&wan, host, 500 * MS));
    wan.part(&[0], &[1, 2]);
    assert_eq!(arrivals(&sockets[0], &sockets[1], 5), NOTHING);
    assert_eq!(arrivals(&sockets[2], &sockets[0], 5), NOTHING);
    assert_eq!(arrivals(&sockets[1], &sockets[2], 5).len(), 5);
    wan.heal();
    assert_eq!(arrivals(&sockets[2], &sockets[0], 5).len(), 5);
}

#[test]
fn tcp_passes_a_rough_path_whole_and_its_connections_are_counted() {
    let Some(wan) = Wan::start(2, 5) else { return };
    wan.everywhere(Conditions {
        loss: 0.03,
        reorder: 0.02,
        ..Conditions::round_trip(10).with_rate(100, 256 << 10)
    });
    let addr = (wan.addr(1), 0);
    let listener = wan.run(1, move || TcpListener::bind(addr).expect(WORKS));
    let there = listener.local_addr().expect(WORKS);
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
    let sending = sent.clone();
    let sender = std::thread::spawn(move || {
        let mut stream = wan.run(0, move || TcpStream::connect(there).expect(WORKS));
        stream.write_all(&sending).expect(WORKS);
        drop(stream);
        wan
    });
    let mut got = vec![];
    listener.accept().expect(WORKS).0.read_to_end(&mut got).expect(WORKS);
    assert!(got == sent, "{} bytes arrived, or others", got.len());
    let wan = sender.join().expect(WORKS);
    assert_eq!((wan.attempts(0, 1), wan.attempts(1, 0)), (1, 0));
    assert!(wan.tally(0, 1).lost > 0);
}

#[test]
fn a_host_that_is_rebound_speaks_from_another_port_and_is_answered_there() {
    let Some(wan) = Wan::start(2, 7) else { return };
    let (a, b) = (socket(&wan, 0, 10_000 * MS), socket(&wan, 1, 10_000 * MS));
    let mut seen = vec![];
    for _ in 0..3 {
        a.send_to(b"ping", b.local_addr().expect(WORKS)).expect(WORKS);
        let mut datagram = [0; 4];
        let (_, from) = b.recv_from(&mut datagram).expect(WORKS);
        b.send_to(b"pong", from).expect(WORKS);
        a.recv(&mut datagram).expect(WORKS);
        assert_eq!(&datagram, b"pong");
        assert_eq!(from.ip(), wan.addr(0));
        seen.push(from);
        wan.rebind(0);
    }
    assert_eq!(seen[0], a.local_addr().expect(WORKS));
    assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2], "{seen:?}");
}

#[test]
fn nothing_leaves_the_network() {
    let Some(wan) = Wan::start(2, 6) else { return };
    let outside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect(WORKS);
    let (a, there) = (socket(&wan, 0, MS), outside.local_addr().expect(WORKS));
    assert!(a.send_to(b"hello", there).is_err(), "the loopback of a host is down, and not this one");
    assert!(a.send_to(b"hello", (Ipv4Addr::new(192, 0, 2, 1), 9)).is_err(), "no route but to the hosts");
}
