//! Keys derived from a private key, for uses other than signing.

use ring::hkdf::{HKDF_SHA256, Prk, Salt};

/// Says what the derived keys are for, so that they are unlike any other use of the same key.
const SALT: &[u8] = b"myrmidon derived keys v1";

/// The source of derived keys. It does not give the private key back.
#[derive(Clone)]
pub(crate) struct Secret(Prk);

impl Secret {
    /// The source that belongs to a private key (PKCS#8 DER, as stored).
    pub(crate) fn of(private_key: &[u8]) -> Self {
        Self(Salt::new(HKDF_SHA256, SALT).extract(private_key))
    }

    /// 32 bytes that differ for every `label` and `context`, the same in every process that has
    /// the key.
    pub(crate) fn derive(&self, label: &str, context: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        let info = [label.as_bytes(), b"\0", context];
        self.0
            .expand(&info, HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes is the output length of HKDF-SHA256, which never fails");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_depend_on_key_label_and_context() {
        let secret = Secret::of(b"key");
        let key = secret.derive("reset", b"127.0.0.1:1");
        assert_eq!(key, Secret::of(b"key").derive("reset", b"127.0.0.1:1"));
        assert_ne!(key, Secret::of(b"other").derive("reset", b"127.0.0.1:1"));
        assert_ne!(key, secret.derive("cid", b"127.0.0.1:1"));
        assert_ne!(key, secret.derive("reset", b"127.0.0.1:2"));
    }
}
