//! Polling for what takes long to plan: here, because the catalogue that knows a table's versions does not answer.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, CancelFlightInfoRequest, FlightDescriptor, FlightInfo, PollInfo};
use futures::TryStreamExt;
use portcullis_gateway::config::KeyRef;
use portcullis_gateway::{Config, Gateway};
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::{Kept, channel, descriptor, login, statement, token, with};
use crate::support::{self, Served, block_on, served};

type Raw = FlightServiceClient<Channel>;

/// Of one of the demo's snapshots, which the catalogue is asked for before the statement is planned.
const SLOW: &str = "SELECT now() AS t, order_id FROM orders.order_events VERSION AS OF 5076897092314605901";

/// What polling comes to, however often it takes.
pub async fn polled(raw: &mut Raw, token: &str, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
    let mut next = descriptor;
    loop {
        let PollInfo { info, flight_descriptor, progress, .. } =
            raw.poll_flight_info(with(token, next)).await?.into_inner();
        match flight_descriptor {
            Some(again) => next = again,
            None => {
                assert_eq!(progress, Some(1.0));
                return Ok(info.unwrap());
            }
        }
    }
}

#[test]
fn a_poll_comes_to_what_get_flight_info_says() {
    block_on(async {
        let mut raw = FlightServiceClient::new(channel(served()).await);
        let frida = token(served(), "frida").await;
        let mut info = polled(&mut raw, &frida, descriptor(&statement("SELECT 1 AS one"))).await.unwrap();
        let plain = raw.get_flight_info(with(&frida, descriptor(&statement("SELECT 1 AS one")))).await.unwrap();
        assert_eq!(
            (&info.schema, &info.flight_descriptor),
            (&plain.get_ref().schema, &plain.get_ref().flight_descriptor)
        );
        let ticket = info.endpoint.remove(0).ticket.unwrap();
        let rows = raw.do_get(with(&frida, ticket)).await.unwrap().into_inner();
        assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap().len(), 2);
        let wrong = polled(&mut raw, &frida, descriptor(&statement("SELECT nothing"))).await.unwrap_err();
        assert_eq!(wrong.code(), Code::InvalidArgument);
    });
}

/// An Iceberg REST catalogue with the demo's order events, which answers once its gate is open.
async fn catalogue(gate: watch::Receiver<bool>) -> String {
    let lake = support::mesh().join(portcullis::demo::lake::LAKE);
    let metadata =
        std::fs::read_dir(lake.join("orders/order_events/metadata")).unwrap().map(|file| file.unwrap().path());
    let newest = metadata.filter(|path| path.to_string_lossy().ends_with(".metadata.json")).max().unwrap();
    let text = std::fs::read_to_string(newest).unwrap();
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let location = metadata["location"].as_str().unwrap().to_owned();
    let metadata: Value = serde_json::from_str(&text.replace(&location, "s3://b/order_events")).unwrap();
    let table = json!({"metadata-location": "s3://b/order_events/metadata/9.metadata.json", "metadata": metadata});
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let uri = format!("http://{}/api", listener.local_addr().unwrap());
    support::runtime().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (gate, table) = (gate.clone(), table.clone());
            tokio::spawn(answer(stream, gate, table));
        }
    });
    uri
}

async fn answer(mut stream: TcpStream, mut gate: watch::Receiver<bool>, table: Value) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    if gate.wait_for(|open| *open).await.is_err() {
        return;
    }
    let is_table = String::from_utf8_lossy(&head).starts_with("GET /api/v1/namespaces/orders/tables/order_events");
    let body = if is_table { table } else { json!({"defaults": {}, "overrides": {}}) }.to_string();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.ok();
}

/// A gateway whose order events are in that catalogue.
async fn replica(catalogue: &str) -> (TempDir, Served) {
    let mesh = support::copy_of_mesh();
    let path = mesh.path().join("catalogs/connections.yaml");
    let connections = std::fs::read_to_string(&path).unwrap();
    let slow = format!("connections:\n  slow: {{type: iceberg-rest, uri: '{catalogue}', auth: {{type: none}}}}\n");
    std::fs::write(&path, connections.replacen("connections:\n", &slow, 1)).unwrap();
    let path = mesh.path().join("catalogs/orders/order_events.yaml");
    let contract = std::fs::read_to_string(&path).unwrap();
    assert!(contract.contains("connection: lake"));
    std::fs::write(&path, contract.replace("connection: lake", "connection: slow")).unwrap();
    let mut config = Config::load(mesh.path()).unwrap();
    config.catalogue.watch = false;
    std::fs::write(mesh.path().join("signing.key"), "the key that both replicas share, of 32 bytes and more").unwrap();
    config.secrets.signing_key = Some(KeyRef::File("signing.key".into()));
    let gateway = Gateway::open(mesh.path(), config).await.unwrap();
    let served = support::serve(Arc::clone(&gateway), None);
    (mesh, served)
}

async fn cancel(raw: &mut Raw, token: &str, info: &FlightInfo) -> Result<(), Status> {
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let results = raw.do_action(with(token, Action::new("CancelFlightInfo", body))).await?.into_inner();
    results.try_collect::<Vec<_>>().await.map(drop)
}

/// What is asked with again is for its principal, at whatever replica, and says what its session said.
#[test]
fn what_takes_long_is_asked_for_again_at_any_replica() {
    block_on(async {
        let (gate, closed) = watch::channel(false);
        let uri = catalogue(closed).await;
        let ((_first, one), (_second, two)) = (replica(&uri).await, replica(&uri).await);
        let mut session = Kept::login(&one, "ana").await;
        session.query("SET TIME ZONE 'Asia/Tokyo'").await;
        let first = descriptor(&statement(SLOW));
        let request = session.with(first.clone());
        // The catalogue says nothing, and there is an answer.
        let early = session.client.inner_mut().poll_flight_info(request).await.unwrap().into_inner();
        let next = early.flight_descriptor.expect("nothing is planned without the catalogue");
        let (info, expires) = (early.info.unwrap(), early.expiration_time.unwrap());
        assert!(early.progress.is_none() && info.endpoint.is_empty() && expires.seconds > 1_700_000_000);

        let (ana, dev) = (token(&two, "ana").await, token(&two, "dev").await);
        let mut raw = FlightServiceClient::new(channel(&two).await);
        is_for_its_principal(&mut raw, &dev, &ana, &next).await;

        // It waits, and its principal can end that; nobody else can.
        let mut waits = raw.clone();
        let request = with(&ana, next.clone());
        let waiting = tokio::spawn(async move { waits.poll_flight_info(request).await });
        while let Err(status) = cancel(&mut raw, &ana, &info).await {
            assert_eq!(status.code(), Code::NotFound, "{status}");
            assert_eq!(cancel(&mut raw, &dev, &info).await.unwrap_err().code(), Code::NotFound);
        }
        assert_eq!(waiting.await.unwrap().unwrap_err().code(), Code::Cancelled);

        // A client that goes away has lost nothing: what it has is good at any replica.
        let mut waits = raw.clone();
        let request = with(&ana, next.clone());
        let waiting = tokio::spawn(async move { waits.poll_flight_info(request).await });
        gate.send_replace(true);
        let late = waiting.await.unwrap().unwrap().into_inner();
        assert_eq!((late.flight_descriptor, late.progress), (None, Some(1.0)));
        let info = late.info.unwrap();
        assert_eq!(info.flight_descriptor.as_ref(), Some(&first));
        assert_eq!(info.endpoint.len(), 1);
        let schema = info.try_decode_schema().unwrap();
        let tokyo = DataType::Timestamp(TimeUnit::Nanosecond, Some("Asia/Tokyo".into()));
        assert_eq!(schema.field(0).data_type(), &tokyo, "as its session said, which this call has not");
    });
}

async fn is_for_its_principal(raw: &mut Raw, dev: &str, ana: &str, next: &FlightDescriptor) {
    let refused = |answer: Result<_, Status>| answer.map(drop).unwrap_err();
    let nobody = refused(raw.poll_flight_info(next.clone()).await.map(drop));
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let stranger = refused(raw.poll_flight_info(with(dev, next.clone())).await.map(drop));
    assert_eq!(stranger.code(), Code::InvalidArgument);
    assert!(stranger.message().contains("not one that this gateway made for this principal"), "{stranger}");
    let mut forged = next.cmd.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = refused(raw.poll_flight_info(with(ana, FlightDescriptor::new_cmd(forged))).await.map(drop));
    assert_eq!(forged.code(), Code::InvalidArgument);
    assert!(forged.message().contains("not one that this gateway made"), "{forged}");
    let elsewhere = refused(raw.get_flight_info(with(ana, next.clone())).await.map(drop));
    assert_eq!(elsewhere.code(), Code::Unimplemented, "it is for polls: {elsewhere}");
}

#[test]
fn a_poll_of_metadata_is_answered_at_once() {
    block_on(async {
        let mut ana = login(served(), "ana").await;
        let tables = arrow_flight::sql::CommandGetTables { include_schema: true, ..Default::default() };
        let token = ana.token().unwrap().clone();
        let info = polled(ana.inner_mut(), &token, descriptor(&tables)).await.unwrap();
        assert_eq!(info.endpoint.len(), 1);
    });
}
