//! What a descriptor or a ticket asks for.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::{Any, Command};
use prost::Message;
use tonic::Status;

use crate::status;

/// The command of a descriptor.
pub(crate) fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Command, Status> {
    if descriptor.r#type() != DescriptorType::Cmd {
        return Err(status::invalid("the descriptor is not a Flight SQL command: flights have no paths here"));
    }
    decode(&descriptor.cmd, "descriptor")
}

/// The command of a ticket.
pub(crate) fn of_ticket(ticket: &[u8]) -> Result<Command, Status> {
    decode(ticket, "ticket")
}

/// The refusal of a command that cannot be used in this place, or not at all.
pub(crate) fn refused(command: &Command) -> Status {
    match command {
        Command::CommandStatementSubstraitPlan(_) => status::no_substrait(),
        Command::CommandStatementUpdate(_) | Command::CommandPreparedStatementUpdate(_) => {
            status::unsupported("updates")
        }
        Command::CommandStatementIngest(_) => status::unsupported("bulk ingestions"),
        Command::Unknown(any) => {
            Status::unimplemented(format!("`{}` is not a Flight SQL command known here", any.type_url))
        }
        other => status::invalid(format!("`{}` cannot be used in this call", other.type_url())),
    }
}

/// No transactions are advertised, so a transaction id can only be a client's mistake.
pub(crate) fn no_transaction(id: Option<&[u8]>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(status::unsupported("transactions")),
        _ => Ok(()),
    }
}

fn decode(bytes: &[u8], what: &str) -> Result<Command, Status> {
    let any = Any::decode(bytes).map_err(|_| status::invalid(format!("the {what} is not a Flight SQL command")))?;
    Command::try_from(any)
        .map_err(|_| status::invalid(format!("the {what} is a Flight SQL command that cannot be read")))
}
