//! What can go wrong with certificates. Each error names the file, the reason, and what to run.

use std::io;
use std::path::{Path, PathBuf};

/// A failure to make, store, load or check certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    /// A cluster or node name outside `[a-z0-9-]{1,63}`.
    #[error("{name:?} is no {what} name: write 1 to 63 of a-z, 0-9 and '-', and no '-' at either end")]
    BadName {
        /// "cluster" or "node".
        what: &'static str,
        /// The name as given.
        name: String,
    },
    /// A lifetime that is zero, or reaches past the authority's own end.
    #[error("a lifetime of {asked} is not possible: {reason}")]
    BadLifetime {
        /// The lifetime as given.
        asked: String,
        /// Which limit it breaks, and what to ask for instead.
        reason: String,
    },
    /// A file is in the way; certificates and keys are never overwritten.
    #[error("{path} exists and is never overwritten; {fix}")]
    Exists {
        /// The file in the way.
        path: PathBuf,
        /// What to do.
        fix: String,
    },
    /// A file or directory could not be read or written.
    #[error("cannot {action} {path}: {source}; {fix}")]
    Io {
        /// What was tried: "read", "create" and the like.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
        /// What to do.
        fix: String,
    },
    /// A secret that other users of the machine can reach.
    #[error("other users can reach {path} (mode {mode:03o}); run: chmod {wanted:o} {path}")]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits it should have.
        wanted: u32,
    },
    /// A file was read but does not serve.
    #[error("{path} does not serve: {reason}; {fix}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        fix: String,
    },
    /// A peer's certificate that proves no identity in this cluster. For the local log only: the
    /// peer is told nothing but "not authenticated".
    #[error("the certificate proves no node of this cluster: {0}")]
    NotAPeer(String),
    /// The user's private credentials were to be used beyond this machine.
    #[error(
        "{0} is not on this machine's loopback, and beyond it nodes need certificates. Make them with\n  \
         myrmidon certs init --cluster NAME\n  \
         myrmidon certs issue NODE\n\
         and start each node with its own directory: certs=\"NODE\""
    )]
    LoopbackOnly(String),
    /// No directory for per-user state could be found.
    #[error(
        "neither XDG_STATE_HOME nor a home directory is set, so there is no place for the loopback \
         cluster's key; set MYRMIDON_STATE_DIR to a directory of your own"
    )]
    NoStateDir,
    /// The certificate library refused, or the system gave no randomness.
    #[error("cannot make a certificate: {0}")]
    Generate(String),
    /// rustls refused the certificate or the key.
    #[error("TLS refuses: {0}")]
    Tls(#[from] rustls::Error),
}

impl CertsError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error, fix: impl Into<String>) -> Self {
        Self::Io { action, path: path.to_owned(), source, fix: fix.into() }
    }

    pub(crate) fn unusable(path: &Path, reason: impl ToString, fix: impl Into<String>) -> Self {
        Self::Unusable { path: path.to_owned(), reason: reason.to_string(), fix: fix.into() }
    }
}

impl From<rcgen::Error> for CertsError {
    fn from(error: rcgen::Error) -> Self {
        Self::Generate(error.to_string())
    }
}
