//! Nodes on the hosts of a WAN: with certificates, beyond loopback, and stopped or woken at will.

use std::path::{Path, PathBuf};
use std::time::Duration;

use myrmidon_certs::Authority;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::Wan;
use crate::node::{Node, Setup};

pub use nix::sys::signal::Signal;

/// Longer than any test.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

impl Setup {
    /// The node of a host, on a port of its own.
    pub fn node_on(&self, wan: &Wan, host: usize) -> Node {
        self.node_on_port(wan, host, 0)
    }

    /// The node of a host, on this port; in the language of the client on host 0, and of the server
    /// elsewhere.
    pub fn node_on_port(&self, wan: &Wan, host: usize, port: u16) -> Node {
        let (kind, addr) = (self.kind, format!("{}:{port}", wan.addr(host)));
        let mut command = self.command(if host == 0 { self.client } else { self.server });
        command.args(["--beyond-loopback", "yes", "--certs"]).arg(wan.certs_of(host));
        wan.run(host, move || Node::start(&format!("host {host}"), command, kind, &addr))
    }
}

impl Node {
    /// Sends the process a signal, for example [`Signal::SIGSTOP`].
    ///
    /// # Panics
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.process.id().cast_signed());
        kill(id, signal).expect("the process is there");
    }

    /// The memory that the process has in use, in bytes.
    ///
    /// # Panics
    /// If it is gone.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("the process is there");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line VmRSS");
        let kilobytes = line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kilobytes * 1024
    }

    /// The port that it listens on.
    ///
    /// # Panics
    /// If its address has none.
    pub fn port(&self) -> u16 {
        let (_, port) = self.addr.rsplit_once(':').expect("a port");
        port.parse().expect("a number")
    }
}

/// Makes an authority in `dir`, and a certificate for the node of each host.
pub(super) fn issue_certificates(dir: &Path, hosts: u8) {
    let authority = Authority::generate("wan").expect("an authority");
    for host in 0..usize::from(hosts) {
        let leaf = authority.issue(&format!("host-{host}"), LIFETIME).expect("a certificate");
        leaf.write(&certs_of(dir, host)).expect("certificates can be written");
    }
}

pub(super) fn certs_of(dir: &Path, host: usize) -> PathBuf {
    dir.join(format!("host-{host}"))
}
