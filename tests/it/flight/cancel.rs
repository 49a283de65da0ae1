//! Stopping what runs, renewing what expires.

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{ActionCancelQueryRequest, ProstMessageExt};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo,
    RenewFlightEndpointRequest,
};
use futures::TryStreamExt;
use portcullis_audit::EntryStatus;
use prost::Message;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::transport::entry;
use super::{channel, descriptor, statement, token, with};
use crate::support::{block_on, served};

const LONG: &str = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e";

type Raw = FlightServiceClient<Channel>;

async fn act(raw: &mut Raw, token: &str, name: &str, body: Vec<u8>) -> Result<Vec<u8>, Status> {
    let results = raw.do_action(with(token, Action::new(name, body))).await?.into_inner();
    let results: Vec<arrow_flight::Result> = results.try_collect().await?;
    Ok(results[0].body.to_vec())
}

async fn info(raw: &mut Raw, token: &str, sql: &str) -> FlightInfo {
    raw.get_flight_info(with(token, descriptor(&statement(sql)))).await.unwrap().into_inner()
}

#[test]
fn a_query_is_cancelled_by_its_principal_and_by_nobody_else() {
    block_on(async {
        let mut raw = FlightServiceClient::new(channel(served()).await);
        let (frida, dev) = (token(served(), "frida").await, token(served(), "dev").await);
        for action in ["CancelFlightInfo", "CancelQuery"] {
            let flight = info(&mut raw, &frida, LONG).await;
            let body = match action {
                "CancelFlightInfo" => CancelFlightInfoRequest::new(flight.clone()).encode_to_vec(),
                _ => ActionCancelQueryRequest { info: flight.encode_to_vec().into() }.as_any().encode_to_vec(),
            };
            let early = act(&mut raw, &frida, action, body.clone()).await.unwrap_err();
            assert_eq!(early.code(), Code::NotFound, "nothing runs yet: {early}");
            let ticket = flight.endpoint[0].ticket.clone().unwrap();
            let response = raw.do_get(with(&frida, ticket)).await.unwrap();
            let id = response.metadata().get("x-portcullis-query-id").unwrap().to_str().unwrap().to_owned();
            let mut messages = response.into_inner();
            messages.try_next().await.unwrap().unwrap();
            let stranger = act(&mut raw, &dev, action, body.clone()).await.unwrap_err();
            assert_eq!(stranger.code(), Code::NotFound, "somebody else's: {stranger}");
            messages.try_next().await.unwrap().unwrap();
            let answer = act(&mut raw, &frida, action, body.clone()).await.unwrap();
            if action == "CancelFlightInfo" {
                assert_eq!(
                    CancelFlightInfoResult::decode(answer.as_slice()).unwrap().status(),
                    CancelStatus::Cancelled
                );
            }
            let ended = loop {
                match messages.try_next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("the stream ended as if it were whole"),
                    Err(status) => break status,
                }
            };
            assert_eq!(ended.code(), Code::Cancelled, "{ended}");
            assert_eq!(entry(&id).await.status, EntryStatus::Cancelled);
            drop(messages);
        }
        for body in [b"\xff".to_vec(), Vec::new()] {
            let status = act(&mut raw, &frida, "CancelFlightInfo", body).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument);
        }
    });
}

#[test]
fn an_endpoint_is_renewed_for_its_principal() {
    block_on(async {
        let mut raw = FlightServiceClient::new(channel(served()).await);
        let (frida, dev) = (token(served(), "frida").await, token(served(), "dev").await);
        let endpoint = info(&mut raw, &frida, "SELECT 1 AS one").await.endpoint.remove(0);
        let body = RenewFlightEndpointRequest::new(endpoint.clone()).encode_to_vec();
        let renewed = act(&mut raw, &frida, "RenewFlightEndpoint", body.clone()).await.unwrap();
        let renewed = FlightEndpoint::decode(renewed.as_slice()).unwrap();
        let (before, after) = (endpoint.expiration_time.unwrap(), renewed.expiration_time.unwrap());
        assert!((after.seconds, after.nanos) >= (before.seconds, before.nanos) && before.seconds > 1_700_000_000);
        let rows = raw.do_get(with(&frida, renewed.ticket.unwrap())).await.unwrap().into_inner();
        assert_eq!(rows.try_collect::<Vec<_>>().await.unwrap().len(), 2, "the schema and a batch");
        let stranger = act(&mut raw, &dev, "RenewFlightEndpoint", body).await.unwrap_err();
        assert_eq!(stranger.code(), Code::InvalidArgument);
        assert!(stranger.message().contains("not one that this gateway made for this principal"), "{stranger}");
    });
}
