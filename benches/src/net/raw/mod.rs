//! Bare sockets: the documented framing in 64 KiB writes over one TCP connection, and over one QUIC
//! stream with the settings of our transport. No actors, no mailboxes: the limit of what they are under.

mod frames;
mod quic;
mod tcp;
mod work;

use tokio::runtime::Builder;

use super::halves::{self, Kind, Server, Who};
use super::pair;
use crate::measure::{Figures, Workload};
use crate::rounds::Peer;

/// What can be done without a runtime.
const WORK: &[&str] = &["small", "large", "trip", "inside"];

pub(super) struct Raw;

impl Peer for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn version(&self) -> String {
        "bare sockets: tokio 1, quinn 0.11".to_owned()
    }

    fn divisor(&self, work: &str) -> Option<u64> {
        let (_, work) = work.split_once('-')?;
        WORK.contains(&work).then_some(1)
    }

    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        let (serve, drive) = halves::commands(Who::Raw, workload.name, amount)?;
        pair::measure(serve, drive)
    }

    fn is_outside(&self) -> bool {
        true
    }
}

/// Serves until the process is ended.
pub(super) fn serve(kind: Kind, work: &str) -> Result<(), String> {
    runtime(false)?.block_on(async {
        match kind {
            Kind::Tcp => tcp::Listener::bind().await?.serve_all(work, true).await,
            Kind::Quic => quic::Listener::bind()?.serve_all(work, true).await,
        }
    })
}

pub(super) fn drive(kind: Kind, work: &str, amount: u64, server: &Server<'_>) -> Figures {
    let inside = work == "inside";
    runtime(inside)?.block_on(async {
        match kind {
            Kind::Tcp if inside => {
                let listener = tcp::Listener::bind().await?;
                let addr = listener.addr()?;
                tokio::spawn(async move { listener.serve_all("trip", false).await });
                work::drive(tcp::connect(addr).await?, "trip", amount).await
            }
            Kind::Quic if inside => {
                let listener = quic::Listener::bind()?;
                let addr = listener.addr()?;
                tokio::spawn(async move { listener.serve_all("trip", false).await });
                work::drive(quic::connect(addr).await?, "trip", amount).await
            }
            Kind::Tcp => {
                work::drive(tcp::connect(server.addr.parse().map_err(text)?).await?, work, amount).await
            }
            Kind::Quic => {
                work::drive(quic::connect(server.addr.parse().map_err(text)?).await?, work, amount).await
            }
        }
    })
}

/// One thread for each side, in processes of their own or in one.
fn runtime(inside: bool) -> Result<tokio::runtime::Runtime, String> {
    let mut builder = if inside { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().worker_threads(2).build().map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
