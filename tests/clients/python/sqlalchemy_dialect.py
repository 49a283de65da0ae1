"""SQLAlchemy through the dialect sqlalchemy-adbc; ibis and pandas on top of what it and ADBC read.

usage: sqlalchemy_dialect.py HOST:PORT USER [PURPOSE]      (the password is the user's name, as in the demo)
"""

import json
import sys
import warnings

import adbc_driver_flightsql.dbapi as flightsql
import ibis
import pandas
import sqlalchemy
from adbc_driver_flightsql import DatabaseOptions
from sqlalchemy import func, select, text

SQL = "SELECT order_id, customer_id, region, quantity, amount FROM orders.order_events ORDER BY order_id LIMIT 20"


def engine(address, user, password, purpose):
    parameters = {"tls": "false", "username": user, "password": password}
    if purpose:
        parameters["header.purpose"] = purpose
    host, port = address.split(":")
    url = sqlalchemy.URL.create("adbc+flightsql", host=host, port=int(port), query=parameters)
    return sqlalchemy.create_engine(url)


def message(run):
    try:
        run()
    except sqlalchemy.exc.SQLAlchemyError as error:
        return str(error)
    return "no error"


def through_ibis(address, user, purpose):
    """ibis has no back end for Flight SQL: it works on what ADBC has read."""
    options = {"username": user, "password": user}
    if purpose:
        options[DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "purpose"] = purpose
    with flightsql.connect(f"grpc://{address}", db_kwargs=options) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT region, quantity, amount FROM orders.order_events")
        events = ibis.memtable(cursor.fetch_arrow_table())
    by_region = events.group_by("region").agg(orders=events.count(), amount=events.amount.sum())
    return [[row["region"], row["orders"], str(row["amount"])] for row in by_region.order_by("region").to_pyarrow().to_pylist()]


def main(address, user, purpose=None):
    warnings.filterwarnings("ignore", message="Cannot disable autocommit")
    facts = {"wrong_password": message(lambda: engine(address, user, "wrong", None).connect())}
    source = engine(address, user, user, purpose)
    with source.connect() as connection:
        facts["rows"] = [[str(value) for value in row] for row in connection.execute(text(SQL))]
        bound = text("SELECT count(*) FROM orders.order_events WHERE region = :region AND quantity > :quantity")
        facts["filtered"] = connection.execute(bound, {"region": "EU", "quantity": 1}).scalar_one()
        facts["no_table"] = message(lambda: connection.execute(text("SELECT * FROM orders.nowhere")))
    with source.connect() as connection:
        facts["refused"] = message(lambda: connection.execute(text("DELETE FROM orders.order_events")))

    inspector = sqlalchemy.inspect(source)
    facts["schemas"] = inspector.get_schema_names()
    facts["has_table"] = [inspector.has_table(name, schema="orders") for name in ["order_events", "nowhere"]]
    events = sqlalchemy.Table("order_events", sqlalchemy.MetaData(), schema="orders", autoload_with=source)
    facts["columns"] = {column.name: str(column.type) for column in events.columns}
    query = (
        select(events.c.region, func.count().label("orders"), func.sum(events.c.amount).label("amount"))
        .where(events.c.quantity > 1, events.c.region.in_(["EU", "US"]))
        .group_by(events.c.region)
        .order_by(events.c.region)
    )
    with source.connect() as connection:
        facts["expression"] = [[row.region, row.orders, f"{row.amount:.2f}"] for row in connection.execute(query)]
    facts["pandas"] = list(pandas.read_sql(query, source).columns)
    facts["ibis"] = through_ibis(address, user, purpose)
    print(json.dumps(facts))


main(*sys.argv[1:])
