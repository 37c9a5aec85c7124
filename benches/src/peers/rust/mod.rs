//! The Rust peers: actix, ractor and kameo, in this process.
//!
//! A workload is written once, as scripts in `work`, and each library runs a script as an actor of its
//! own kind, without a box or a layer between: what `library` asks for is what the library's own examples
//! do. The two workloads whose calls differ too much, `ask` and `timers`, are written for each.

mod actix;
mod kameo;
mod library;
mod ractor;
mod work;

use crate::measure::{Figures, Run, Workload};
use crate::rounds::Peer;

/// A workload on a library, and by how much its work is divided.
pub(super) struct Port {
    pub(super) work: &'static str,
    pub(super) divisor: u64,
    pub(super) run: Run,
}

/// A library with its workloads.
struct Ported {
    name: &'static str,
    ports: Vec<Port>,
}

/// All of them.
pub(super) fn all() -> Vec<Box<dyn Peer>> {
    let mut actix = work::ports::<actix::Actix>();
    actix.push(actix::ASK);
    let mut ractor = work::ports::<ractor::Ractor>();
    ractor.extend([ractor::ASK, ractor::TIMERS]);
    let mut kameo = work::ports::<kameo::Kameo>();
    kameo.extend([kameo::ASK, kameo::TIMERS]);
    let peers = [("actix", actix), ("ractor", ractor), ("kameo", kameo)];
    peers.into_iter().map(|(name, ports)| Box::new(Ported { name, ports }) as Box<dyn Peer>).collect()
}

impl Ported {
    fn port(&self, work: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.work == work)
    }
}

impl Peer for Ported {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> String {
        let version = locked_version(self.name).unwrap_or("of an unknown version");
        format!("{} {version}", self.name)
    }

    fn divisor(&self, work: &str) -> Option<u64> {
        self.port(work).map(|port| port.divisor)
    }

    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        let port = self.port(workload.name);
        port.ok_or_else(|| format!("{} does not do {}", self.name, workload.name))?.run.run(amount)
    }
}

/// The version that this program is built with.
fn locked_version(name: &str) -> Option<&'static str> {
    let lock = include_str!("../../../../Cargo.lock");
    let package =
        lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{name}\"\n")))?;
    package.split("version = \"").nth(1)?.split('"').next()
}

#[cfg(test)]
mod tests {
    use crate::local::WORKLOADS;

    #[test]
    fn every_workload_completes_and_counts_right() {
        for peer in super::all() {
            assert!(peer.version().contains('.'), "{}", peer.version());
            for workload in WORKLOADS.iter().filter(|workload| peer.divisor(workload.name).is_some()) {
                let figures = peer.run(workload, (workload.work / 1000).max(10));
                let right = figures.as_ref().is_ok_and(|figures| {
                    figures.len() == workload.metrics.len() && figures.iter().all(|figure| *figure >= 0.0)
                });
                assert!(right, "{} of {}: {figures:?}", workload.name, peer.name());
            }
        }
    }
}
