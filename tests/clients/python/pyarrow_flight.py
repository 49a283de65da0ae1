"""Plain pyarrow.flight: no Flight SQL library, the protocol's messages written out by hand.

usage: pyarrow_flight.py HOST:PORT USER [PURPOSE]      (the password is the user's name, as in the demo)
"""

import json
import sys

import pyarrow as pa
import pyarrow.flight as flight

ENDLESS = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e"
SQL = "SELECT order_id, customer_id, region, quantity, amount FROM orders.order_events ORDER BY order_id LIMIT 20"


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A length-delimited field of a protobuf message."""
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def command(name, message=b""):
    """A Flight SQL command, packed into an Any."""
    return field(1, f"type.googleapis.com/arrow.flight.protocol.sql.{name}") + field(2, message)


def statement(sql):
    return flight.FlightDescriptor.for_command(command("CommandStatementQuery", field(1, sql)))


def main(address, user, purpose=None):
    client = flight.connect(f"grpc://{address}")
    facts = {}
    try:
        client.authenticate_basic_token(user, "not the password")
    except flight.FlightUnauthenticatedError as error:
        facts["wrong_password"] = str(error)
    try:
        client.get_flight_info(statement("SELECT 1"))
    except flight.FlightUnauthenticatedError as error:
        facts["no_credentials"] = str(error)

    headers = [client.authenticate_basic_token(user, user)]
    if purpose:
        headers.append((b"purpose", purpose.encode()))
    options = flight.FlightCallOptions(headers=headers)

    info = client.get_flight_info(statement(SQL), options)
    reader = client.do_get(info.endpoints[0].ticket, options)
    table = reader.read_all()
    announced = client.get_schema(statement(SQL), options).schema
    facts["schemas_are_identical"] = info.schema == announced == table.schema == reader.schema
    facts["nullable"] = all(column.nullable for column in table.schema)
    facts["types"] = [str(column.type) for column in table.schema]
    facts["rows"] = [[str(value) for value in row.values()] for row in table.to_pylist()]

    info = client.get_flight_info(statement("SELECT * FROM orders.order_events"), options)
    chunks = [chunk.data for chunk in client.do_get(info.endpoints[0].ticket, options)]
    facts["all_rows"] = sum(chunk.num_rows for chunk in chunks)

    facts["actions"] = sorted(action.type for action in client.list_actions(options))
    catalogs = client.get_flight_info(flight.FlightDescriptor.for_command(command("CommandGetCatalogs")), options)
    facts["catalogs"] = client.do_get(catalogs.endpoints[0].ticket, options).read_all().to_pylist()

    # URL parameters of drivers become headers: far more than gRPC's usual 8 KiB must pass.
    large = flight.FlightCallOptions(headers=headers + [(f"x-filler-{n}".encode(), b"x" * 5000) for n in range(10)])
    facts["large_headers"] = client.get_schema(statement("SELECT 1 AS one"), large).schema.names

    # Password on each call, no handshake.
    import base64

    basic = base64.b64encode(f"{user}:{user}".encode())
    each = flight.FlightCallOptions(headers=[(b"authorization", b"Basic " + basic)])
    facts["basic_on_a_call"] = client.get_schema(statement("SELECT 1 AS one"), each).schema.names

    for name, sql in {"no_table": "SELECT * FROM orders.nowhere", "refused": "DROP TABLE orders.order_events"}.items():
        try:
            client.get_flight_info(statement(sql), options)
        except (flight.FlightError, pa.ArrowException) as error:
            facts[name] = str(error)

    reader = client.do_get(client.get_flight_info(statement(ENDLESS), options).endpoints[0].ticket, options)
    reader.read_chunk()
    reader.cancel()
    try:
        while True:
            reader.read_chunk()
    except StopIteration:
        facts["cancelled"] = "the result ended as if it were whole"
    except (flight.FlightError, pa.ArrowException) as error:
        facts["cancelled"] = f"{type(error).__name__}: {error}"
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
