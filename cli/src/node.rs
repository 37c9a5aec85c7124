//! `myrmidon node`: a node without actors, to see whether a machine can be reached.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use myrmidon::transport::NodeAddr;

use crate::Failure;
use crate::transport::Mesh;

/// How long peers may take to notice that the node leaves.
const DRAIN: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Node {
    /// Where to listen, as host:port; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: NodeAddr,
    #[command(flatten)]
    mesh: Mesh,
}

impl Node {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        log_to_stderr();
        let runtime = self.mesh.runtime()?;
        let bound = runtime.io().block_on(runtime.node().listen(&self.listen))?;
        writeln!(out, "listening on {bound}")?;
        writeln!(out, "try: myrmidon ping {bound}{}", self.mesh.options())?;
        out.flush()?;
        runtime.io().block_on(interrupted())?;
        runtime.shutdown(DRAIN);
        Ok(())
    }
}

/// Why a peer was turned away is told to the log alone, so it has to be seen.
fn log_to_stderr() {
    // Fails only if the host program has a log of its own already.
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .try_init();
}

#[cfg(unix)]
async fn interrupted() -> io::Result<()> {
    let mut asked = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        key = tokio::signal::ctrl_c() => key,
        _ = asked.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupted() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
