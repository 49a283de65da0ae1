//! A service that asks for its users, as a BI server does: with a header, over the wire.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{Any, CommandGetTables};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use futures::{TryStreamExt, stream};
use portcullis_audit::Query;
use prost::Message;
use tonic::{Code, Request, Status};

use super::{Client, Kept, channel, descriptor, fetch, login, number, query, statement, texts, token, with};
use super::{options, session};
use crate::support::{self, Served, block_on, served};

const HEADER: &str = "x-portcullis-on-behalf-of";
const ORDERS: &str = "SELECT count(*) AS n FROM orders.order_events";

fn on_behalf_of<T>(token: &str, user: &str, message: T) -> Request<T> {
    let mut request = with(token, message);
    request.metadata_mut().insert(HEADER, user.parse().unwrap());
    request
}

/// A mesh in which bi may act for analysts of the EU, and for nobody else.
fn lab() -> (tempfile::TempDir, Served) {
    let mesh = support::copy_of_mesh();
    let path = mesh.path().join("users.yaml");
    let users = std::fs::read_to_string(&path).unwrap();
    let hash = users.split("  ana:\n    password: ").nth(1).unwrap().lines().next().unwrap();
    std::fs::write(&path, format!("{users}  bi:\n    password: {hash}\n")).unwrap();
    let policy = "@id(\"bi-acts\")\npermit (principal == User::\"bi\", action == Action::\"impersonate\", resource in Group::\"eu_analysts\");\n";
    std::fs::write(mesh.path().join("policies/bi.cedar"), policy).unwrap();
    let gateway = block_on(support::open(mesh.path())).unwrap();
    assert!(gateway.findings().iter().all(|finding| !finding.is_error()), "{:?}", gateway.findings());
    let served = support::serve(gateway, None);
    (mesh, served)
}

async fn bi(served: &Served) -> Client {
    let mut client = Client::new(channel(served).await);
    client.handshake("bi", "ana").await.unwrap();
    client
}

#[test]
fn every_call_for_somebody_is_refused_to_who_may_not() {
    block_on(async {
        // dev sees more than ana, and may not act for her all the same.
        let mut raw = FlightServiceClient::new(channel(served()).await);
        let token = token(served(), "dev").await;
        let command = descriptor(&statement("SELECT 1"));
        let ticket = Ticket { ticket: Any::default().encode_to_vec().into() };
        let put = FlightData { flight_descriptor: Some(command.clone()), ..FlightData::default() };
        for user in ["ana", "nobody", "dev"] {
            let refusals = [
                raw.handshake(on_behalf_of(&token, user, stream::iter([HandshakeRequest::default()])))
                    .await
                    .unwrap_err(),
                raw.list_flights(on_behalf_of(&token, user, Criteria::default())).await.unwrap_err(),
                raw.get_flight_info(on_behalf_of(&token, user, command.clone())).await.unwrap_err(),
                raw.poll_flight_info(on_behalf_of(&token, user, command.clone())).await.unwrap_err(),
                raw.get_schema(on_behalf_of(&token, user, command.clone())).await.unwrap_err(),
                raw.do_get(on_behalf_of(&token, user, ticket.clone())).await.unwrap_err(),
                raw.do_put(on_behalf_of(&token, user, stream::iter([put.clone()]))).await.unwrap_err(),
                raw.do_exchange(on_behalf_of(&token, user, stream::iter([put.clone()]))).await.unwrap_err(),
                raw.do_action(on_behalf_of(&token, user, Action::new("CloseSession", ""))).await.unwrap_err(),
                raw.list_actions(on_behalf_of(&token, user, Empty {})).await.unwrap_err(),
            ];
            for status in refusals {
                assert_eq!(status.code(), Code::PermissionDenied, "{status}");
                let wanted =
                    format!("no policy lets `dev` act for a user `{user}`: that takes the action `impersonate`");
                assert_eq!(status.message(), wanted);
            }
        }
        for bad in ["", " "] {
            let status = raw.list_actions(on_behalf_of(&token, bad, Empty {})).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        }
        let mut twice = on_behalf_of(&token, "ana", Empty {});
        twice.metadata_mut().append(HEADER, "dev".parse().unwrap());
        assert_eq!(raw.list_actions(twice).await.unwrap_err().code(), Code::InvalidArgument);
    });
}

#[test]
fn a_service_sees_what_its_user_sees_and_its_tickets_are_for_both() {
    let (mesh, served) = lab();
    block_on(async {
        let wanted = number(&query(&mut login(&served, "ana").await, ORDERS).await);
        let (mut as_ana, mut alone) = (bi(&served).await, bi(&served).await);
        as_ana.set_header(HEADER, "ana");
        assert_eq!(number(&query(&mut as_ana, ORDERS).await), wanted);
        let info = as_ana.get_tables(CommandGetTables::default()).await.unwrap();
        assert!(texts(&fetch(&mut as_ana, info).await.1, "table_name").contains("order_events"));
        assert!(alone.execute(ORDERS.to_owned(), None).await.is_err(), "bi itself sees nothing");

        let (service, ana) = (alone.token().unwrap().clone(), token(&served, "ana").await);
        let mut raw = FlightServiceClient::new(channel(&served).await);
        let info = async |request: Request<FlightDescriptor>| {
            FlightServiceClient::new(channel(&served).await).get_flight_info(request).await
        };
        let command = descriptor(&statement(ORDERS));
        let made = info(on_behalf_of(&service, "ana", command.clone())).await.unwrap().into_inner();
        let ticket = made.endpoint[0].ticket.clone().unwrap();
        let hers = info(with(&ana, command)).await.unwrap().into_inner().endpoint[0].ticket.clone().unwrap();
        for stolen in [
            raw.do_get(with(&ana, ticket.clone())).await.map(drop),
            raw.do_get(with(&service, ticket.clone())).await.map(drop),
            raw.do_get(on_behalf_of(&service, "ana", hers)).await.map(drop),
        ] {
            assert_eq!(stolen.unwrap_err().code(), Code::InvalidArgument);
        }
        let rows: Result<Vec<_>, Status> =
            raw.do_get(on_behalf_of(&service, "ana", ticket)).await.unwrap().into_inner().try_collect().await;
        assert!(rows.is_ok());
        for user in ["dev", "frida", "bi"] {
            as_ana.set_header(HEADER, user);
            let error = as_ana.execute(ORDERS.to_owned(), None).await.unwrap_err().to_string();
            assert!(error.contains("no policy lets `bi` act for"), "{error}");
        }
    });
    let journal = mesh.path().join(".portcullis/audit");
    let entries: Vec<_> = portcullis_audit::search(&journal, &Query::default()).unwrap().map(Result::unwrap).collect();
    let both =
        |entry: &&portcullis_audit::Entry| entry.begin.principal == "ana" && entry.begin.actor.as_deref() == Some("bi");
    assert!(entries.iter().filter(both).count() >= 2, "{entries:?}");
}

#[test]
fn a_session_option_says_for_whom_a_service_asks() {
    let (mesh, served) = lab();
    block_on(async {
        let wanted = number(&query(&mut login(&served, "ana").await, ORDERS).await);
        let mut kept = Kept::resume(bi(&served).await).await;
        assert!(kept.info(ORDERS).await.is_err(), "bi itself sees nothing");
        // By SQL, as clients run it: what describes it sets it, and its stream belongs to who asks next.
        assert!(kept.query("SET on_behalf_of = 'ana'").await.is_empty());
        assert_eq!(number(&kept.query(ORDERS).await), wanted);
        assert_eq!(session::get(&mut kept).await.get("on_behalf_of").map(String::as_str), Some("ana"));
        let stolen = kept.info(ORDERS).await.unwrap().endpoint[0].ticket.clone().unwrap();
        let mut raw = FlightServiceClient::new(channel(&served).await);
        for other in [token(&served, "ana").await, bi(&served).await.token().unwrap().clone()] {
            let error = raw.do_get(with(&other, stolen.clone())).await.map(drop).unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        }
        kept.query("SET on_behalf_of = DEFAULT").await;
        assert!(kept.info(ORDERS).await.is_err(), "bi itself again");
        // By the protocol, with what only ana may set: bi could not discover the schema.
        assert_eq!(options::set(&mut kept, "schema", Some("orders")).await, Some(2));
        assert_eq!(options::set(&mut kept, "on_behalf_of", Some("dev")).await, Some(2));
        let refused = options::set_all(&mut kept, &[("schema", "orders"), ("on_behalf_of", "ana")]).await;
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(number(&kept.query("SELECT count(*) AS n FROM order_events").await), wanted);
        // As an update.
        kept.update("SET on_behalf_of = DEFAULT").await.unwrap();
        assert!(kept.info(ORDERS).await.is_err());
        kept.update("SET on_behalf_of = 'ana'").await.unwrap();
        assert_eq!(number(&kept.query(ORDERS).await), wanted);
    });
    let journal = mesh.path().join(".portcullis/audit");
    let entries: Vec<_> = portcullis_audit::search(&journal, &Query::default()).unwrap().map(Result::unwrap).collect();
    let both =
        |entry: &&portcullis_audit::Entry| entry.begin.principal == "ana" && entry.begin.actor.as_deref() == Some("bi");
    assert!(entries.iter().filter(both).count() >= 3, "{entries:?}");
}
