"""The ADBC driver through Python's DBAPI, and what reads from that: pandas and polars.

usage: adbc_dbapi.py HOST:PORT USER [PURPOSE]      (the password is the user's name, as in the demo)
"""

import datetime
import decimal
import json
import sys
import warnings

import adbc_driver_flightsql.dbapi as flightsql
import pandas
import polars
from adbc_driver_flightsql import DatabaseOptions

SQL = "SELECT order_id, customer_id, region, quantity, amount FROM orders.order_events ORDER BY order_id LIMIT 20"
ENDLESS = "SELECT g.value, e.* FROM generate_series(1, 1000000) g CROSS JOIN orders.order_events e"
BERLIN = datetime.timezone(datetime.timedelta(hours=2))

# What is bound, the type it is cast to, and what must come back.
PARAMETERS = [
    ("text", "VARCHAR", "Grüße 🦀 'quoted'"),
    ("int", "INT", 42),
    ("bigint", "BIGINT", 2**53 + 1),
    ("double", "DOUBLE", 0.1),
    ("boolean", "BOOLEAN", True),
    ("decimal", "DECIMAL(12,2)", decimal.Decimal("1234567.89")),
    ("date", "DATE", datetime.date(2024, 2, 29)),
    ("timestamp", "TIMESTAMP", datetime.datetime(2024, 3, 31, 1, 30, 0, 123456)),
    ("null", "VARCHAR", None),
]


def connect(address, user, password, purpose, **more):
    options = {"username": user, "password": password, **more}
    if purpose:
        options[DatabaseOptions.RPC_CALL_HEADER_PREFIX.value + "purpose"] = purpose
    warnings.filterwarnings("ignore", message="Cannot disable autocommit")
    return flightsql.connect(f"grpc://{address}", db_kwargs=options)


def objects(connection, **filters):
    """The tables of a catalogue listing, as schema.table: [columns]."""
    listing = connection.adbc_get_objects(depth="all", **filters).read_all().to_pylist()
    return {
        f"{schema['db_schema_name']}.{table['table_name']}": [column["column_name"] for column in table["table_columns"]]
        for catalog in listing
        for schema in catalog["catalog_db_schemas"] or []
        for table in schema["db_schema_tables"] or []
    }


def main(address, user, purpose=None):
    facts = {}
    try:
        connect(address, user, "not the password", purpose)
    except flightsql.Error as error:
        facts["wrong_password"] = str(error)

    with connect(address, user, user, purpose) as connection, connection.cursor() as cursor:
        cursor.execute(SQL)
        facts["rows"] = [[str(value) for value in row] for row in cursor.fetchall()]

        cursor.execute(SQL)
        frame = cursor.fetch_df()
        facts["pandas"] = [list(frame.columns), [str(kind) for kind in frame.dtypes], len(frame)]
        frame = polars.read_database(SQL, connection)
        facts["polars"] = [frame.columns, [str(kind) for kind in frame.dtypes], frame.height]
        facts["pandas_read_sql"] = len(pandas.read_sql("SELECT DISTINCT region FROM orders.order_events", connection))

        cursor.execute("SELECT event_ts FROM orders.order_events ORDER BY order_id LIMIT 1")
        instant = cursor.fetchone()[0]
        facts["instant_has_zone"] = instant.utcoffset() == datetime.timedelta(0)

        bound = {}
        for name, kind, value in PARAMETERS:
            cursor.execute(f"SELECT CAST(? AS {kind}) AS x", (value,))
            bound[name] = cursor.fetchone()[0] == value
        facts["parameters"] = bound
        # Announced as text, and so returned, whatever is bound.
        untyped = {}
        for name, _, value in PARAMETERS:
            cursor.execute("SELECT ? AS x", (value,))
            untyped[name] = cursor.fetchone()[0]
        facts["untyped"] = untyped
        cursor.execute("SELECT count(*) FROM orders.order_events WHERE region = ? AND quantity > ?", ("EU", 1))
        facts["filtered"] = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM orders.order_events WHERE event_ts >= ?", (instant.astimezone(BERLIN),))
        facts["since"] = cursor.fetchone()[0]
        facts["no_parameters"] = [field.name for field in cursor.adbc_prepare("SELECT 1 AS one") or []]

        facts["objects"] = objects(connection)
        facts["objects_by_pattern"] = objects(connection, db_schema_filter="ord%", table_name_filter=r"order\_events")
        facts["table_types"] = connection.adbc_get_table_types()
        facts["info"] = connection.adbc_get_info()["vendor_name"]
        table = connection.adbc_get_table_schema("order_events", db_schema_filter="orders")
        facts["table_schema"] = [f"{column.name}: {column.type}" for column in table]

        refused = {
            "refused": "DELETE FROM orders.order_events",
            "unparsable": "SELEKT 1",
            "no_table": "SELECT * FROM orders.nowhere",
            "set_without_cookies": "SET purpose = 'fraud'",
        }
        for name, sql in refused.items():
            try:
                cursor.execute(sql)
            except flightsql.Error as error:
                facts[name] = str(error)

    cookies = {DatabaseOptions.WITH_COOKIE_MIDDLEWARE.value: "true"}
    with connect(address, user, user, purpose, **cookies) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.execute("SET schema = 'orders'")
        cursor.execute(SQL.replace("orders.", ""))
        facts["session"] = [[str(value) for value in row] for row in cursor.fetchall()]
        cursor.execute(ENDLESS)
        reader = cursor.fetch_record_batch()
        reader.read_next_batch()
        cursor.adbc_cancel()
        try:
            for _ in reader:
                pass
        except (flightsql.Error, OSError) as error:
            facts["cancelled"] = f"{type(error).__name__}: {error}"
    print(json.dumps(facts))


main(*sys.argv[1:])
