//! Where a handshake gets its certificate: one from disk, or one that is renewed in memory.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::{Authority, CertsError, config};

/// The certificate and key that a node shows.
pub(crate) enum Source {
    /// From a node directory, for as long as it lives.
    Fixed(Arc<CertifiedKey>),
    /// Issued here, again and again, always to the same node.
    Renewing(Box<Renewing>),
}

pub(crate) struct Renewing {
    authority: Authority,
    node: String,
    ttl: Duration,
    current: Mutex<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    renew_at: OffsetDateTime,
}

impl Source {
    /// A certificate and key that were loaded.
    pub(crate) fn fixed(
        chain: Vec<CertificateDer<'static>>,
        key: PrivatePkcs8KeyDer<'static>,
    ) -> Result<Self, CertsError> {
        Ok(Self::Fixed(Arc::new(certified(chain, key)?)))
    }

    /// Leaves for `node` that live for `ttl` and are replaced at two thirds of it.
    pub(crate) fn renewing(authority: Authority, node: String, ttl: Duration) -> Result<Self, CertsError> {
        let current = Mutex::new(issue(&authority, &node, ttl)?);
        Ok(Self::Renewing(Box::new(Renewing { authority, node, ttl, current })))
    }

    /// The certificate to show at `now`.
    fn at(&self, now: OffsetDateTime) -> Arc<CertifiedKey> {
        match self {
            Self::Fixed(key) => key.clone(),
            Self::Renewing(renewing) => renewing.at(now),
        }
    }
}

impl Renewing {
    fn at(&self, now: OffsetDateTime) -> Arc<CertifiedKey> {
        // The value is replaced whole, so a panic elsewhere cannot leave it half changed.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.renew_at {
            // A failure here leaves a third of the old one's life for the next try; the handshake
            // reports it if none succeeds.
            if let Ok(next) = issue(&self.authority, &self.node, self.ttl) {
                *current = next;
            }
        }
        current.key.clone()
    }
}

fn issue(authority: &Authority, node: &str, ttl: Duration) -> Result<Current, CertsError> {
    let leaf = authority.issue(node, ttl)?;
    let key = certified(vec![leaf.certificate().clone()], leaf.private_key())?;
    Ok(Current { key: Arc::new(key), renew_at: leaf.not_after() - ttl / 3 })
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivatePkcs8KeyDer<'static>,
) -> Result<CertifiedKey, CertsError> {
    Ok(CertifiedKey::from_der(chain, key.into(), &config::provider())?)
}

impl ResolvesServerCert for Source {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(OffsetDateTime::now_utc()))
    }
}

impl ResolvesClientCert for Source {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.at(OffsetDateTime::now_utc()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_lives_longer_than_its_leaf_shows_a_new_one() {
        let authority = Authority::generate("test").unwrap();
        let hour = Duration::from_secs(3600);
        let source = Source::renewing(authority, "a".to_owned(), 24 * hour).unwrap();
        let now = OffsetDateTime::now_utc();
        let first = source.at(now);
        assert!(Arc::ptr_eq(&first, &source.at(now + 15 * hour)), "still in its first two thirds");
        assert!(!Arc::ptr_eq(&first, &source.at(now + 17 * hour)), "renewed at two thirds");
    }
}
