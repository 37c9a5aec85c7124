//! Plain configuration with documented defaults.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;
use std::time::Duration;

/// Which of the two protocols is spoken (`src/wire/PROTOCOL.md`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The documented framing, which every peer speaks.
    One,
    /// What two nodes of ours speak.
    #[default]
    Two,
}

impl Level {
    /// The names by which TLS agrees on a level (ALPN) where this is the highest: the preferred one first.
    pub const fn protocols(self) -> &'static [&'static [u8]] {
        match self {
            Self::One => &[ALPN_ONE],
            Self::Two => &[ALPN_TWO, ALPN_ONE],
        }
    }

    /// The level that such a name stands for.
    pub fn of_protocol(name: &[u8]) -> Option<Self> {
        match name {
            ALPN_ONE => Some(Self::One),
            ALPN_TWO => Some(Self::Two),
            _ => None,
        }
    }
}

const ALPN_ONE: &[u8] = b"myrmidon/1";
const ALPN_TWO: &[u8] = b"myrmidon/2";

/// How far away other nodes are: the clocks of the mesh and the settings of transports follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// On this machine.
    Loopback,
    /// On the same local network or in the same data centre.
    #[default]
    Lan,
    /// Far away, over lines that lose packets now and then.
    Wan,
}

impl Profile {
    /// The profile that fits an address: loopback; private, link-local and shared ranges are the local
    /// network; everything else is far away.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            ip if ip.is_loopback() => Self::Loopback,
            ip if ip.is_unspecified() => Self::Lan,
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || is_shared(ip) => Self::Lan,
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Self::Lan,
            _ => Self::Wan,
        }
    }
}

/// 100.64.0.0/10, which providers and overlay networks use inside.
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xC0 == 64
}

/// How a runtime is made. Fixed once the runtime runs.
#[derive(Clone, Debug)]
pub struct RuntimeConfig {
    /// Worker threads that run Rust actors. Default: the number of cores.
    pub workers: usize,
    /// Threads of the tokio runtime that owns sockets. Default: 1. Where there is one, it runs handlers of actors that
    /// were made ready by what came over the sockets while all workers sleep, for as long as they are short, and
    /// another thread takes the sockets over when one is not. With more threads all handlers run on workers.
    ///
    /// With one thread the tokio runtime is a current-thread one, in which `tokio::task::block_in_place` panics: where tasks on
    /// [`Runtime::io`](crate::Runtime::io), or a transport, call it, there must be 2.
    pub io_threads: usize,
    /// Messages an actor handles before it goes to the back of the run queue, where its spawn
    /// options do not say otherwise. Default: 100.
    pub budget: u32,
    /// The longest slice of one actor, whatever its budget. Default: 500 us.
    pub slice: Duration,
    /// A handler that runs for so long is reported as stalled, and others take over what its worker
    /// would do next. Default: 10 ms. `Duration::MAX` switches both off.
    pub stall_after: Duration,
    /// When a handler on a lane, such as Python's, is reported as stalled. Default: 1 s.
    pub lane_stall_after: Duration,
    /// Workers that may stand in for others while these are held up by handlers; their threads
    /// start when first needed. Default: four for each core, at most 64. More than 1 024 count as 1 024.
    pub spare_workers: usize,
    /// Threads for blocking work ([`SpawnOptions::blocking`](crate::actor::SpawnOptions::blocking),
    /// [`Runtime::spawn_blocking`](crate::Runtime::spawn_blocking)), at least one. They start when needed
    /// and end after ten idle seconds. Default: 64.
    pub blocking_threads: usize,
    /// The stack of each of them, in bytes. Default: 2 MiB.
    pub blocking_stack: usize,
    /// Closures that may wait for such a thread; further ones are refused. Default: 1 024.
    pub blocking_queue: usize,
    /// The mesh.
    pub node: NodeConfig,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers: cores,
            io_threads: 1,
            budget: 100,
            slice: Duration::from_micros(500),
            stall_after: Duration::from_millis(10),
            lane_stall_after: Duration::from_secs(1),
            spare_workers: (4 * cores).min(64),
            blocking_threads: 64,
            blocking_stack: 2 << 20,
            blocking_queue: 1024,
            node: NodeConfig::default(),
        }
    }
}

/// Limits and clocks of the mesh (`docs/semantics`, limits and numbers).
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// How often a monitored peer is pinged. Default: 1 s.
    pub heartbeat: Duration,
    /// Without a sign of life for so long a peer is down. Default: 5 s.
    pub down_after: Duration,
    /// While bytes come or go at least this often, many times in a row, the thread of the sockets looks for more of them
    /// for this long before it sleeps, since waking it takes longer than all else about a short message. It
    /// yields to other threads meanwhile. 0: it always sleeps. Default: 200 us.
    pub spin: Duration,
    /// Deadline of a connection attempt, handshake included. Default: 5 s.
    pub connect_timeout: Duration,
    /// Deadline of a resolve or a ping. Default: 5 s.
    pub request_timeout: Duration,
    /// How long a blocking remote send waits for room. Default: 5 s.
    pub send_timeout: Duration,
    /// Outbound queue of one peer, messages. Default: 65 536 (L10).
    pub outbound_messages: usize,
    /// Outbound queue of one peer, bytes. Default: 16 MiB (L10).
    pub outbound_bytes: usize,
    /// Largest payload sent in one frame, and so to a level-1 peer at all. Default: 1 MiB (L02).
    pub max_sent_payload: usize,
    /// Largest payload accepted. Default: 64 MiB (L02).
    pub max_accepted_payload: usize,
    /// First pause before a lost peer is dialled again; doubles up to `reconnect_cap`, full jitter.
    /// Default: 100 ms (L28).
    pub reconnect_first: Duration,
    /// The longest such pause. Default: 5 s; peers on loopback use at most 500 ms.
    pub reconnect_cap: Duration,
    /// Connections at once, both ways; those of one link count as one, though over TCP it has one for each lane: with
    /// the defaults six, each with a descriptor of the process. Default: 1 024 (L07).
    pub max_connections: usize,
    /// Other nodes, by their addresses, that are in use or were a moment ago. Those beyond get no connection:
    /// an error says so. Default: 10 000.
    pub max_peers: usize,
    /// What is known of an address is forgotten when it was not used for so long, at most twice as long,
    /// unless there is a connection, something waits, somebody monitors or a PID stands for an actor
    /// there. Default: 60 s.
    pub peer_idle_after: Duration,
    /// The highest level that is spoken where the transport's handshake does not decide it. Default:
    /// [`Level::Two`], with peers that know it.
    pub level: Level,
    /// Message lanes of a link, beside its control lane, at most
    /// [`MOST_MESSAGE_LANES`](Self::MOST_MESSAGE_LANES); the lower of both sides' numbers is used. 0
    /// puts everything on the control lane. Default: 4.
    pub message_lanes: u8,
    /// Messages that a level-2 peer may send before earlier ones are in their mailboxes. Default:
    /// 65 536 (L11).
    pub credit_messages: u32,
    /// Their payloads, in bytes. Default: 16 MiB (L11).
    pub credit_bytes: u32,
    /// Payloads beyond so many bytes travel in chunks on a lane of their own, so that they hold up
    /// nobody but their receiver; at level 2. Default: 256 KiB.
    pub bulk_above: usize,
    /// How many of them may be under way at once from one peer, each with its memory. 0: none, and
    /// `max_sent_payload` is the limit. Default: 4.
    pub bulk_slots: u8,
    /// The largest payload sent to a level-2 peer. Default: 64 MiB (L02).
    pub max_bulk_payload: usize,
    /// With more messages than this in the mailbox of one actor, level-2 peers are asked to send it
    /// nothing for now; others are not affected. What is under way still comes. Default: 1 024 (L12).
    pub actor_messages: usize,
    /// The same for their bytes, reckoned at the length of the last message. Default: 256 KiB.
    pub actor_bytes: usize,
    /// Where other nodes can dial this one, `host:port`, as said to peers and in references. Default: the
    /// address on which it listens, if that is one and no wildcard.
    pub advertised: Option<String>,
    /// Actors of other nodes that are known here by PIDs of this one at once; those that link themselves with
    /// actors here are half of them at most. Default: 100 000 (L20).
    pub max_proxies: usize,
    /// Whether other nodes may stop and kill actors here, and send them exit signals. Links work in any
    /// case. Default: yes.
    pub remote_exits: bool,
    /// The memory of all queues of the mesh together, in bytes: what waits to be written, and large payloads
    /// that are coming in. Beyond it sends get `Busy`, and a peer that sends a large payload is cut off as
    /// overload. Default: 512 MiB, or a quarter of the memory of the machine or the control group, if that
    /// is less (L13).
    pub queue_bytes: usize,
    /// What decides everything that is otherwise random: ids, pauses, when pings are sent. For
    /// simulations only, as ids that can be guessed let strangers join a link. Default: none.
    pub seed: Option<u64>,
}

impl NodeConfig {
    /// A link has no more message lanes than this.
    pub const MOST_MESSAGE_LANES: u8 = 16;

    /// The defaults for nodes at this distance. [`Profile::Wan`] has a heartbeat of 3 s, stalled after 9 s
    /// and down after 15 s, deadlines of 10 s for connecting and 15 s for an answer, and pauses of up to
    /// 30 s before a lost peer is dialled again. The other two are the [`Default`].
    pub fn of(profile: Profile) -> Self {
        match profile {
            Profile::Loopback | Profile::Lan => Self::default(),
            Profile::Wan => Self {
                heartbeat: Duration::from_secs(3),
                down_after: Duration::from_secs(15),
                connect_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(15),
                reconnect_cap: Duration::from_secs(30),
                ..Self::default()
            },
        }
    }
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(1),
            spin: Duration::from_micros(200),
            down_after: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(5),
            outbound_messages: 65_536,
            outbound_bytes: 16 << 20,
            max_sent_payload: 1 << 20,
            max_accepted_payload: 64 << 20,
            reconnect_first: Duration::from_millis(100),
            reconnect_cap: Duration::from_secs(5),
            max_connections: 1024,
            max_peers: 10_000,
            peer_idle_after: Duration::from_secs(60),
            level: Level::Two,
            message_lanes: 4,
            credit_messages: 65_536,
            credit_bytes: 16 << 20,
            bulk_above: 256 << 10,
            bulk_slots: 4,
            max_bulk_payload: 64 << 20,
            actor_messages: 1_024,
            actor_bytes: 256 << 10,
            advertised: None,
            max_proxies: 100_000,
            remote_exits: true,
            queue_bytes: (512 << 20).min(memory() / 4),
            seed: None,
        }
    }
}

/// The memory that this process may have, as far as the system says.
fn memory() -> usize {
    static MEMORY: OnceLock<usize> = OnceLock::new();
    let number = |text: String| text.split_whitespace().find_map(|word| word.parse::<usize>().ok());
    let read = |path| std::fs::read_to_string(path).ok().and_then(number);
    // The first line of the second is `MemTotal: … kB`.
    let of_group = read("/sys/fs/cgroup/memory.max");
    let of_machine = read("/proc/meminfo").map(|kilobytes| kilobytes << 10);
    *MEMORY.get_or_init(|| of_group.into_iter().chain(of_machine).min().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_follows_from_an_address() {
        for (profile, ips) in [
            (Profile::Loopback, &["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"][..]),
            (Profile::Lan, &["10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.1.1", "100.64.0.1"]),
            (Profile::Lan, &["fd00::1", "fe80::1", "0.0.0.0", "::", "::ffff:10.0.0.1"]),
            (Profile::Wan, &["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:db8::1"]),
        ] {
            for ip in ips {
                assert_eq!(Profile::of(ip.parse().unwrap()), profile, "{ip}");
            }
        }
    }

    #[test]
    fn g10_the_clocks_of_a_profile_see_silence_in_its_time() {
        for (profile, most) in [(Profile::Lan, 6), (Profile::Wan, 20)] {
            let NodeConfig { heartbeat, down_after, connect_timeout, .. } = NodeConfig::of(profile);
            assert!(down_after + heartbeat <= Duration::from_secs(most), "{profile:?}");
            assert!(3 * heartbeat < down_after && connect_timeout <= down_after, "{profile:?}");
        }
    }
}
