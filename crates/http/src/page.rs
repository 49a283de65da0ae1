//! The page on which people get a token. It is plain HTML: no script, no style, nothing that comes from elsewhere.
//!
//! `/token` has a button to `/token/login`, which sends the browser to the identity provider; this sends it back to `/token/callback`,
//! which shows the token. The token is in that answer's body and nowhere else; what the browser keeps meanwhile is a cookie that scripts do not
//! see, and that ends with the answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{COOKIE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use hyper::{Request, Response, StatusCode};
use portcullis_gateway::page::{CALLBACK, LOGIN_TIME, Page, PageToken};
use portcullis_gateway::{ErrorKind, Gateway, GatewayError};

/// The page itself, and where its button leads.
pub(crate) const PAGE: &str = "/token";
pub(crate) const LOGIN: &str = "/token/login";
pub(crate) const BACK: &str = CALLBACK;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// What browsers may do with the pages: show them, by themselves.
const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

type Answer = Response<Full<Bytes>>;

/// Answers a request for one of the page's routes.
pub(crate) async fn answer(gateway: &Gateway, page: &Page, request: &Request<()>, client: SocketAddr) -> Answer {
    match request.uri().path() {
        LOGIN if is_own(request.headers()) => login(gateway, page).await,
        LOGIN => failed(StatusCode::FORBIDDEN, "a login begins on this page"),
        BACK => back(gateway, page, request, client).await,
        _ => {
            html(StatusCode::OK, "Log in at your organisation's identity provider to get a token for your client.", "")
        }
    }
}

/// Whether a request comes from the page itself, or is typed: browsers say so.
fn is_own(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin" || site == "none")
}

async fn login(gateway: &Gateway, page: &Page) -> Answer {
    match gateway.begin_page_login().await {
        Ok(begun) => {
            let mut answer = html(StatusCode::SEE_OTHER, "Go on at the identity provider.", "");
            let cookie = cookie(page, &begun.kept, LOGIN_TIME.duration().as_secs());
            match (HeaderValue::try_from(begun.location), HeaderValue::try_from(cookie)) {
                (Ok(location), Ok(cookie)) => {
                    answer.headers_mut().insert(LOCATION, location);
                    answer.headers_mut().insert(SET_COOKIE, cookie);
                    answer
                }
                _ => failed(StatusCode::INTERNAL_SERVER_ERROR, "the login could not be begun"),
            }
        }
        Err(error) => refused(&error),
    }
}

async fn back(gateway: &Gateway, page: &Page, request: &Request<()>, client: SocketAddr) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let kept = kept(request.headers(), page);
    let mut answer = match gateway.finish_page_login(query, kept.as_deref(), Some(client)).await {
        Ok(token) => shown(&token),
        Err(error) => refused(&error),
    };
    // Whatever came of it: it is over.
    if let Ok(cookie) = HeaderValue::try_from(cookie(page, "", 0)) {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
    answer
}

fn shown(PageToken { token, user, expires }: &PageToken) -> Answer {
    let (token, user, expires) = (escaped(token), escaped(user), escaped(expires));
    let shown = format!(
        "<p><label for=\"token\">The token of <b>{user}</b>, until {expires}. Whoever has it is you: give it to your client, and to nobody \
         else.</label></p>\n<textarea id=\"token\" rows=\"16\" cols=\"80\" readonly autofocus autocomplete=\"off\" \
         spellcheck=\"false\">{token}</textarea>\n"
    );
    html(StatusCode::OK, "You are logged in.", &shown)
}

fn refused(error: &GatewayError) -> Answer {
    let status = match error.kind {
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    failed(status, &error.message)
}

fn failed(status: StatusCode, why: &str) -> Answer {
    html(status, &format!("There is no token: {}.", escaped(why)), "")
}

fn html(status: StatusCode, says: &str, shows: &str) -> Answer {
    let body = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Portcullis: a token</title></head>\n<body>\n\
         <h1>A token for your client</h1>\n<p>{says}</p>\n{shows}<p><a id=\"login\" role=\"button\" href=\"{LOGIN}\">Log in</a></p>\n</body>\n</html>\n"
    );
    let mut answer = crate::respond(status, body, HTML);
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Over TLS it has a name that no other host and no plain connection can set.
fn name(page: &Page) -> &'static str {
    if page.is_secure() { "__Host-portcullis-login" } else { "portcullis-login" }
}

/// It comes along when the identity provider sends the browser back, and with nothing else that other sites begin.
fn cookie(page: &Page, value: &str, seconds: u64) -> String {
    let secure = if page.is_secure() { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", name(page))
}

fn kept(headers: &HeaderMap, page: &Page) -> Option<String> {
    let all = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut found = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let found = found.find(|(known, _)| *known == name(page))?;
    Some(found.1.to_owned())
}

/// As text within HTML, in elements and in quotes.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderMap, HeaderValue};

    use super::{escaped, is_own};

    #[test]
    fn nothing_that_is_shown_is_markup() {
        assert_eq!(escaped("<img src=x onerror='a'>&\"b\""), "&lt;img src=x onerror=&#39;a&#39;&gt;&amp;&quot;b&quot;");
        assert_eq!(escaped("sso:anna"), "sso:anna");
    }

    #[test]
    fn another_site_begins_no_login() {
        for (site, own) in [
            (None, true),
            (Some("same-origin"), true),
            (Some("none"), true),
            (Some("cross-site"), false),
            (Some("same-site"), false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert("sec-fetch-site", HeaderValue::from_static(site));
            }
            assert_eq!(is_own(&headers), own, "{site:?}");
        }
    }
}
