//! Erlang's distribution: the same work in `peers/myrmidon_net_peer.erl`, between two emulators that talk
//! without the port mapper.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use myrmidon_certs::Authority;
use tempfile::TempDir;

use super::pair;
use crate::measure::{Figures, Workload};
use crate::peers::{erlang_release, output};
use crate::rounds::Peer;

const SOURCE: &str = include_str!("../../peers/myrmidon_net_peer.erl");
const NAME: &str = "myrmidon_net_peer";
const HOST: &str = "127.0.0.1";
const TLS_OPTIONS: &str = "tls.conf";
/// Longer than any run.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The workloads that the peer knows, what it calls them, and by how much their work is divided.
const WORKLOADS: &[(&str, &str, u64)] = &[
    ("tcp-small", "small", 4),
    ("tcp-large", "large", 4),
    ("tcp-trip", "trip", 2),
    ("tls-small", "small", 4),
    ("tls-large", "large", 8),
    ("tls-trip", "trip", 2),
    ("python-tcp-small", "small", 1),
    ("python-tcp-trip", "trip", 1),
    ("python-tls-small", "small", 1),
    ("python-tls-trip", "trip", 1),
];

/// The compiled peer.
pub(super) struct Erlang {
    folder: TempDir,
    release: String,
}

impl Erlang {
    /// Compiles the peer.
    ///
    /// # Errors
    /// If there is no Erlang compiler, or it fails.
    pub(super) fn build() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let file = format!("{NAME}.erl");
        std::fs::write(folder.path().join(&file), SOURCE).map_err(|error| error.to_string())?;
        output(Command::new("erlc").arg(file).current_dir(folder.path()))?;
        certificates(folder.path()).map_err(|error| error.to_string())?;
        Ok(Self { folder, release: erlang_release()? })
    }

    /// An emulator that takes part in a distribution of its own, whose only listener has this port.
    fn emulator(folder: &Path, name: &str, port: &str, tls: bool) -> Command {
        let mut erl = Command::new("erl");
        if tls {
            erl.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile"]).arg(folder.join(TLS_OPTIONS));
        }
        erl.args(["-noshell", "-noinput", "-start_epmd", "false", "-erl_epmd_port", port])
            .args(["-setcookie", NAME, "-name", &format!("{name}@{HOST}")])
            .current_dir(folder);
        erl
    }
}

impl Peer for Erlang {
    fn name(&self) -> &'static str {
        "erlang"
    }

    fn version(&self) -> String {
        format!("Erlang/OTP {}", self.release)
    }

    fn divisor(&self, work: &str) -> Option<u64> {
        WORKLOADS.iter().find(|(name, ..)| *name == work).map(|(.., divisor)| *divisor)
    }

    fn run(&self, workload: &Workload, amount: u64) -> Figures {
        let row = WORKLOADS.iter().find(|(name, ..)| *name == workload.name);
        let (_, work, _) = row.ok_or_else(|| format!("there is no workload {}", workload.name))?;
        let (folder, tls) = (self.folder.path().to_owned(), workload.name.contains("tls-"));
        let port = free_port()?;
        let mut serve = Self::emulator(&folder, "serve", &port, tls);
        serve.args(["-run", NAME, "serve", &port]);
        let drive = move |port: &str, _| {
            let mut drive = Self::emulator(&folder, "drive", port, tls);
            drive.args(["-dist_listen", "false", "-run", NAME, "drive", work, &amount.to_string()]);
            drive.arg(format!("serve@{HOST}"));
            drive
        };
        pair::measure(serve, drive)
    }

    fn is_outside(&self) -> bool {
        true
    }
}

/// A certificate for both emulators, and the file that names it to Erlang. It is not verified, since
/// Erlang expects other names in one; the handshake is over when the clock starts.
fn certificates(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let leaf = Authority::generate("benches")?.issue("both", LIFETIME)?;
    let certificates = folder.join("certificates");
    leaf.write(&certificates)?;
    let (own, key) = (certificates.join("node.crt"), certificates.join("node.key"));
    let options = format!(
        "[{{server, [{{versions, ['tlsv1.3']}}, {{certfile, {own:?}}}, {{keyfile, {key:?}}}]}},\n \
          {{client, [{{versions, ['tlsv1.3']}}, {{verify, verify_none}}]}}].\n"
    );
    Ok(std::fs::write(folder.join(TLS_OPTIONS), options)?)
}

/// A port that nobody listens on a moment later.
fn free_port() -> Result<String, String> {
    let listener = TcpListener::bind((HOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|addr| addr.port().to_string()).map_err(|error| error.to_string())
}
