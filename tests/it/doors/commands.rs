//! Every command of Flight SQL through every call, by nobody and by who has no permit; every action.

use std::collections::BTreeSet;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::*;
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightInfo, Ticket};
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::{has_secret, stranger};
use crate::flight::{channel, poll, token, with};
use crate::support::block_on;

/// What a command may be used for by who is logged in and has no permit at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Runs the statement in it, or in the handle, which is governed.
    Governed,
    /// Answers from the tables that the principal may discover.
    Discovered,
    /// Answers the same to everybody who is logged in.
    Same,
    /// Is no command of a descriptor or ticket, or none that is served.
    Refused,
}

/// The commands one after another. The match has no wildcard: a command that arrow-flight adds gets its case here, or
/// this does not compile.
fn after(command: Option<Command>) -> Option<(Command, Door)> {
    use Door::{Discovered, Governed, Refused, Same};
    macro_rules! then {
        ($name:ident, $door:ident) => {
            Some((Command::$name($name::default()), $door))
        };
    }
    let sql = "SELECT * FROM orders.order_events".to_owned();
    let Some(command) = command else { return then!(ActionBeginSavepointRequest, Refused) };
    match command {
        Command::ActionBeginSavepointRequest(_) => then!(ActionBeginSavepointResult, Refused),
        Command::ActionBeginSavepointResult(_) => then!(ActionBeginTransactionRequest, Refused),
        Command::ActionBeginTransactionRequest(_) => then!(ActionBeginTransactionResult, Refused),
        Command::ActionBeginTransactionResult(_) => then!(ActionCancelQueryRequest, Refused),
        Command::ActionCancelQueryRequest(_) => then!(ActionCancelQueryResult, Refused),
        Command::ActionCancelQueryResult(_) => then!(ActionClosePreparedStatementRequest, Refused),
        Command::ActionClosePreparedStatementRequest(_) => then!(ActionCreatePreparedStatementRequest, Refused),
        Command::ActionCreatePreparedStatementRequest(_) => then!(ActionCreatePreparedStatementResult, Refused),
        Command::ActionCreatePreparedStatementResult(_) => then!(ActionCreatePreparedSubstraitPlanRequest, Refused),
        Command::ActionCreatePreparedSubstraitPlanRequest(_) => then!(ActionEndSavepointRequest, Refused),
        Command::ActionEndSavepointRequest(_) => then!(ActionEndTransactionRequest, Refused),
        Command::ActionEndTransactionRequest(_) => then!(CommandGetCatalogs, Same),
        Command::CommandGetCatalogs(_) => {
            let table = "order_events".to_owned();
            let (pk, fk) = (table.clone(), "customer_profiles".to_owned());
            let query = CommandGetCrossReference { pk_table: pk, fk_table: fk, ..CommandGetCrossReference::default() };
            Some((Command::CommandGetCrossReference(query), Discovered))
        }
        Command::CommandGetCrossReference(_) => then!(CommandGetDbSchemas, Discovered),
        Command::CommandGetDbSchemas(_) => {
            let query = CommandGetExportedKeys { table: "order_events".to_owned(), ..Default::default() };
            Some((Command::CommandGetExportedKeys(query), Discovered))
        }
        Command::CommandGetExportedKeys(_) => {
            let query = CommandGetImportedKeys { table: "order_events".to_owned(), ..Default::default() };
            Some((Command::CommandGetImportedKeys(query), Discovered))
        }
        Command::CommandGetImportedKeys(_) => {
            let query = CommandGetPrimaryKeys { table: "customer_orders_v1".to_owned(), ..Default::default() };
            Some((Command::CommandGetPrimaryKeys(query), Discovered))
        }
        Command::CommandGetPrimaryKeys(_) => then!(CommandGetSqlInfo, Same),
        Command::CommandGetSqlInfo(_) => then!(CommandGetTableTypes, Same),
        Command::CommandGetTableTypes(_) => {
            let query = CommandGetTables { include_schema: true, ..CommandGetTables::default() };
            Some((Command::CommandGetTables(query), Discovered))
        }
        Command::CommandGetTables(_) => then!(CommandGetXdbcTypeInfo, Same),
        Command::CommandGetXdbcTypeInfo(_) => then!(CommandPreparedStatementQuery, Governed),
        Command::CommandPreparedStatementQuery(_) => then!(CommandPreparedStatementUpdate, Refused),
        Command::CommandPreparedStatementUpdate(_) => then!(CommandStatementIngest, Refused),
        Command::CommandStatementIngest(_) => {
            Some((Command::CommandStatementQuery(CommandStatementQuery { query: sql, transaction_id: None }), Governed))
        }
        Command::CommandStatementQuery(_) => then!(CommandStatementSubstraitPlan, Refused),
        Command::CommandStatementSubstraitPlan(_) => Some((
            Command::CommandStatementUpdate(CommandStatementUpdate { query: sql, transaction_id: None }),
            Refused,
        )),
        Command::CommandStatementUpdate(_) => then!(DoPutPreparedStatementResult, Refused),
        Command::DoPutPreparedStatementResult(_) => then!(DoPutUpdateResult, Refused),
        Command::DoPutUpdateResult(_) => then!(TicketStatementQuery, Governed),
        Command::TicketStatementQuery(_) => {
            let any =
                Any { type_url: "type.googleapis.com/arrow.flight.protocol.sql.New".to_owned(), value: "".into() };
            Some((Command::Unknown(any), Refused))
        }
        Command::Unknown(_) => None,
    }
}

fn commands() -> Vec<(Command, Door)> {
    let mut all: Vec<(Command, Door)> = Vec::new();
    let again = |command: &Command| Command::try_from(command.clone().into_any()).unwrap();
    while let Some(next) = after(all.last().map(|(command, _)| again(command))) {
        all.push(next);
    }
    all
}

type Raw = FlightServiceClient<Channel>;

/// Everything that comes back from every call that takes a command, as bytes; or the refusal.
async fn answers(
    raw: &mut Raw,
    token: Option<&str>,
    command: &Command,
) -> Vec<(&'static str, Result<Vec<u8>, Status>)> {
    let bytes = command.clone().into_any().encode_to_vec();
    let descriptor = || arrow_flight::FlightDescriptor::new_cmd(bytes.clone());
    let put = || FlightData { flight_descriptor: Some(descriptor()), ..FlightData::default() };
    macro_rules! request {
        ($message:expr) => {
            match token {
                Some(token) => with(token, $message),
                None => Request::new($message),
            }
        };
    }
    let got = raw.do_get(request!(Ticket { ticket: bytes.clone().into() })).await;
    let got = match got {
        Ok(stream) => stream.into_inner().map_ok(|message| message.encode_to_vec()).try_collect::<Vec<_>>().await,
        Err(status) => Err(status),
    };
    let put = raw.do_put(request!(stream::iter([put()]))).await;
    let put = match put {
        Ok(stream) => stream.into_inner().map_ok(|message| message.encode_to_vec()).try_collect::<Vec<_>>().await,
        Err(status) => Err(status),
    };
    let exchanged = raw.do_exchange(request!(stream::iter([FlightData::default()]))).await;
    let exchanged = match exchanged {
        Ok(stream) => stream.into_inner().map_ok(|message| message.encode_to_vec()).try_collect::<Vec<_>>().await,
        Err(status) => Err(status),
    };
    // To the end, where there is somebody for whom there is one.
    let polled = match token {
        Some(token) => poll::polled(raw, token, descriptor()).await.map(|info| answer(&info)),
        None => raw.poll_flight_info(descriptor()).await.map(|info| info.get_ref().encode_to_vec()),
    };
    vec![
        ("GetFlightInfo", raw.get_flight_info(request!(descriptor())).await.map(|info| answer(info.get_ref()))),
        ("PollFlightInfo", polled),
        ("GetSchema", raw.get_schema(request!(descriptor())).await.map(|schema| schema.get_ref().encode_to_vec())),
        ("DoGet", got.map(|messages| messages.concat())),
        ("DoPut", put.map(|messages| messages.concat())),
        ("DoExchange", exchanged.map(|messages| messages.concat())),
    ]
}

/// Without what the caller has sent itself.
fn answer(info: &FlightInfo) -> Vec<u8> {
    FlightInfo { flight_descriptor: None, endpoint: Vec::new(), ..info.clone() }.encode_to_vec()
}

#[test]
fn no_command_is_answered_to_who_is_not_logged_in() {
    block_on(async {
        let mut raw = FlightServiceClient::new(channel(&stranger().served).await);
        for (command, _) in commands() {
            for (call, answer) in answers(&mut raw, None, &command).await {
                let status = answer.expect_err(command.type_url());
                assert_eq!(status.code(), Code::Unauthenticated, "{call} {}", command.type_url());
            }
        }
        assert_eq!(raw.list_flights(Criteria::default()).await.unwrap_err().code(), Code::Unauthenticated);
        assert_eq!(raw.list_actions(Empty {}).await.unwrap_err().code(), Code::Unauthenticated);
    });
}

#[test]
fn every_command_has_its_case_for_who_has_no_permit() {
    block_on(async {
        let served = &stranger().served;
        let mut raw = FlightServiceClient::new(channel(served).await);
        let mut nell = crate::flight::Client::new(channel(served).await);
        nell.handshake("nell", "ana").await.unwrap();
        let nells = nell.token().unwrap().clone();
        let anas = token(served, "ana").await;
        let mut governed = BTreeSet::new();
        for (command, door) in commands() {
            let name = command.type_url().to_owned();
            let (mut served_calls, mut told) = (Vec::new(), false);
            for (call, answer) in answers(&mut raw, Some(&nells), &command).await {
                match answer {
                    Ok(bytes) => {
                        assert_eq!(has_secret(&bytes), None, "{call} {name}");
                        served_calls.push(call);
                    }
                    Err(status) => {
                        assert_ne!(status.code(), Code::Internal, "{call} {name}: {status}");
                        // The one name in an error is the one that was asked for.
                        let message = status.message().replace("orders.order_events", "T");
                        assert_eq!(has_secret(message.as_bytes()), None, "{call} {name}: {status}");
                    }
                }
            }
            for (_, answer) in answers(&mut raw, Some(&anas), &command).await {
                told |= answer.is_ok_and(|bytes| has_secret(&bytes).is_some());
            }
            match door {
                Door::Refused | Door::Governed => assert_eq!(served_calls, Vec::<&str>::new(), "{name}"),
                Door::Discovered | Door::Same => {
                    assert_eq!(served_calls, ["GetFlightInfo", "PollFlightInfo", "GetSchema", "DoGet"], "{name}");
                }
            }
            assert!(door != Door::Same || !told, "the same for everybody: {name}");
            if told {
                governed.insert(name.rsplit('.').next().unwrap().to_owned());
            }
        }
        // That the secrets can be told at all, to whom they may be.
        let told = ["CommandGetDbSchemas", "CommandGetPrimaryKeys", "CommandGetTables", "CommandStatementQuery"];
        for name in told {
            assert!(governed.contains(name), "{name} tells ana something: {governed:?}");
        }
    });
}

/// Actions by name: those of Flight SQL, of Flight itself, and one that is none.
const ACTIONS: [(&str, bool); 15] = [
    ("BeginSavepoint", false),
    ("BeginTransaction", false),
    ("CancelFlightInfo", true),
    ("CancelQuery", true),
    ("ClosePreparedStatement", true),
    ("CloseSession", true),
    ("CreatePreparedStatement", true),
    ("CreatePreparedSubstraitPlan", false),
    ("EndSavepoint", false),
    ("EndTransaction", false),
    ("GetSessionOptions", true),
    ("RenewFlightEndpoint", true),
    ("SetSessionOptions", true),
    ("", false),
    ("Reboot", false),
];

#[test]
fn every_action_has_its_case() {
    block_on(async {
        let served = &stranger().served;
        let mut raw = FlightServiceClient::new(channel(served).await);
        let mut nell = crate::flight::Client::new(channel(served).await);
        nell.handshake("nell", "ana").await.unwrap();
        let nells = nell.token().unwrap().clone();
        let listed = raw.list_actions(with(&nells, Empty {})).await.unwrap().into_inner();
        let listed: BTreeSet<String> = listed.map(|action| action.unwrap().r#type).collect().await;
        let known: BTreeSet<String> =
            ACTIONS.iter().filter(|(_, served)| *served).map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, known, "an action that is served has its case here");
        let prepare = ActionCreatePreparedStatementRequest {
            query: "SELECT * FROM orders.order_events".to_owned(),
            transaction_id: None,
        };
        for (name, _) in ACTIONS {
            let body = prepare.as_any().encode_to_vec();
            let status = raw.do_action(Request::new(Action::new(name, body.clone()))).await.unwrap_err();
            assert_eq!(status.code(), Code::Unauthenticated, "{name}");
            let answer = match raw.do_action(with(&nells, Action::new(name, body))).await {
                Ok(stream) => stream.into_inner().try_collect::<Vec<_>>().await,
                Err(status) => Err(status),
            };
            let text = format!("{answer:?}").replace("orders.order_events", "T");
            assert_eq!(has_secret(text.as_bytes()), None, "{name}: {text}");
            if name == "CreatePreparedStatement" {
                assert_eq!(answer.unwrap_err().code(), Code::NotFound);
            }
        }
        let flights = raw.list_flights(with(&nells, Criteria::default())).await.unwrap().into_inner();
        assert_eq!(flights.count().await, 0, "flights are not listed");
    });
}
