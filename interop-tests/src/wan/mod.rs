//! A wide area network in one process: hosts in network namespaces, and a router in userspace between
//! them that delays, loses, reorders, repeats and cuts as it is told. TCP and QUIC pass it alike, packet
//! by packet, through the kernel's own stack.
//!
//! ```text
//! node ─► kernel of host 0 ─► TUN ─► router: a path per direction, seeded ─► TUN ─► kernel of host 1 ─► node
//! ```
//!
//! It needs Linux, root and `/dev/net/tun`. No packet leaves the namespaces: the TUN device is the only
//! interface of a host, and the router knows nobody but the hosts.

mod bare;
pub mod bench;
mod conditions;
mod host;
mod nodes;
mod packet;
mod path;
mod router;
mod truth;

use std::fs::OpenOptions;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Instant;

use nix::unistd::geteuid;

pub use conditions::{Conditions, HELD_BACK};
pub use nodes::Signal;
pub use path::Tally;

use host::Host;
use router::Router;

/// Hosts, and what is between them. All paths are perfect until they are changed.
pub struct Wan {
    // Before the hosts: it ends first.
    router: Router,
    hosts: Vec<Host>,
    /// The certificates of the nodes, made for this network alone.
    certs: tempfile::TempDir,
}

impl Wan {
    /// A network of `hosts` hosts whose chance comes from `seed`; `None`, with a line that says why, on a
    /// system that cannot have one.
    ///
    /// # Panics
    /// If the system can have one, and refuses.
    pub fn start(hosts: u8, seed: u64) -> Option<Self> {
        if let Err(reason) = supported() {
            println!("skipped: {reason}");
            return None;
        }
        Some(Self::build(hosts, seed).unwrap_or_else(|error| panic!("no network namespaces: {error}")))
    }

    /// The address of a host.
    pub fn addr(&self, host: usize) -> Ipv4Addr {
        self.hosts[host].addr()
    }

    /// Runs `job` on a host: sockets and processes that it makes belong there.
    pub fn run<T: Send + 'static>(&self, host: usize, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.hosts[host].run(job)
    }

    /// Sets both directions between any two hosts.
    pub fn everywhere(&self, conditions: Conditions) {
        self.pairs().for_each(|(from, to)| self.router.change(from, to, conditions));
    }

    /// Cuts both directions between two hosts. What is under way is lost too.
    pub fn cut(&self, a: usize, b: usize) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Cuts one direction.
    pub fn cut_one_way(&self, from: usize, to: usize) {
        self.router.cut(from, to, true);
    }

    /// Cuts every direction between a host of one side and one of the other.
    pub fn part(&self, side: &[usize], other: &[usize]) {
        side.iter().for_each(|a| other.iter().for_each(|b| self.cut(*a, *b)));
    }

    /// Heals every cut.
    pub fn heal(&self) {
        self.pairs().for_each(|(from, to)| self.router.cut(from, to, false));
    }

    /// Gives `host` new ports in the eyes of all others, as a translator of addresses does that has
    /// forgotten its table: what it has open goes on from other ports. Nobody reaches it at the
    /// ports on which it listens from then on.
    pub fn rebind(&self, host: usize) {
        self.router.translate(host);
    }

    /// What the path from one host to another has done.
    pub fn tally(&self, from: usize, to: usize) -> Tally {
        self.router.tally(from, to)
    }

    /// When packets from one host to another came that were lost: by chance, for want of room or as the path was cut.
    pub fn lost_at(&self, from: usize, to: usize) -> Vec<Instant> {
        self.router.lost_at(from, to)
    }

    /// Connections that host `from` has tried to open at host `to`, by TCP or QUIC.
    pub fn attempts(&self, from: usize, to: usize) -> usize {
        self.router.attempts(from, to)
    }

    /// The congestion control of TCP on the hosts: a fact that belongs to every measurement.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn tcp_congestion(&self) -> String {
        self.hosts[0].congestion().expect("the system tells")
    }

    fn build(hosts: u8, seed: u64) -> io::Result<Self> {
        let certs = tempfile::tempdir()?;
        nodes::issue_certificates(certs.path(), hosts);
        let addrs = (1..=hosts).map(|number| Ipv4Addr::new(10, 99, 0, number));
        let started = addrs.map(Host::start).collect::<io::Result<Vec<_>>>()?;
        let (hosts, devices): (Vec<_>, Vec<_>) = started.into_iter().unzip();
        let ends = hosts.iter().map(Host::addr).zip(devices).collect();
        Ok(Self { router: Router::start(ends, seed)?, hosts, certs })
    }

    fn certs_of(&self, host: usize) -> PathBuf {
        nodes::certs_of(self.certs.path(), host)
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let hosts = self.hosts.len();
        (0..hosts).flat_map(move |from| (0..hosts).map(move |to| (from, to))).filter(|(from, to)| from != to)
    }
}

/// Whether this system can have such a network, or why not.
fn supported() -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("the userspace WAN needs root, for network namespaces".to_owned());
    }
    let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    device.map_err(|error| format!("the userspace WAN needs /dev/net/tun, the module tun: {error}"))?;
    host::namespaces_allowed().map_err(|error| format!("the userspace WAN needs network namespaces: {error}"))
}
