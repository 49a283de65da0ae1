//! Client certificates: from what a verified one says to the user who holds it. That it was signed by an authority that is
//! trusted, and is of this time, is for the listener to verify before.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use portcullis_contract::{Finding, Position};
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use tokio::sync::watch;
use webpki::EndEntityCert;

use crate::config::{CertificateName, Certificates as Settings};
use crate::error::GatewayError;
use crate::personal::Source;

/// The OID of `commonName`, 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const UNREADABLE: &str = "certificates-unreadable";

/// Who has verified a certificate, to be asked again.
#[derive(Clone)]
pub struct Vouched {
    accepts: Arc<dyn Fn() -> bool + Send + Sync>,
    changes: watch::Receiver<u64>,
}

impl Vouched {
    /// `accepts` says whether the certificate would be accepted by the authorities of that moment, as it was when it was shown;
    /// `changes`, when they have changed since.
    pub fn new(accepts: impl Fn() -> bool + Send + Sync + 'static, changes: watch::Receiver<u64>) -> Vouched {
        Vouched { accepts: Arc::new(accepts), changes }
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &ClientCertificate) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for ClientCertificate {}

impl fmt::Debug for Vouched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vouched")
    }
}

/// A certificate that a client has shown, and that was verified.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    vouched: Option<Vouched>,
    fingerprint: String,
    serial: String,
    uris: Vec<String>,
    dns: Vec<String>,
    common_names: Vec<String>,
}

impl ClientCertificate {
    /// What a certificate (DER) says.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, if it cannot be read.
    pub fn read(der: &[u8]) -> Result<ClientCertificate, GatewayError> {
        let unreadable = || GatewayError::unauthenticated("the client certificate cannot be read");
        let bytes = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&bytes).map_err(|_| unreadable())?;
        let texts = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect();
        Ok(ClientCertificate {
            vouched: None,
            fingerprint: hex(digest(&SHA256, der).as_ref()),
            serial: hex(certificate.serial()).trim_start_matches('0').to_owned(),
            uris: texts(&mut certificate.valid_uri_names()),
            dns: texts(&mut certificate.valid_dns_names()),
            common_names: common_names(certificate.subject()).ok_or_else(unreadable)?,
        })
    }

    /// The same certificate, for which somebody vouches who may stop to.
    #[must_use]
    pub fn vouched_by(mut self, vouched: Vouched) -> ClientCertificate {
        self.vouched = Some(vouched);
        self
    }

    /// Tells when it may be that it is not accepted any more.
    pub(crate) fn changes(&self) -> Option<watch::Receiver<u64>> {
        self.vouched.as_ref().map(|vouched| vouched.changes.clone())
    }

    /// # Errors
    ///
    /// `Unauthenticated`, if it would not be accepted any more.
    pub(crate) fn is_vouched_for(&self) -> Result<(), GatewayError> {
        match self.vouched.as_ref().is_none_or(|vouched| (vouched.accepts)()) {
            true => Ok(()),
            false => Err(GatewayError::unauthenticated("the client certificate is not accepted any more")),
        }
    }

    /// Its SHA-256 fingerprint, in hexadecimal.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The user who holds it.
    ///
    /// # Errors
    ///
    /// `Unauthenticated`, if it has not exactly one name of the kind that is configured, or that names no user.
    pub(crate) fn user<'a>(&'a self, settings: &'a Settings) -> Result<&'a str, GatewayError> {
        let (names, kind) = match settings.name {
            CertificateName::Uri => (&self.uris, "URI"),
            CertificateName::Dns => (&self.dns, "DNS name"),
            CertificateName::CommonName => (&self.common_names, "common name"),
        };
        let [name] = names.as_slice() else {
            let message =
                format!("the client certificate has {} names that are a {kind}, and must have one", names.len());
            return Err(GatewayError::unauthenticated(message));
        };
        if settings.users.is_empty() {
            return Ok(name);
        }
        settings.users.get(name).map(String::as_str).ok_or_else(|| {
            GatewayError::unauthenticated(format!("the client certificate's {kind} stands for no user of this gateway"))
        })
    }
}

/// Certificates that are not accepted any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Revoked {
    fingerprints: BTreeSet<String>,
    serials: BTreeSet<String>,
    /// The file cannot be read: any of them may stand in it.
    unknown: bool,
}

impl Revoked {
    /// Reads the file that is configured, if one is. One that is not there, or has a line that says nothing, revokes all.
    pub(crate) fn read(settings: &Settings, source: Option<&Source>) -> (Revoked, Vec<Finding>) {
        let Some(path) = &settings.revoked else { return Default::default() };
        let path = crate::mesh::relative(path);
        let closed = |position, reason: &str| {
            let message = format!(
                "the file of revoked certificates {reason}: no client certificate is accepted until it is mended"
            );
            (Revoked { unknown: true, ..Revoked::default() }, vec![Finding::error(UNREADABLE, position, message)])
        };
        let source = match source {
            Some(Ok(source)) => source,
            Some(Err((_, reason))) => return closed(Position::file(path.as_str()), reason),
            None => return closed(Position::file(path.as_str()), "is not there"),
        };
        let mut revoked = Revoked::default();
        for (line, number) in source.text.lines().zip(1u32..) {
            let text = line.split('#').next().unwrap_or_default().trim().to_ascii_lowercase();
            let (serial, digits) = match text.strip_prefix("serial") {
                Some(digits) => (true, digits),
                None => (false, text.as_str()),
            };
            let digits: String = digits.chars().filter(|c| !matches!(c, ':' | ' ' | '=' | '\t')).collect();
            let sound = digits.chars().all(|c| c.is_ascii_hexdigit());
            match (text.is_empty(), serial, digits.len()) {
                (true, ..) => {}
                (_, true, 1..) if sound => drop(revoked.serials.insert(digits.trim_start_matches('0').to_owned())),
                (_, false, 64) if sound => drop(revoked.fingerprints.insert(digits)),
                _ => {
                    return closed(
                        Position::at(path.as_str(), number, 1),
                        "has a line that is no fingerprint and no serial number",
                    );
                }
            }
        }
        (revoked, Vec::new())
    }

    /// # Errors
    ///
    /// `Unauthenticated`, if the certificate is revoked, or may be.
    pub(crate) fn accepts(&self, certificate: &ClientCertificate) -> Result<(), GatewayError> {
        if self.unknown {
            return Err(GatewayError::unauthenticated("it cannot be known whether the client certificate is revoked"));
        }
        if self.fingerprints.contains(&certificate.fingerprint) || self.serials.contains(&certificate.serial) {
            return Err(GatewayError::unauthenticated("the client certificate is revoked"));
        }
        Ok(())
    }
}

/// The common names of a subject (the inside of an X.501 `RDNSequence`); None if it is no such thing.
fn common_names(mut subject: &[u8]) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while !subject.is_empty() {
        let mut set = element(&mut subject, Some(0x31))?.1;
        while !set.is_empty() {
            let mut pair = element(&mut set, Some(0x30))?.1;
            let oid = element(&mut pair, Some(0x06))?.1;
            let (tag, value) = element(&mut pair, None)?;
            if oid == COMMON_NAME {
                // UTF8String, PrintableString, IA5String: other kinds of text are not read as if they were one of these.
                let text = matches!(tag, 0x0c | 0x13 | 0x16).then(|| std::str::from_utf8(value).ok())??;
                found.push(text.to_owned());
            }
        }
    }
    Some(found)
}

/// Takes one DER element, its tag and what is in it, off the front.
fn element<'a>(bytes: &mut &'a [u8], wanted: Option<u8>) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(*short), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    if wanted.is_some_and(|wanted| wanted != *tag) {
        return None;
    }
    let (inside, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((*tag, inside))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
