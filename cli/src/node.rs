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
        let _within = runtime.io().enter();
        let interrupt = Interrupt::new()?;
        let bound = runtime.io().block_on(runtime.node().listen(&self.listen))?;
        writeln!(out, "listening on {bound}")?;
        writeln!(out, "try: myrmidon ping {bound}{}", self.mesh.options())?;
        out.flush()?;
        runtime.io().block_on(interrupt.wait());
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

/// Both ways of being asked to end. Made before anybody can know that the node runs, since a signal
/// that comes earlier ends the process there and then.
#[cfg(unix)]
struct Interrupt {
    key: tokio::signal::unix::Signal,
    request: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Interrupt {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { key: signal(SignalKind::interrupt())?, request: signal(SignalKind::terminate())? })
    }

    async fn wait(mut self) {
        tokio::select! {
            _ = self.key.recv() => {}
            _ = self.request.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Interrupt(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Interrupt {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn wait(mut self) {
        let _ = self.0.recv().await;
    }
}
