//! What a certificate file says, for people.

use std::path::Path;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::store::{self, CA_CERT, NODE_CERT};
use crate::{CertsError, Identity};

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateKind {
    /// The authority of the named cluster.
    Authority(String),
    /// A node.
    Node(Identity),
}

/// The facts of one certificate. Reading them verifies nothing.
#[derive(Clone, Debug)]
pub struct CertificateInfo {
    /// Whose it is.
    pub kind: CertificateKind,
    /// The serial number in hex.
    pub serial: String,
    /// SHA-256 of the certificate in hex.
    pub fingerprint: String,
    /// Valid from.
    pub not_before: OffsetDateTime,
    /// Valid until.
    pub not_after: OffsetDateTime,
}

impl CertificateInfo {
    /// Reads `path`: a certificate, a node directory, or an authority's directory.
    pub fn read(path: &Path) -> Result<Self, CertsError> {
        let fix = "name a certificate, or a directory that myrmidon certs made";
        let file = if path.is_dir() { certificate_in(path) } else { path.to_owned() };
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let dir = file.parent().unwrap_or(Path::new(""));
        let der = store::read_chain(dir, &name, fix)?.remove(0);
        let wrong = |reason: String| CertsError::unusable(&file, reason, fix);
        let (_, cert) = X509Certificate::from_der(&der).map_err(|e| wrong(e.to_string()))?;
        Ok(Self {
            kind: kind(&cert, || Identity::from_verified_leaf(&der)).map_err(|e| wrong(e.to_string()))?,
            serial: hex(cert.raw_serial()),
            fingerprint: hex(digest(&SHA256, &der).as_ref()),
            not_before: cert.validity().not_before.to_datetime(),
            not_after: cert.validity().not_after.to_datetime(),
        })
    }

    /// How long it is still valid; zero once it has ended.
    pub fn time_left(&self) -> Duration {
        Duration::try_from(self.not_after - OffsetDateTime::now_utc()).unwrap_or_default()
    }

    /// Whether now is within the validity.
    pub fn is_valid_now(&self) -> bool {
        (self.not_before..=self.not_after).contains(&OffsetDateTime::now_utc())
    }
}

/// A node directory has the authority's certificate too, so the node's comes first.
fn certificate_in(dir: &Path) -> std::path::PathBuf {
    let node = dir.join(NODE_CERT);
    if node.exists() { node } else { dir.join(CA_CERT) }
}

fn kind(
    cert: &X509Certificate<'_>,
    node: impl FnOnce() -> Result<Identity, CertsError>,
) -> Result<CertificateKind, CertsError> {
    if !cert.is_ca() {
        return node().map(CertificateKind::Node);
    }
    let name = cert.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
    Ok(CertificateKind::Authority(name.unwrap_or("(no name)").to_owned()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
