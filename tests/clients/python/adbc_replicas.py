"""ADBC behind a balancer that hands each connection to another replica, without and with cookies.

usage: adbc_replicas.py HOST:PORT CONTROL USER      (connecting to CONTROL cuts all connections; TOKEN is a token of the user)
"""

import json
import os
import socket
import sys
import time

import adbc_driver_flightsql.dbapi as flightsql
from adbc_driver_flightsql import DatabaseOptions

SQL = "SELECT customer_id FROM orders.order_events ORDER BY order_id LIMIT 20"
OPTION = "adbc.flight.sql.session.option."


def cut(control):
    host, port = control.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as connection:
        while connection.recv(8):
            pass


def again(call):
    """The call, once more if its connection was cut just then."""
    for _ in range(50):
        try:
            return call()
        except flightsql.Error as error:
            # After a cut within a prepared statement's life the driver says that it is closed already.
            if not any(word in str(error).lower() for word in ("unavailable", "already closed")):
                raise
            time.sleep(0.05)
    return call()


def keeps_none(address, options):
    """What a connection without cookies is told, and what it sees then."""

    def refused(call):
        try:
            again(call)
        except flightsql.Error as error:
            return str(error)

    with flightsql.connect(f"grpc://{address}", db_kwargs=options, autocommit=True) as connection:

        def choose():
            connection.adbc_current_db_schema = "orders"

        def query(sql):
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return [[str(value) for value in row] for row in cursor.fetchall()]

        return {
            "sql": refused(lambda: query("SET purpose = 'fraud'")),
            "option": refused(lambda: connection.adbc_connection.set_options(**{OPTION + "purpose": "fraud"})),
            "schema": refused(choose),
            "rows": again(lambda: query(SQL)),
        }


def session(address, control, options):
    facts = {}
    options = {DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true", **options}
    with flightsql.connect(f"grpc://{address}", db_kwargs=options, autocommit=True) as connection:

        def query(sql, read=lambda table: [[str(value) for value in row.values()] for row in table.to_pylist()]):
            def run():
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    return read(cursor.fetch_arrow_table())

            return again(run)

        def ask(sql, times, **how):
            answers = []
            for _ in range(times):
                cut(control)
                answers.append(query(sql, **how))
            return answers

        query("SET purpose = 'fraud'")
        facts["set"] = ask(SQL, 4)
        connection_options = connection.adbc_connection
        cut(control)
        again(lambda: connection_options.set_options(**{OPTION + "time_zone": "Asia/Tokyo"}))
        cut(control)

        def choose():
            connection.adbc_current_db_schema = "orders"

        again(choose)
        read = []
        for _ in range(3):
            cut(control)
            read.append(json.loads(again(lambda: connection_options.get_option("adbc.flight.sql.session.options"))))
        facts["options"] = read
        facts["schema"] = again(lambda: connection.adbc_current_db_schema)
        facts["unqualified"] = ask(SQL.replace("orders.", ""), 2)
        facts["zone"] = ask("SELECT now() AS t", 2, read=lambda table: table.schema.field("t").type.tz)

        def prepared():
            with connection.cursor() as cursor:
                cursor.adbc_prepare(SQL.replace("orders.", ""))
                cut(control)
                cursor.execute(SQL.replace("orders.", ""))
                return [[str(value) for value in row.values()] for row in cursor.fetch_arrow_table().to_pylist()]

        facts["prepared"] = [again(prepared) for _ in range(2)]
        cut(control)
        query("SET purpose = DEFAULT")
        facts["taken_back"] = ask(SQL, 2)
    return facts


def main(address, control, user):
    password = {"username": user, "password": user}
    token = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {os.environ['TOKEN']}"}
    purpose = {DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "purpose": "fraud"}
    facts = {
        "without_cookies": keeps_none(address, password),
        "by_header": keeps_none(address, {**password, **purpose}),
        "password": session(address, control, password),
        "token": session(address, control, token),
    }
    print(json.dumps(facts))


main(*sys.argv[1:])
