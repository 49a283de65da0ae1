//! Client certificates, as `portcullis.toml` says what they stand for.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What client certificates stand for, where `listen.tls_client_ca` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Certificates {
    /// Which name of a certificate says who holds it: `uri` or `dns` (alternative names), or `common_name` (of the
    /// subject). It must have exactly one of that kind.
    pub name: CertificateName,
    /// Users of the users file by the names that they have in certificates; others are refused. Without any, users of
    /// the same name.
    pub users: BTreeMap<String, String>,
    /// A file of revoked certificates, one a line: the SHA-256 fingerprint, or `serial` and the serial number, both in
    /// hexadecimal; `#` begins a comment. It is watched.
    pub revoked: Option<PathBuf>,
    /// Whether connections without a client certificate are refused.
    pub required: bool,
}

/// A kind of name in a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateName {
    /// An alternative name that is a URI (`spiffe://…`).
    #[default]
    Uri,
    /// An alternative name that is a DNS name.
    Dns,
    /// The common name of the subject.
    CommonName,
}

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates { name: CertificateName::Uri, users: BTreeMap::new(), revoked: None, required: false }
    }
}
