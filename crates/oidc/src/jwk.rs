//! Public keys as issuers publish them (RFC 7517), and signatures checked with them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};
use serde::Deserialize;
use serde_json::Value;

use crate::Algorithm;

/// More keys than this are not read: no issuer has them.
const MOST_KEYS: usize = 100;

/// A public key for signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jwk {
    /// Its name.
    pub(crate) id: Option<String>,
    /// The one algorithm that it is for, where it says so.
    algorithm: Option<String>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// Reads a published set. Keys that are not for signatures, or of kinds that are not known, are left out.
    pub(crate) fn read_set(text: &[u8]) -> Option<Vec<Jwk>> {
        let set: Value = serde_json::from_slice(text).ok()?;
        let keys = set.get("keys")?.as_array()?;
        Some(keys.iter().take(MOST_KEYS).filter_map(Jwk::read).collect())
    }

    fn read(value: &Value) -> Option<Jwk> {
        let key: Published = serde_json::from_value(value.clone()).ok()?;
        if key.usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let bytes = |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_ref()?.trim_end_matches('=')).ok();
        let point = |length: usize| {
            let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
            (x.len() == length && y.len() == length).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
        };
        let material = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => Material::Rsa { n: bytes(&key.n)?, e: bytes(&key.e)? },
            ("EC", Some("P-256")) => Material::P256(point(32)?),
            ("EC", Some("P-384")) => Material::P384(point(48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&key.x)?),
            _ => return None,
        };
        Some(Jwk { id: key.kid, algorithm: key.alg, material })
    }

    /// Whether it may have signed something in this way.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        if self.algorithm.as_ref().is_some_and(|named| named != algorithm.as_str()) {
            return false;
        }
        match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => matches!(self.material, Material::Rsa { .. }),
            Algorithm::Es256 => matches!(self.material, Material::P256(_)),
            Algorithm::Es384 => matches!(self.material, Material::P384(_)),
            Algorithm::EdDsa => matches!(self.material, Material::Ed25519(_)),
        }
    }

    /// Whether this key made that signature in this way.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], made: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        let parameters: &'static signature::RsaParameters = match algorithm {
            Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
            Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
            Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
            Algorithm::Es256 => return self.verifies_as(&signature::ECDSA_P256_SHA256_FIXED, message, made),
            Algorithm::Es384 => return self.verifies_as(&signature::ECDSA_P384_SHA384_FIXED, message, made),
            Algorithm::EdDsa => return self.verifies_as(&signature::ED25519, message, made),
        };
        match &self.material {
            Material::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(parameters, message, made).is_ok(),
            _ => false,
        }
    }

    fn verifies_as(&self, algorithm: &'static dyn VerificationAlgorithm, message: &[u8], made: &[u8]) -> bool {
        match &self.material {
            Material::P256(point) | Material::P384(point) | Material::Ed25519(point) => {
                UnparsedPublicKey::new(algorithm, point).verify(message, made).is_ok()
            }
            Material::Rsa { .. } => false,
        }
    }
}
