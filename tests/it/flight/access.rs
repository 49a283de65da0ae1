//! Who gets in, and what they may ask for.

use std::collections::BTreeSet;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, Command,
    CommandPreparedStatementQuery, CommandStatementUpdate, ProstMessageExt,
};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use futures::{TryStreamExt, stream};
use portcullis_gateway::Config;
use prost::Message;
use tonic::Code;

use super::{EVENTS, channel, descriptor, failure, login, statement, token, with};
use crate::support::{self, block_on, served};

#[test]
fn a_wrong_password_and_an_unknown_user_read_alike() {
    block_on(async {
        let mut messages = BTreeSet::new();
        for (user, password) in [("ana", "frida"), ("nobody", "nobody"), ("", "")] {
            let mut client = FlightSqlServiceClient::new(channel(served()).await);
            let error = client.handshake(user, password).await.unwrap_err().to_string();
            assert!(error.contains("Unauthenticated") || error.contains("valid authentication"), "{error}");
            messages.insert(error);
        }
        assert_eq!(messages.len(), 1, "{messages:?}");
    });
}

#[test]
fn every_call_authenticates_first() {
    block_on(async {
        let mut raw = FlightServiceClient::new(channel(served()).await);
        let command = descriptor(&statement("SELECT 1"));
        let ticket = || Ticket { ticket: Any::default().encode_to_vec().into() };
        let put = FlightData { flight_descriptor: Some(command.clone()), ..FlightData::default() };
        let hello = HandshakeRequest::default();
        let refusals = [
            raw.handshake(stream::iter([hello])).await.unwrap_err(),
            raw.list_flights(Criteria::default()).await.unwrap_err(),
            raw.get_flight_info(command.clone()).await.unwrap_err(),
            raw.poll_flight_info(command.clone()).await.unwrap_err(),
            raw.get_schema(command.clone()).await.unwrap_err(),
            raw.do_get(ticket()).await.unwrap_err(),
            raw.do_put(stream::iter([put.clone()])).await.unwrap_err(),
            raw.do_exchange(stream::iter([put])).await.unwrap_err(),
            raw.do_action(Action::new("CloseSession", "")).await.unwrap_err(),
            raw.list_actions(Empty {}).await.unwrap_err(),
        ];
        for status in refusals {
            assert_eq!(status.code(), Code::Unauthenticated);
            assert!(status.message().starts_with("no credentials: send `authorization:"), "{status}");
        }
        for bad in ["", "x", "a.b.c"] {
            let status = raw.get_schema(with(bad, command.clone())).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{bad}");
        }
        let mut forged = token(served(), "ana").await;
        let last = if forged.ends_with('A') { 'B' } else { 'A' };
        forged.pop();
        forged.push(last);
        let status = raw.list_actions(with(&forged, Empty {})).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    });
}

#[test]
fn a_token_expires() {
    let mesh = support::copy_of_mesh();
    let mut config = Config::load(mesh.path()).unwrap();
    config.catalogue.watch = false;
    config.identity.token_lifetime = portcullis_gateway::config::Span::millis(300);
    let gateway = block_on(portcullis_gateway::Gateway::open(mesh.path(), config)).unwrap();
    let served = support::serve(gateway, None);
    block_on(async {
        let token = token(&served, "ana").await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        let status = failure(&served, &token, "SELECT 1").await;
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "the token has expired: log in again"));
    });
}

#[test]
fn tickets_and_handles_are_of_no_use_to_others() {
    block_on(async {
        let mut frida = login(served(), "frida").await;
        let info = frida.execute(EVENTS.to_owned(), None).await.unwrap();
        let create = ActionCreatePreparedStatementRequest { query: EVENTS.to_owned(), transaction_id: None };
        let action = Action::new("CreatePreparedStatement", create.as_any().encode_to_vec());
        let token_of_frida = frida.token().unwrap().clone();
        let results = frida.inner_mut().do_action(with(&token_of_frida, action)).await.unwrap().into_inner();
        let results: Vec<_> = results.try_collect().await.unwrap();
        let created = Any::decode(results[0].body.clone()).unwrap();
        let created: ActionCreatePreparedStatementResult = created.unpack().unwrap().unwrap();
        let handle = CommandPreparedStatementQuery { prepared_statement_handle: created.prepared_statement_handle };
        let stolen = [info.endpoint[0].ticket.clone().unwrap().ticket, handle.as_any().encode_to_vec().into()];
        let mut raw = FlightServiceClient::new(channel(served()).await);
        let (ana, frida) = (token(served(), "ana").await, token(served(), "frida").await);
        for ticket in stolen {
            assert!(raw.do_get(with(&frida, Ticket { ticket: ticket.clone() })).await.is_ok());
            let status = raw.do_get(with(&ana, Ticket { ticket: ticket.clone() })).await.unwrap_err();
            assert!(matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument));
            let mut tampered = ticket.to_vec();
            *tampered.last_mut().unwrap() ^= 1;
            assert!(raw.do_get(with(&frida, Ticket { ticket: tampered.into() })).await.is_err());
        }
        let status = raw.get_schema(with(&ana, descriptor(&handle))).await.unwrap_err();
        assert_ne!(status.code(), Code::Internal, "{status}");
    });
}

#[test]
fn what_is_not_supported_is_refused_clearly() {
    block_on(async {
        let mut client = login(served(), "dev").await;
        let token = client.token().unwrap().clone();
        let raw = client.inner_mut();
        let action = |name: &str| with(&token, Action::new(name, Any::default().encode_to_vec()));
        for (name, message) in [
            ("BeginTransaction", "transactions are not supported: the gateway only reads"),
            ("BeginSavepoint", "savepoints are not supported: the gateway only reads"),
            ("CreatePreparedSubstraitPlan", "Substrait plans are not supported: send the statement as SQL"),
            ("Reboot", "there is no action `Reboot`; ListActions names those there are"),
        ] {
            let status = raw.do_action(action(name)).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::Unimplemented, message));
        }
        let actions: Vec<_> =
            raw.list_actions(with(&token, Empty {})).await.unwrap().into_inner().try_collect().await.unwrap();
        assert_eq!(actions.len(), 8);
        let update = CommandStatementUpdate { query: "SELECT 1".to_owned(), transaction_id: None };
        let put = FlightData { flight_descriptor: Some(descriptor(&update)), ..FlightData::default() };
        let status = raw.do_put(with(&token, stream::iter([put]))).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unimplemented, "updates are not supported: the gateway only reads")
        );
        let path = FlightDescriptor::new_path(vec!["orders".to_owned()]);
        let status = raw.get_flight_info(with(&token, path)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let unknown =
            Command::Unknown(Any { type_url: "type.example/Command".to_owned(), value: "".into() }).into_any();
        let status = raw.do_get(with(&token, Ticket { ticket: unknown.encode_to_vec().into() })).await.unwrap_err();
        assert_eq!(status.message(), "`type.example/Command` is not a Flight SQL command known here");
        for sql in
            ["DELETE FROM orders.order_events", "CREATE TABLE x AS SELECT 1", "COPY orders.order_events TO '/tmp/x'"]
        {
            let status = failure(served(), &token, sql).await;
            assert!(matches!(status.code(), Code::Unimplemented | Code::InvalidArgument), "{sql}: {status}");
        }
    });
}
