//! Bare sockets: the documented framing in 64 KiB writes over one TCP connection, plain or with TLS, and over
//! one QUIC stream with the settings of our transport. No actors, no mailboxes: the limit of what they are under.

mod frames;
mod quic;
mod tcp;
mod tls;
mod work;

use tokio::runtime::Builder;

use super::halves::{self, Kind, Server, Who};
use super::pair;
use crate::measure::{Figures, Workload};
use crate::rounds::Peer;

const NO_TLS: &str = "bare sockets speak no TLS within one process";

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
        let (kind, work) = work.split_once('-')?;
        (WORK.contains(&work) && kind != "python").then_some(1)
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
            Kind::Tls => tls::serve(work).await,
        }
    })
}

pub(super) fn drive(kind: Kind, work: &str, amount: u64, server: &Server<'_>) -> Figures {
    if work == "inside" {
        return runtime(true)?.block_on(inside(kind, amount));
    }
    let addr = server.addr.parse().map_err(text)?;
    runtime(false)?.block_on(async {
        match kind {
            Kind::Tcp => work::drive(tcp::connect(addr).await?, work, amount).await,
            Kind::Quic => work::drive(quic::connect(addr).await?, work, amount).await,
            Kind::Tls => work::drive(tls::connect(addr).await?, work, amount).await,
        }
    })
}

/// Trips with both sides in this process.
async fn inside(kind: Kind, amount: u64) -> Figures {
    match kind {
        Kind::Tcp => {
            let listener = tcp::Listener::bind().await?;
            let addr = listener.addr()?;
            tokio::spawn(async move { listener.serve_all("trip", false).await });
            work::drive(tcp::connect(addr).await?, "trip", amount).await
        }
        Kind::Quic => {
            let listener = quic::Listener::bind()?;
            let addr = listener.addr()?;
            tokio::spawn(async move { listener.serve_all("trip", false).await });
            work::drive(quic::connect(addr).await?, "trip", amount).await
        }
        Kind::Tls => Err(NO_TLS.to_owned()),
    }
}

/// One thread for each side, in processes of their own or in one.
fn runtime(inside: bool) -> Result<tokio::runtime::Runtime, String> {
    let mut builder = if inside { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    builder.enable_all().worker_threads(2).build().map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
