//! `myrmidon ping`: is a node there, who is it, and how far away?

use std::io::Write;
use std::time::Duration;

use clap::Args;
use myrmidon::Runtime;
use myrmidon::transport::NodeAddr;

use crate::Failure;
use crate::transport::Mesh;

#[derive(Args)]
pub(crate) struct Ping {
    /// The node, as host:port or node@host:port
    addr: NodeAddr,
    /// How many times to ask
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    #[command(flatten)]
    mesh: Mesh,
}

impl Ping {
    /// Fails with the first question that gets no answer.
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        let runtime = self.mesh.runtime()?;
        let answered = self.ask(&runtime, out);
        runtime.shutdown(Duration::ZERO);
        answered
    }

    fn ask(&self, runtime: &Runtime, out: &mut dyn Write) -> Result<(), Failure> {
        for _ in 0..self.count {
            let answer = runtime.io().block_on(runtime.node().ping(&self.addr));
            let round_trip = answer.map_err(|error| Failure::Failed(error.to_string()))?;
            let millis = round_trip.as_secs_f64() * 1000.0;
            writeln!(out, "{}{}: {millis:.3} ms", self.addr, identity(runtime, &self.addr))?;
        }
        Ok(())
    }
}

/// Who answers there, where the transport proves it.
fn identity(runtime: &Runtime, addr: &NodeAddr) -> String {
    let peer = runtime.node().peers().into_iter().find(|peer| peer.addr == *addr);
    match peer.and_then(|peer| peer.identity) {
        Some(id) => format!(" (node {} of cluster {})", id.node, id.cluster),
        None => String::new(),
    }
}
