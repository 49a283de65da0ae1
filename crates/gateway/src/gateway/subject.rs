//! Who asks, looked up anew for each statement: users, groups, rights to act for others.

use std::net::IpAddr;

use portcullis_govern::{Principal, RequestContext, Subject};

use super::Gateway;
use crate::credentials::removed;
use crate::error::{ErrorKind, GatewayError};
use crate::limits::OwnLimits;
use crate::session::{Credential, Session};
use crate::state::State;

impl Gateway {
    /// What the statements of a subject may use at this moment.
    pub(crate) fn limits(&self, state: &State, subject: &Subject) -> OwnLimits {
        OwnLimits::of(&self.limits_now(), &state.snapshot, subject)
    }

    /// Who asks, with groups and attributes of this moment, and under which circumstances.
    pub(crate) fn subject(&self, state: &State, session: &Session) -> Result<Subject, GatewayError> {
        if session.expires_ms().is_some_and(|expires| expires <= self.clock.now_ms()) {
            return Err(GatewayError::unauthenticated("the token has expired: log in again"));
        }
        // Whoever has chosen to act for somebody does not ask for itself by mistake.
        if session.options().on_behalf_of.is_some_and(|user| user != session.user()) {
            return Err(GatewayError::invalid("`SET on_behalf_of` holds from the next call on"));
        }
        let context = RequestContext {
            break_glass: self.break_glass(session),
            purpose: session.options().purpose.or_else(|| session.purpose().map(str::to_owned)),
            client_address: session.client().map(|client| canonical(client.ip())),
            authentication: session.authentication().to_owned(),
            actor: session.actor().map(str::to_owned),
            domains: session.revocable().and_then(Credential::scope),
            now_ms: self.clock.now_ms(),
        };
        let principal = principal(state, session, &context)?;
        Ok(Subject { principal, context })
    }
}

/// Who asks, under these circumstances: as the users file has it now, or as the token of this call says, in the words of the
/// vocabulary of now.
pub(crate) fn principal(state: &State, session: &Session, context: &RequestContext) -> Result<Principal, GatewayError> {
    if let Some(acting) = session.acting() {
        return impersonated(state, session, acting, context);
    }
    match session.revocable() {
        Some(Credential::Token(token)) => state.tokens.stands(token)?,
        Some(Credential::Certificate(certificate)) => {
            certificate.is_vouched_for()?;
            state.revoked.accepts(certificate)?;
        }
        None => {}
    }
    own(state, session)?.ok_or_else(removed)
}

/// The session's principal by itself: none, if that is no user any more.
fn own(state: &State, session: &Session) -> Result<Option<Principal>, GatewayError> {
    let Some(claimed) = session.claimed_principal() else { return Ok(state.principal(session.user()).cloned()) };
    state.snapshot.check_principal(claimed).map_err(|reasons| {
        GatewayError::unauthenticated(format!("the token's principal is refused: {}", reasons.join("; ")))
    })?;
    Ok(Some(claimed.clone()))
}

/// The user for whom somebody acts, who may do so now. Whoever may not does not learn whether there is such a user.
fn impersonated(
    state: &State,
    session: &Session,
    acting: &Session,
    context: &RequestContext,
) -> Result<Principal, GatewayError> {
    let context = RequestContext { actor: None, break_glass: None, ..context.clone() };
    let actor = Subject { principal: principal(state, acting, &context)?, context };
    let user = own(state, session)?.filter(|user| state.snapshot.may_impersonate(&actor, user).allowed);
    user.ok_or_else(|| {
        let (actor, user) = (acting.user(), session.user());
        let message = format!("no policy lets `{actor}` act for a user `{user}`: that takes the action `impersonate`");
        GatewayError::new(ErrorKind::PermissionDenied, message)
    })
}

/// An IPv4 client of a listener for both is an IPv4 client to policies.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
