//! What a session has set travels with the client, sealed in a cookie: nothing of it is kept here, so any replica serves any
//! call.
//!
//! Every answer to a client that has not shown a cookie offers one that says nothing, and only a client that shows it can set
//! something: one that keeps none would drop its purpose in silence. The cookie with what was set has a name of its own, since
//! clients may take up what a stream offered long after they have sent other calls: Go's hands on the headers of a stream when
//! that has ended, or when the stream is collected as garbage.

use portcullis_gateway::{Gateway, Session, SessionOptions};
use tonic::Status;
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::status;

const COOKIE: &str = "cookie";
const SET_COOKIE: &str = "set-cookie";
/// What the session has set.
const OPTIONS: &str = "portcullis-session";
/// The client keeps cookies.
const KEEPS: &str = "portcullis-cookies";

/// What a call's cookies said.
pub(crate) struct Carried {
    options: SessionOptions,
    /// What was set will expire before long.
    stale: bool,
    /// The client keeps cookies.
    keeps: bool,
}

impl Carried {
    /// Nothing came: it is the session's first call, or the client keeps nothing.
    pub(crate) fn nothing() -> Carried {
        Carried { options: SessionOptions::default(), stale: false, keeps: false }
    }

    /// The session with what the client has kept of it.
    pub(crate) async fn resume(
        gateway: &Gateway,
        session: Session,
        metadata: &MetadataMap,
    ) -> Result<(Session, Carried), Status> {
        let (session, stale) = match (cookie(metadata, OPTIONS), cookie(metadata, KEEPS)) {
            (Some(kept), _) => {
                let resumed = gateway.resume(session, kept).await;
                resumed.map_err(|error| forgotten(status::from_gateway(error)))?
            }
            (None, Some(_)) => (session.with_options(SessionOptions::default(), true), false),
            (None, None) => return Ok((session, Carried::nothing())),
        };
        let options = session.options();
        Ok((session, Carried { options, stale, keeps: true }))
    }

    /// Adds the cookies to an answer's headers that the client is to keep, unless it has them. What was set is sealed anew
    /// in time, but `at_once` only: in an answer whose headers any client takes up before it sends another call.
    pub(crate) fn stamp(
        &self,
        gateway: &Gateway,
        session: &Session,
        metadata: &mut MetadataMap,
        at_once: bool,
    ) -> Result<(), Status> {
        if !self.keeps {
            set(metadata, &format!("{KEEPS}=1"))?;
        }
        if session.options() != self.options || (self.stale && at_once) {
            let kept = gateway.seal_options(session).map_err(status::from_gateway)?;
            set(metadata, &format!("{OPTIONS}={kept}"))?;
        }
        Ok(())
    }
}

/// A cookie.
fn cookie<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    let all = metadata.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"')).next_back()
}

/// The refusal of a cookie takes it back: with the next call, a new session begins.
fn forgotten(mut status: Status) -> Status {
    let _ = set(status.metadata_mut(), &format!("{OPTIONS}=; Max-Age=0"));
    status
}

fn set(metadata: &mut MetadataMap, cookie: &str) -> Result<(), Status> {
    let value = MetadataValue::try_from(cookie).map_err(|error| status::internal("writing a cookie", error))?;
    metadata.append(SET_COOKIE, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::{OPTIONS, cookie};

    #[test]
    fn the_cookie_is_found_among_others_however_it_is_written() {
        let of = |values: &[&str]| {
            let mut metadata = MetadataMap::new();
            for value in values {
                metadata.append("cookie", value.parse().unwrap());
            }
            cookie(&metadata, OPTIONS).map(str::to_owned)
        };
        let found = Some("x_-1".to_owned());
        assert_eq!(of(&["portcullis-session=x_-1"]), found);
        assert_eq!(of(&["lb=a; portcullis-session=x_-1;b=c"]), found);
        assert_eq!(of(&["lb=a=b", "portcullis-session=\"x_-1\""]), found);
        assert_eq!(of(&["portcullis-session=old", "portcullis-session=x_-1"]), found, "the last one");
        assert_eq!(of(&["portcullis-session="]), Some(String::new()), "empty is not absent");
        assert_eq!(of(&["other-portcullis-session=x", "portcullis-session"]), None);
        assert_eq!(of(&[]), None);
    }
}
