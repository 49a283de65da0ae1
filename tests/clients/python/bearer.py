"""A token of an identity provider instead of a password: plain pyarrow.flight and ADBC.

usage: bearer.py HOST:PORT SQL [PURPOSE]      (the token is read from standard input)
"""

import json
import sys

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.flight as flight
from pyarrow_flight import statement


def rows(table):
    return [[str(value) for value in row.values()] for row in table.to_pylist()]


def main(address, sql, purpose=None):
    bearer = f"Bearer {sys.stdin.read().strip()}"
    headers = [(b"authorization", bearer.encode())]
    options = {"adbc.flight.sql.authorization_header": bearer}
    if purpose:
        headers.append((b"purpose", purpose.encode()))
        options["adbc.flight.sql.rpc.call_header.purpose"] = purpose
    facts = {}
    client = flight.connect(f"grpc://{address}")
    call = flight.FlightCallOptions(headers=headers)
    try:
        info = client.get_flight_info(statement(sql), call)
        facts["pyarrow"] = rows(client.do_get(info.endpoints[0].ticket, call).read_all())
    except pa.ArrowException as error:
        facts["pyarrow_error"] = str(error)
    try:
        with adbc.connect(f"grpc://{address}", db_kwargs=options) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            facts["adbc"] = rows(cursor.fetch_arrow_table())
    except adbc.Error as error:
        facts["adbc_error"] = str(error)
    print(json.dumps(facts))


if __name__ == "__main__":
    main(*sys.argv[1:])
