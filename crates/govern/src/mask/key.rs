//! The secret behind `hash`.

use std::fmt;

/// The key of the keyed hash. It is shown nowhere: not by `Debug`, not in plans, not through equality.
#[derive(Clone)]
pub struct MaskKey {
    pub(super) text: [u8; 32],
    pub(super) number: [u8; 32],
    pub(super) bytes: [u8; 32],
    fingerprint: [u8; 8],
}

impl MaskKey {
    /// From a secret of any length; use at least 32 random bytes. The same secret gives the same hashes, for ever.
    pub fn new(secret: &[u8]) -> Self {
        let derived = |purpose: &str| blake3::derive_key(purpose, secret);
        let mut fingerprint = [0; 8];
        let shown = derived("portcullis 2026-11-21 column mask: fingerprint");
        fingerprint.iter_mut().zip(shown).for_each(|(to, from)| *to = from);
        MaskKey {
            text: derived("portcullis 2026-11-21 column mask: text"),
            number: derived("portcullis 2026-11-21 column mask: number"),
            bytes: derived("portcullis 2026-11-21 column mask: bytes"),
            fingerprint,
        }
    }

    /// Tells keys apart without telling them.
    pub(crate) fn fingerprint(&self) -> [u8; 8] {
        self.fingerprint
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey(…)")
    }
}
