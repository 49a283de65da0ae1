//! Who is calling: from a call's headers to a session, and back to the headers of the answer.

use std::net::SocketAddr;

use arrow_flight::BasicAuth;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use portcullis_gateway::{ClientCertificate, Gateway, Session, TraceParent};
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

use crate::carried::Carried;
use crate::{listener, status};

const AUTHORIZATION: &str = "authorization";
/// The header by which a client states what it wants the data for. The JDBC driver sends URL parameters that it does
/// not know as headers, so `?purpose=fraud` arrives here too.
const PURPOSE: &str = "purpose";
/// The header by which a service says for whom it asks.
const ON_BEHALF_OF: &str = "x-portcullis-on-behalf-of";
/// The header by which a caller says which of its spans its queries are a part of.
const TRACEPARENT: &str = "traceparent";

/// What a client proves its identity with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// A token that the gateway or a trusted identity provider issued.
    Bearer(String),
    /// A user's name and password.
    Basic { user: String, password: String },
    /// The certificate of the connection.
    Certificate(ClientCertificate),
}

/// An authenticated call.
pub(crate) struct Caller<'a> {
    gateway: &'a Gateway,
    /// The session of the call: principal, purpose, address, and what it has set.
    pub(crate) session: Session,
    /// The token to hand out, if the call came with a password.
    token: Option<String>,
    carried: Carried,
}

impl Caller<'_> {
    /// A stream as an answer, with what the client needs for its next calls, in refusals too: the token, where the call came
    /// with a password, and the session's options, where they are not what it has.
    pub(crate) fn answer<T>(&self, answer: Result<Response<T>, Status>) -> Result<Response<T>, Status> {
        self.stamped(answer, false)
    }

    /// As [`Caller::answer`], with one message.
    pub(crate) fn answer_one<T>(&self, answer: Result<T, Status>) -> Result<Response<T>, Status> {
        self.stamped(answer.map(Response::new), true)
    }

    fn stamped<T>(&self, answer: Result<Response<T>, Status>, at_once: bool) -> Result<Response<T>, Status> {
        match answer {
            Ok(mut response) => {
                self.stamp(response.metadata_mut(), at_once)?;
                Ok(response)
            }
            Err(mut status) => {
                self.stamp(status.metadata_mut(), at_once)?;
                Err(status)
            }
        }
    }

    fn stamp(&self, metadata: &mut MetadataMap, at_once: bool) -> Result<(), Status> {
        self.carried.stamp(self.gateway, &self.session, metadata, at_once)?;
        let header = self.token.as_ref().and_then(|token| MetadataValue::try_from(format!("Bearer {token}")).ok());
        if let Some(mut header) = header {
            header.set_sensitive(true);
            metadata.insert(AUTHORIZATION, header);
        }
        Ok(())
    }

    /// The token that was issued by this call.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// Authenticates a call by its headers, and takes up what its session had set.
pub(crate) async fn authenticate<'a, T>(gateway: &'a Gateway, request: &Request<T>) -> Result<Caller<'a>, Status> {
    let metadata = request.metadata();
    let peer = listener::peer(request);
    let credential = match credential(metadata)? {
        Some(credential) => credential,
        None => peer.credential()?.ok_or_else(missing)?,
    };
    let caller = login(gateway, credential, metadata, peer.address).await?;
    let (session, carried) = Carried::resume(gateway, caller.session, metadata).await?;
    Ok(Caller { session, carried, ..caller })
}

/// A new session for a credential, with the purpose and the address of the call.
pub(crate) async fn login<'a>(
    gateway: &'a Gateway,
    credential: Credential,
    metadata: &MetadataMap,
    client: Option<SocketAddr>,
) -> Result<Caller<'a>, Status> {
    let purpose = purpose(metadata)?;
    let (session, is_password) = match credential {
        Credential::Bearer(token) => {
            (gateway.bearer_session(&token, client).await.map_err(status::from_gateway)?, false)
        }
        Credential::Certificate(certificate) => {
            (gateway.certificate_session(certificate, client).await.map_err(status::from_gateway)?, false)
        }
        Credential::Basic { user, password } => {
            (gateway.login(&user, &password, client).await.map_err(status::from_gateway)?, true)
        }
    };
    let token = is_password.then(|| gateway.issue_token(&session)).transpose().map_err(status::from_gateway)?;
    // The token is the service's own: for whom it asks is said with each call.
    let session = match on_behalf_of(metadata)? {
        Some(user) => gateway.act_for(session.with_purpose(purpose), user).await.map_err(status::from_gateway)?,
        None => session.with_purpose(purpose),
    };
    let session = session.with_trace(traceparent(metadata));
    Ok(Caller { gateway, session, token, carried: Carried::nothing() })
}

/// Whether the client takes up cookies of an update when it is too late: Go's takes up those of a stream that it has read to
/// its end, and leaves the answer to an update before.
pub(crate) fn is_late(metadata: &MetadataMap) -> bool {
    metadata.get("user-agent").is_some_and(|agent| agent.to_str().is_ok_and(|agent| agent.contains("grpc-go/")))
}

/// The status of a call without credentials.
pub(crate) fn missing() -> Status {
    Status::unauthenticated("no credentials: send `authorization: Basic …` or `authorization: Bearer …`")
}

/// The credential in a call's headers. A bearer token goes before a password: the JDBC driver may send both.
pub(crate) fn credential(metadata: &MetadataMap) -> Result<Option<Credential>, Status> {
    let mut basic = None;
    for value in metadata.get_all(AUTHORIZATION) {
        let text = value.to_str().map_err(|_| malformed())?;
        let (scheme, rest) = text.split_once(' ').ok_or_else(malformed)?;
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Some(Credential::Bearer(rest.trim().to_owned())));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(malformed());
        }
        basic = Some(decode_basic(rest.trim()).ok_or_else(malformed)?);
    }
    Ok(basic)
}

/// The credential in a handshake's first message, as clients of the older handshake send it.
pub(crate) fn handshake_credential(payload: &[u8]) -> Option<Credential> {
    let BasicAuth { username, password } = BasicAuth::decode(payload).ok()?;
    (!username.is_empty()).then_some(Credential::Basic { user: username, password })
}

fn decode_basic(text: &str) -> Option<Credential> {
    let bytes = BASE64_STANDARD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() })
}

fn purpose(metadata: &MetadataMap) -> Result<Option<String>, Status> {
    let Some(value) = metadata.get(PURPOSE) else { return Ok(None) };
    let text = value.to_str().map_err(|_| status::invalid("the header `purpose` is not plain text"))?;
    Ok(Some(text.to_owned()))
}

/// The caller's span. One that cannot be read is none: it is no reason to refuse a call.
fn traceparent(metadata: &MetadataMap) -> Option<TraceParent> {
    let mut values = metadata.get_all(TRACEPARENT).into_iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() { None } else { TraceParent::parse(value) }
}

/// For whom a call is, if it says so: once, and in plain text.
fn on_behalf_of(metadata: &MetadataMap) -> Result<Option<&str>, Status> {
    let mut values = metadata.get_all(ON_BEHALF_OF).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    let user = value.to_str().ok().map(str::trim).filter(|user| !user.is_empty());
    match (user, values.next()) {
        (Some(user), None) => Ok(Some(user)),
        _ => Err(status::invalid(format!("the header `{ON_BEHALF_OF}` must be there once, and name a user"))),
    }
}

fn malformed() -> Status {
    Status::unauthenticated("the header `authorization` is malformed: send `Basic …` or `Bearer …`")
}
