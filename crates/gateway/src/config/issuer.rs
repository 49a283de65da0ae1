//! Outside identity providers, as `portcullis.toml` names them.

use std::collections::BTreeMap;

use portcullis_oidc::{Algorithm, Issuer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// An OpenID Connect issuer whose signed tokens (JWTs) are accepted as bearer tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrustedIssuer {
    /// Its URL, word for word as in its tokens' claim `iss`. Over https, except on this machine.
    pub issuer: String,
    /// Tokens must be made for one of these audiences (claim `aud`).
    pub audience: Vec<String>,
    /// How tokens may be signed: of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.
    pub algorithms: Vec<String>,
    /// The claim that is the principal's id.
    pub principal_claim: String,
    /// Put before that id, so that two issuers, or an issuer and the users file, cannot name the same principal.
    pub principal_prefix: String,
    /// The claim with the principal's groups: a text or a list of texts. Dots lead into objects (`realm_access.roles`).
    pub groups_claim: String,
    /// Groups of the vocabulary by the names that they have in the claim; others are left out. Without any, groups of
    /// the same name.
    pub groups: BTreeMap<String, String>,
    /// Claims by the user attributes of the vocabulary that they are the values of.
    pub attributes: BTreeMap<String, String>,
    /// How far the issuer's clock may be from the gateway's.
    pub clock_skew: Span,
    /// The issuer's keys are fetched anew at this age, and whenever a token names one that is not known.
    pub keys_age: Span,
    /// Keys are used so long at most while the issuer does not answer.
    pub keys_lifetime: Span,
}

impl Default for TrustedIssuer {
    fn default() -> TrustedIssuer {
        TrustedIssuer {
            issuer: String::new(),
            audience: Vec::new(),
            algorithms: vec!["RS256".to_owned(), "ES256".to_owned()],
            principal_claim: "sub".to_owned(),
            principal_prefix: String::new(),
            groups_claim: "groups".to_owned(),
            groups: BTreeMap::new(),
            attributes: BTreeMap::new(),
            clock_skew: Span::seconds(30),
            keys_age: Span::minutes(5),
            keys_lifetime: Span::hours(1),
        }
    }
}

impl TrustedIssuer {
    /// What the verifier needs of it; or what is wrong.
    pub(crate) fn verifier(&self) -> Result<Issuer, String> {
        let unknown = |name: &String| format!("`identity.issuers`: there is no algorithm `{name}`");
        let algorithms = self.algorithms.iter().map(|name| Algorithm::from_name(name).ok_or_else(|| unknown(name)));
        Ok(Issuer {
            algorithms: algorithms.collect::<Result<_, _>>()?,
            clock_skew: self.clock_skew.duration(),
            keys_age: self.keys_age.duration(),
            keys_lifetime: self.keys_lifetime.duration(),
            ..Issuer::new(self.issuer.as_str(), self.audience.clone())
        })
    }
}
