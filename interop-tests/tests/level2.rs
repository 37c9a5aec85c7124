//! Level 2 between runtimes over the real transports: lanes, large payloads, monitors, leaving.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use myrmidon::actor::{ExitReason, Flow};
use myrmidon::config::{Level, NodeConfig, RuntimeConfig};
use myrmidon::node::DownReason;
use myrmidon::transport::{NodeAddr, Transport};
use myrmidon::{Pid, Runtime};
use myrmidon_certs::Credentials;
use myrmidon_interop_tests::Kind;
use myrmidon_interop_tests::wait::{DEADLINE, until};
use myrmidon_quic::{QuicConfig, QuicTransport};
use myrmidon_tcp::{TcpConfig, TcpTransport, TlsConfig};

/// Two runtimes, the second of which listens.
struct Pair {
    here: Runtime,
    there: Runtime,
    addr: NodeAddr,
    _certs: tempfile::TempDir,
}

impl Pair {
    fn new(kind: Kind, levels: [Level; 2]) -> Self {
        let certs = tempfile::tempdir().expect("a directory");
        let [here, there] = levels.map(|level| runtime(kind, level, certs.path()));
        let addr = listen(&there);
        Self { here, there, addr, _certs: certs }
    }

    fn send(&self, pid: Pid, message: Bytes) {
        self.here.io().block_on(self.here.node().send(&self.addr, pid, message)).expect("send");
    }

    fn level(&self) -> Option<Level> {
        self.here.node().peers().iter().find(|peer| peer.addr == self.addr).and_then(|peer| peer.level)
    }
}

fn runtime(kind: Kind, level: Level, certs: &Path) -> Runtime {
    let credentials = || Credentials::loopback_in(&certs.join("loopback")).expect("certificates");
    let transport: Arc<dyn Transport> = match kind {
        Kind::Tcp => Arc::new(TcpTransport::default()),
        Kind::Tls => {
            let config = TlsConfig { level, ..TlsConfig::new(credentials()) };
            Arc::new(TcpTransport::with_tls(TcpConfig::default(), config).expect("a transport"))
        }
        Kind::Quic => {
            let config = QuicConfig { level, ..QuicConfig::new(credentials()) };
            Arc::new(QuicTransport::new(config).expect("a transport"))
        }
    };
    let node = NodeConfig { level, ..NodeConfig::default() };
    let config = RuntimeConfig { workers: 2, node, ..RuntimeConfig::default() };
    Runtime::builder().config(config).transport(transport).start().expect("a runtime")
}

fn listen(rt: &Runtime) -> NodeAddr {
    rt.io().block_on(rt.node().listen(&NodeAddr::new("127.0.0.1", 0))).expect("listen")
}

/// An actor that passes on what it gets.
fn inbox(rt: &Runtime) -> (Pid, Receiver<Bytes>) {
    let (tell, told) = sync_channel(100_000);
    let pid = rt.spawn_fn(move |message, _| {
        let _ = tell.send(message);
        Flow::Continue
    });
    (pid, told)
}

fn next<T>(told: &Receiver<T>) -> T {
    told.recv_timeout(DEADLINE).expect("an answer in time")
}

fn pattern(len: u32, seed: u32) -> Bytes {
    (0..len).map(|n| (n.wrapping_mul(31).wrapping_add(seed) >> 3) as u8).collect()
}

fn levels_are_agreed_on(kind: Kind) {
    for (levels, expected) in [
        ([Level::Two, Level::Two], Level::Two),
        ([Level::Two, Level::One], Level::One),
        ([Level::One, Level::Two], Level::One),
    ] {
        let pair = Pair::new(kind, levels);
        let (pid, told) = inbox(&pair.there);
        pair.there.names().register("inbox", pid).expect("a free name");
        let resolve = pair.here.node().resolve(&pair.addr, "inbox");
        assert_eq!(pair.here.io().block_on(resolve), Ok(Some(pid)));
        pair.send(pid, Bytes::from_static(b"hello"));
        assert_eq!(next(&told), "hello");
        assert_eq!(pair.level(), Some(expected));
        assert_eq!(pair.here.shutdown(DEADLINE), 0);
    }
}

/// G1, G2: small and large messages to one actor arrive once each, whole and in order, both ways at once.
fn small_and_large_messages_keep_their_order(kind: Kind) {
    let pair = Pair::new(kind, [Level::Two, Level::Two]);
    let back = listen(&pair.here);
    let ((there, told_there), (here, told_here)) = (inbox(&pair.there), inbox(&pair.here));
    let message = |n: u32| match n % 50 {
        0 => pattern(3 << 20, n),
        25 => pattern(300 << 10, n),
        _ => pattern(n % 5_000, n),
    };
    let sender = {
        let (rt, to) = (pair.there.clone(), back.clone());
        std::thread::spawn(move || {
            for n in 0..200 {
                rt.io().block_on(rt.node().send(&to, here, message(n))).expect("send");
            }
        })
    };
    (0..200).for_each(|n| pair.send(there, message(n)));
    sender.join().expect("the other sender");
    for n in 0..200 {
        assert!(next(&told_there) == message(n) && next(&told_here) == message(n), "message {n}");
    }
}

/// S24, S25, S28: the reason of an actor's end; then the end of its node, each told once.
fn monitors_tell_of_actors_and_of_nodes(kind: Kind) {
    let pair = Pair::new(kind, [Level::Two, Level::Two]);
    let (tell, told) = sync_channel(10);
    let monitor = |pid: Pid| {
        let tell = tell.clone();
        pair.here.node().monitor(
            &pair.addr,
            pid,
            Box::new(move |down| tell.send(down.reason).expect("heard")),
        );
    };
    let fragile = pair.there.spawn_fn(|message: Bytes, _| {
        assert!(message.is_empty(), "as ordered");
        Flow::Continue
    });
    monitor(fragile);
    pair.send(fragile, Bytes::from_static(b"fail"));
    assert_eq!(next(&told), DownReason::Ended(ExitReason::Panic("as ordered".to_owned())));
    monitor(fragile);
    assert_eq!(next(&told), DownReason::Ended(ExitReason::NoProcess));
    monitor(inbox(&pair.there).0);
    let up = || pair.here.node().peers().iter().any(|peer| peer.round_trip.is_some() && peer.monitors == 1);
    until("the monitor to be made", || up().then_some(()));
    pair.there.shutdown(DEADLINE);
    assert_eq!(next(&told), DownReason::Left);
    assert!(told.try_recv().is_err(), "once");
}

/// F10: what was accepted is there when both have left, whichever side leaves first.
fn leaving_loses_nothing(kind: Kind) {
    for both in [false, true] {
        let pair = Pair::new(kind, [Level::Two, Level::Two]);
        let (pid, told) = inbox(&pair.there);
        // The link is up at both ends; a node that leaves before takes nothing any more.
        assert!(pair.here.io().block_on(pair.here.node().is_up(&pair.addr)));
        for n in 0..20_000u32 {
            pair.send(pid, Bytes::copy_from_slice(&n.to_be_bytes()));
        }
        pair.send(pid, pattern(2 << 20, 0));
        let other = both.then(|| {
            let there = pair.there.clone();
            std::thread::spawn(move || there.shutdown(DEADLINE))
        });
        assert_eq!(pair.here.shutdown(DEADLINE), 0);
        if let Some(other) = other {
            assert_eq!(other.join().expect("the other shutdown"), 0);
        } else {
            assert!((0..20_000u32).all(|n| next(&told) == n.to_be_bytes()[..]));
            assert_eq!(next(&told), pattern(2 << 20, 0));
        }
    }
}

macro_rules! over_all {
    ($($name:ident),+) => {
        mod tcp {
            $(#[test] fn $name() { super::$name(super::Kind::Tcp); })+
        }
        mod tls {
            $(#[test] fn $name() { super::$name(super::Kind::Tls); })+
        }
        mod quic {
            $(#[test] fn $name() { super::$name(super::Kind::Quic); })+
        }
    };
}

over_all!(
    levels_are_agreed_on,
    small_and_large_messages_keep_their_order,
    monitors_tell_of_actors_and_of_nodes,
    leaving_loses_nothing
);
