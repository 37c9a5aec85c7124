//! A node's certificate, and how it is made.

use std::path::Path;
use std::time::Duration;

use rcgen::{
    Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use crate::store::{self, CA_CERT, NODE_CERT, NODE_KEY};
use crate::{Authority, CertsError, Identity};

/// How long a leaf lives that was issued by hand: 90 days.
pub const DEFAULT_TTL: Duration = Duration::from_secs(90 * 86_400);

/// Certificates are valid from five minutes ago on, for machines whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(300);

/// A node's certificate with its private key.
pub struct Leaf {
    identity: Identity,
    certificate: Certificate,
    key: KeyPair,
    not_after: OffsetDateTime,
    authority_pem: String,
}

impl Leaf {
    /// Who it names.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.der()
    }

    /// When it ends.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }

    /// Writes `node.crt`, `node.key` and the authority's `ca.crt` into `dir`, all or none. The
    /// directory is made with mode 0700 if missing; existing files are never overwritten.
    pub fn write(&self, dir: &Path) -> Result<(), CertsError> {
        store::create_private_dir(dir, "name a directory that you may write to with --out")?;
        store::check_absent(dir, &[NODE_CERT, NODE_KEY, CA_CERT], "name another directory with --out")?;
        store::write_new(dir, NODE_KEY, &self.key.serialize_pem())?;
        store::write_new(dir, CA_CERT, &self.authority_pem)?;
        store::write_new(dir, NODE_CERT, &self.certificate.pem())?;
        Ok(())
    }

    pub(crate) fn private_key(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der())
    }
}

pub(crate) fn issue(authority: &Authority, node: &str, ttl: Duration) -> Result<Leaf, CertsError> {
    let identity = Identity::new(authority.cluster(), node)?;
    let key = KeyPair::generate()?;
    let params = params(&identity, ttl)?;
    if params.not_after > authority.not_after() {
        let reason = format!("the authority itself ends on {}", authority.not_after());
        return Err(CertsError::BadLifetime { asked: format!("{} s", ttl.as_secs()), reason });
    }
    let certificate = params.signed_by(&key, authority.issuer())?;
    let authority_pem = authority.pem().to_owned();
    Ok(Leaf { identity, certificate, key, not_after: params.not_after, authority_pem })
}

fn params(identity: &Identity, ttl: Duration) -> Result<CertificateParams, CertsError> {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = validity(ttl)?;
    params.serial_number = Some(serial()?);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, identity.node());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = vec![
        SanType::DnsName(identity.node_dns().try_into()?),
        SanType::DnsName(identity.any_dns().try_into()?),
        SanType::URI(identity.uri().try_into()?),
    ];
    Ok(params)
}

/// From five minutes ago to `ttl` from now.
pub(crate) fn validity(ttl: Duration) -> Result<(OffsetDateTime, OffsetDateTime), CertsError> {
    let asked = || format!("{} s", ttl.as_secs());
    if ttl.is_zero() {
        return Err(CertsError::BadLifetime { asked: asked(), reason: "give at least a second".to_owned() });
    }
    let now = OffsetDateTime::now_utc();
    let end = time::Duration::try_from(ttl).ok().and_then(|ttl| now.checked_add(ttl));
    let end =
        end.ok_or_else(|| CertsError::BadLifetime { asked: asked(), reason: "give 5y at most".to_owned() })?;
    Ok((now - BACKDATED, end))
}

/// Random, so that two leaves of one key still differ and can be revoked one by one.
pub(crate) fn serial() -> Result<SerialNumber, CertsError> {
    Ok(SerialNumber::from(random::<16>()?.to_vec()))
}

/// `N` random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], CertsError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| CertsError::Generate(format!("no randomness: {e}")))?;
    Ok(bytes)
}
