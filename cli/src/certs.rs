//! `myrmidon certs`: the authority of a cluster, and the certificates of its nodes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use myrmidon_certs::{Authority, CertificateInfo, CertificateKind, Credentials};

use crate::report::{facts, line};
use crate::{Failure, ttl};

/// Where `init` puts the authority and `issue` looks for it.
const CA_DIR: &str = "myrmidon-ca";

#[derive(Subcommand)]
pub(crate) enum Certs {
    /// Make the authority of a new cluster
    Init {
        /// The name of the cluster: a-z, 0-9 and '-'
        #[arg(long)]
        cluster: String,
        /// Where to put ca.crt and ca.key
        #[arg(long, value_name = "DIR", default_value = CA_DIR)]
        ca_dir: PathBuf,
    },
    /// Issue a certificate to a node
    Issue {
        /// The name of the node: a-z, 0-9 and '-'
        node: String,
        /// Where the authority is
        #[arg(long, value_name = "DIR", default_value = CA_DIR)]
        ca_dir: PathBuf,
        /// Where to put node.crt, node.key and ca.crt [default: a directory with the node's name]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// How long the certificate lives, for example 24h or 90d
        #[arg(long, default_value = "90d", value_parser = ttl::parse)]
        ttl: Duration,
    },
    /// Show a certificate, and check whether a node could use it
    Show {
        /// A certificate, or a directory that `init` or `issue` made
        path: PathBuf,
    },
}

impl Certs {
    pub(crate) fn run(self, out: &mut dyn Write) -> Result<(), Failure> {
        match self {
            Self::Init { cluster, ca_dir } => init(out, &cluster, &ca_dir),
            Self::Issue { node, ca_dir, out: dir, ttl } => {
                let dir = dir.unwrap_or_else(|| PathBuf::from(&node));
                issue(out, &node, &ca_dir, &dir, ttl)
            }
            Self::Show { path } => show(out, &path),
        }
    }
}

fn init(out: &mut dyn Write, cluster: &str, dir: &Path) -> Result<(), Failure> {
    Authority::create(dir, cluster)?;
    writeln!(out, "Made the authority of cluster {cluster}.")?;
    wrote(
        out,
        dir,
        &[("ca.crt", "what every node trusts"), ("ca.key", "whoever has it can join: keep it here")],
    )?;
    facts(out, &CertificateInfo::read(dir)?)?;
    writeln!(out, "\nNext, for each node:\n  myrmidon certs issue NODE{}", ca_dir_option(dir))?;
    Ok(())
}

fn issue(out: &mut dyn Write, node: &str, ca_dir: &Path, dir: &Path, ttl: Duration) -> Result<(), Failure> {
    let leaf = Authority::load(ca_dir)?.issue(node, ttl)?;
    leaf.write(dir)?;
    writeln!(out, "Issued a certificate to node {node}.")?;
    let files = [("node.crt", "who the node is"), ("node.key", "its secret"), ("ca.crt", "whom it trusts")];
    wrote(out, dir, &files)?;
    facts(out, &CertificateInfo::read(dir)?)?;
    usage(out, dir)?;
    Ok(())
}

fn usage(out: &mut dyn Write, dir: &Path) -> io::Result<()> {
    writeln!(
        out,
        "\nNext: copy {} to the machine of that node, private as it is, and there in Python",
        dir.display()
    )?;
    writeln!(out, "  rt = myrmidon.Runtime(transport=\"quic\", certs={:?})", dir.display().to_string())?;
    writeln!(out, "and to look at it again:\n  myrmidon certs show {}", dir.display())
}

fn show(out: &mut dyn Write, path: &Path) -> Result<(), Failure> {
    let info = CertificateInfo::read(path)?;
    let whose = match &info.kind {
        CertificateKind::Authority(cluster) => format!("The authority of cluster {cluster}."),
        CertificateKind::Node(id) => format!("Node {} of cluster {}.", id.node(), id.cluster()),
    };
    writeln!(out, "{whose}")?;
    facts(out, &info)?;
    check(&info, path)
}

/// What a node would say on loading it.
fn check(info: &CertificateInfo, path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        match &info.kind {
            CertificateKind::Authority(_) => drop(Authority::load(path)?),
            CertificateKind::Node(_) => drop(Credentials::load(path)?),
        }
    }
    match info.is_valid_now() {
        true => Ok(()),
        false => Err(Failure::Failed(format!("{} is not valid now", path.display()))),
    }
}

fn wrote(out: &mut dyn Write, dir: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    for (name, what) in files {
        line(out, "wrote", &format_args!("{} ({what})", dir.join(name).display()))?;
    }
    Ok(())
}

/// What must be added to a command that would otherwise look in the default place.
fn ca_dir_option(dir: &Path) -> String {
    if dir == Path::new(CA_DIR) { String::new() } else { format!(" --ca-dir {}", dir.display()) }
}
