"""pyarrow.flight behind a balancer that hands each connection to another replica.

usage: pyarrow_replicas.py HOST:PORT CONTROL USER      (connecting to CONTROL cuts all connections)
"""

import json
import socket
import sys
import time

import pyarrow.flight as flight
from pyarrow_flight import statement

SQL = "SELECT customer_id FROM orders.order_events ORDER BY order_id LIMIT 20"


class Cookies(flight.ClientMiddlewareFactory):
    """Keeps the cookies that a server sets, and sends them with every call."""

    def __init__(self):
        self.cookies = {}

    def start_call(self, info):
        return Call(self.cookies)


class Call(flight.ClientMiddleware):
    def __init__(self, cookies):
        self.cookies = cookies

    def sending_headers(self):
        text = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"cookie": text} if text else {}

    def received_headers(self, headers):
        for cookie in headers.get("set-cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)


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
        except flight.FlightUnavailableError:
            time.sleep(0.05)
    return call()


def query(client, options, sql):
    def run():
        info = client.get_flight_info(statement(sql), options)
        return client.do_get(info.endpoints[0].ticket, options).read_all()

    return [[str(value) for value in row.values()] for row in again(run).to_pylist()]


def main(address, control, user):
    facts = {}

    def ask(client, options, times):
        answers = []
        for _ in range(times):
            cut(control)
            answers.append(query(client, options, SQL))
        return answers

    client = flight.connect(f"grpc://{address}")
    token = client.authenticate_basic_token(user, user)
    facts["by_header"] = ask(client, flight.FlightCallOptions(headers=[token, (b"purpose", b"fraud")]), 4)
    try:
        query(client, flight.FlightCallOptions(headers=[token]), "SET purpose = 'fraud'")
    except (flight.FlightError, NotImplementedError) as error:
        facts["without_cookies"] = str(error)

    client = flight.connect(f"grpc://{address}", middleware=[Cookies()])
    options = flight.FlightCallOptions(headers=[client.authenticate_basic_token(user, user)])
    query(client, options, "SET purpose = 'fraud'")
    facts["with_cookies"] = ask(client, options, 4)
    cut(control)
    query(client, options, "SET purpose = DEFAULT")
    facts["taken_back"] = ask(client, options, 2)
    print(json.dumps(facts))


main(*sys.argv[1:])
