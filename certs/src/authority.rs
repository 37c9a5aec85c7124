//! The certificate authority of a cluster.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::issue::{Leaf, issue, random, serial, validity};
use crate::secret::Secret;
use crate::store::{self, CA_CERT, CA_KEY};
use crate::{CertsError, names};

/// Five years, as Consul has it.
const LIFETIME: Duration = Duration::from_secs(5 * 365 * 86_400);

const MAKE_ONE: &str = "make an authority with: myrmidon certs init --cluster NAME";

/// The key that decides who belongs to a cluster, and its certificate.
///
/// The certificate may sign leaves only (path length 0), within `CLUSTER.myrmidon.internal` and for
/// no IP address: a stolen key of one cluster is worth nothing in another.
pub struct Authority {
    cluster: String,
    certificate: CertificateDer<'static>,
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    not_after: OffsetDateTime,
}

impl Authority {
    /// Makes an authority for `cluster` in memory.
    pub fn generate(cluster: &str) -> Result<Self, CertsError> {
        names::check("cluster", cluster)?;
        let key = KeyPair::generate()?;
        let params = params(cluster)?;
        let signed = params.self_signed(&key)?;
        Ok(Self {
            cluster: cluster.to_owned(),
            certificate: signed.der().clone(),
            pem: signed.pem(),
            not_after: params.not_after,
            issuer: Issuer::new(params, key),
        })
    }

    /// Makes an authority and writes `ca.crt` and `ca.key` into `dir` (made with mode 0700 if it is
    /// missing). Existing files are never overwritten.
    pub fn create(dir: &Path, cluster: &str) -> Result<Self, CertsError> {
        let authority = Self::generate(cluster)?;
        let fix = "use it with: myrmidon certs issue NODE, or name another directory with --ca-dir";
        store::create_private_dir(dir, "name a directory that you may write to with --ca-dir")?;
        store::check_absent(dir, &[CA_CERT, CA_KEY], fix)?;
        authority.write(dir)?;
        Ok(authority)
    }

    /// Loads what [`create`](Self::create) wrote.
    pub fn load(dir: &Path) -> Result<Self, CertsError> {
        let key = store::read_secret(dir, CA_KEY, MAKE_ONE)?;
        let key =
            KeyPair::from_pem(&key).map_err(|e| CertsError::unusable(&dir.join(CA_KEY), e, MAKE_ONE))?;
        let pem = store::read(dir, CA_CERT, MAKE_ONE)?;
        let certificate = store::read_chain(dir, CA_CERT, MAKE_ONE)?.remove(0);
        let wrong = |reason: String| CertsError::unusable(&dir.join(CA_CERT), reason, MAKE_ONE);
        let (cluster, not_after) = check_own(&certificate, &key).map_err(wrong)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| wrong(e.to_string()))?;
        Ok(Self { cluster, certificate, pem, issuer, not_after })
    }

    /// Issues a leaf to `node` that lives for `ttl` from now; its key is new and only in the result.
    pub fn issue(&self, node: &str, ttl: Duration) -> Result<Leaf, CertsError> {
        issue(self, node, ttl)
    }

    /// The cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The authority's certificate: what every node of the cluster trusts.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// When the authority ends.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// A secret that all holders of this authority's key can compute, and nobody else.
    pub(crate) fn secret(&self) -> Secret {
        Secret::of(self.issuer.key().serialized_der())
    }

    /// Key first: a directory that has `ca.crt` is complete.
    pub(crate) fn write(&self, dir: &Path) -> Result<(), CertsError> {
        store::write_new(dir, CA_KEY, &self.issuer.key().serialize_pem())?;
        store::write_new(dir, CA_CERT, &self.pem)?;
        Ok(())
    }
}

fn params(cluster: &str) -> Result<CertificateParams, CertsError> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = validity(LIFETIME)?;
    params.serial_number = Some(serial()?);
    params.distinguished_name = DistinguishedName::new();
    // A name of its own: a chain of another authority fails as that, not as a broken signature.
    let organisation = format!("Myrmidon authority {:08x}", u32::from_be_bytes(random()?));
    params.distinguished_name.push(DnType::OrganizationName, organisation);
    params.distinguished_name.push(DnType::CommonName, cluster);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(names::cluster_dns(cluster))],
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    });
    Ok(params)
}

/// Checks that the certificate is a living authority's and belongs to `key`.
fn check_own(certificate: &CertificateDer<'_>, key: &KeyPair) -> Result<(String, OffsetDateTime), String> {
    let (_, cert) = X509Certificate::from_der(certificate).map_err(|e| e.to_string())?;
    if !cert.is_ca() {
        return Err("it is not an authority's certificate".to_owned());
    }
    if cert.public_key().subject_public_key.data != key.public_key_raw() {
        return Err("it does not belong to the ca.key beside it".to_owned());
    }
    let validity = cert.validity();
    if !validity.is_valid() {
        return Err(format!("it is valid only from {} to {}", validity.not_before, validity.not_after));
    }
    let name = cert.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
    let cluster = name.filter(|name| names::check("cluster", name).is_ok()).ok_or("it names no cluster")?;
    Ok((cluster.to_owned(), validity.not_after.to_datetime()))
}
