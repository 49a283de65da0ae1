//! Descriptions of results: `FlightInfo`, `SchemaResult` and schemas as bytes.

use arrow::datatypes::Schema;
use arrow_flight::sql::Any;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, SchemaAsIpc, SchemaResult, Ticket};
use arrow_ipc::writer::IpcWriteOptions;
use bytes::Bytes;
use portcullis_gateway::Gateway;
use prost::Message;
use prost_types::Timestamp;
use tonic::Status;

use crate::status;

/// A schema as an encapsulated IPC message: continuation marker, length, flatbuffer.
pub(crate) fn schema_bytes(schema: &Schema) -> Result<Bytes, Status> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default())
        .try_into()
        .map_err(|error| status::internal("encoding a schema", error))?;
    Ok(bytes)
}

/// The answer to `GetSchema`.
pub(crate) fn schema_result(schema: &Schema) -> Result<SchemaResult, Status> {
    Ok(SchemaResult { schema: schema_bytes(schema)? })
}

/// When what is sealed now expires.
pub(crate) fn expiration(gateway: &Gateway) -> Timestamp {
    let ms = gateway.handles_expire_ms();
    let nanos = i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default();
    Timestamp { seconds: ms.div_euclid(1_000), nanos }
}

/// The answer to `GetFlightInfo`, with its notices, one a line, as metadata of the application: one endpoint without a
/// location, which means "where you asked". Behind a load balancer that is any replica.
pub(crate) fn flight_info(
    gateway: &Gateway,
    schema: &Schema,
    descriptor: FlightDescriptor,
    ticket: &Any,
    notices: &[String],
) -> Result<FlightInfo, Status> {
    let endpoint = FlightEndpoint {
        ticket: Some(Ticket { ticket: ticket.encode_to_vec().into() }),
        location: Vec::new(),
        expiration_time: Some(expiration(gateway)),
        app_metadata: Bytes::new(),
    };
    Ok(FlightInfo {
        schema: schema_bytes(schema)?,
        flight_descriptor: Some(descriptor),
        endpoint: vec![endpoint],
        total_records: -1,
        total_bytes: -1,
        ordered: true,
        app_metadata: notices.join("\n").into(),
    })
}
