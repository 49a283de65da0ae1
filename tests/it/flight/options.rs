//! Session options of the protocol, and notices beside results.

use std::collections::HashMap;

use arrow_flight::Action;

use super::*;
use crate::support::{block_on, gateway_of, serve, served};

/// A `SessionOptionValue` that is a text.
#[derive(Clone, PartialEq, prost::Message)]
struct Text {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
}

/// `SetSessionOptionsRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct Options {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, Text>,
}

/// An error of `SetSessionOptionsResult`: 1 is an unknown name, 2 a wrong value.
#[derive(Clone, PartialEq, prost::Message)]
struct Refused {
    #[prost(int32, tag = "1")]
    value: i32,
}

/// `SetSessionOptionsResult`.
#[derive(Clone, PartialEq, prost::Message)]
struct Refusals {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, Refused>,
}

/// Sets one option; what is wrong with it, if anything is.
pub async fn set(kept: &mut Kept, name: &str, value: Option<&str>) -> Option<i32> {
    ask_to_set(kept, HashMap::from([(name.to_owned(), Text { text: value.map(str::to_owned) })]))
        .await
        .pop()
        .map(|e| e.1)
}

/// Sets some at once; those that were refused.
pub async fn set_all(kept: &mut Kept, options: &[(&str, &str)]) -> Vec<(String, i32)> {
    let text = |value: &str| Text { text: Some(value.to_owned()) };
    ask_to_set(kept, options.iter().map(|(name, value)| ((*name).to_owned(), text(value))).collect()).await
}

async fn ask_to_set(kept: &mut Kept, options: HashMap<String, Text>) -> Vec<(String, i32)> {
    let body = Options { options }.encode_to_vec();
    let answer = act(kept, Action { r#type: "SetSessionOptions".to_owned(), body: body.into() }).await;
    let errors = Refusals::decode(answer.body).unwrap().errors;
    errors.into_iter().map(|(name, refused)| (name, refused.value)).collect()
}

async fn act(kept: &mut Kept, action: Action) -> arrow_flight::Result {
    let request = kept.with(action);
    let answer = kept.client.inner_mut().do_action(request).await.unwrap();
    kept.take(answer.metadata());
    answer.into_inner().message().await.unwrap().unwrap()
}

/// The notices of the description, and those of the result.
async fn noticed(kept: &mut Kept, sql: &str) -> (String, Vec<String>) {
    let request = kept.with(descriptor(&statement(sql)));
    let info = kept.client.inner_mut().get_flight_info(request).await.unwrap().into_inner();
    let request = kept.with(info.endpoint[0].ticket.clone().unwrap());
    let answer = kept.client.inner_mut().do_get(request).await.unwrap();
    let headers = answer.metadata().get_all("x-portcullis-notice").iter();
    let headers = headers.map(|value| value.to_str().unwrap().to_owned()).collect();
    answer.into_inner().try_collect::<Vec<_>>().await.unwrap();
    (String::from_utf8(info.app_metadata.to_vec()).unwrap(), headers)
}

#[test]
fn a_purpose_is_a_session_option_too() {
    let sql = "SELECT customer_id FROM orders.order_events ORDER BY order_id LIMIT 50";
    block_on(async {
        let mut frida = Kept::login(served(), "frida").await;
        let masked = texts(&frida.query(sql).await, "customer_id");
        assert_eq!(set(&mut frida, "purpose", Some("fraud")).await, None);
        let clear = texts(&frida.query(sql).await, "customer_id");
        assert!(masked.is_disjoint(&clear));
        assert_eq!(set(&mut frida, "purpose", Some("x'; DROP")).await, Some(2), "no purpose of that name");
        assert_eq!(texts(&frida.query(sql).await, "customer_id"), clear, "and nothing changed");
        assert_eq!(set(&mut frida, "purpose", None).await, None);
        assert_eq!(texts(&frida.query(sql).await, "customer_id"), masked);
        assert_eq!(set(&mut frida, "catalog", Some("mesh")).await, None);
        assert_eq!(set(&mut frida, "catalog", Some("other")).await, Some(2));
        assert_eq!(set(&mut frida, "catalog", None).await, Some(2));
        assert_eq!(set(&mut frida, "colour", Some("red")).await, Some(1));
        assert_eq!(set(&mut frida, "break_glass", Some("I would like to")).await, Some(2), "no policy lets her");
    });
}

#[test]
fn notices_travel_beside_the_result() {
    let sql = "SELECT customer_id FROM claims.accounts ORDER BY customer_id LIMIT 5";
    let gateway = gateway_of("kinds");
    let served = serve(gateway.clone(), None);
    let login = async |user: &str| {
        let token = gateway.issue_token(&gateway.local_session(user).unwrap()).unwrap();
        let mut client = Client::new(channel(&served).await);
        client.set_token(token);
        Kept::resume(client).await
    };
    let told = [
        "claims.accounts: rows that you may not see are left out",
        "claims.accounts: columns are masked: customer_id (hash)",
    ];
    block_on(async {
        let mut bea = login("bea").await;
        let (description, result) = noticed(&mut bea, sql).await;
        assert_eq!(description.lines().collect::<Vec<_>>(), told);
        assert_eq!(result, told);
        let (description, result) = noticed(&mut login("rita").await, sql).await;
        assert_eq!((description.as_str(), result.len()), ("", 0), "masked for her too, and no policy says so");
        assert_eq!(set(&mut bea, "break_glass", Some("too short")).await, Some(2));
        assert_eq!(set(&mut bea, "break_glass", Some("the payment system is down")).await, None);
        let (_, result) = noticed(&mut bea, sql).await;
        assert_eq!(result, ["claims.accounts: the glass is broken, and what you do is recorded with your reason"]);
    });
}
