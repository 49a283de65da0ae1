"""Compares the gateway's answers with DuckDB's over a physically filtered and masked copy of the demo's tables.

usage: differential.py FLIGHT_URL MESH_DIRECTORY MASK_KEY

The copy is made here from the files, by pyiceberg and deltalake, with rules written by hand: nothing of the gateway's
(neither its policies nor its masks nor its readers) is used. Prints the number of compared answers.
"""

import datetime
import decimal
import sys

import adbc_driver_flightsql.dbapi as flightsql
import blake3
import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from pyiceberg.table import StaticTable

URL, MESH, KEY = sys.argv[1:]
LAKE = f"{MESH}/.portcullis/lake"
TEXT_KEY = blake3.blake3(KEY.encode(), derive_key_context="portcullis 2026-11-21 column mask: text").digest()


def iceberg(name):
    root = f"{LAKE}/{name.replace('.', '/')}/metadata"
    version = open(f"{root}/version-hint.text").read().strip()
    return StaticTable.from_metadata(f"file://{root}/v{version}.metadata.json").scan().to_arrow()


def delta(name):
    return pa.table(DeltaTable(f"{LAKE}/{name.replace('.', '/')}").to_pyarrow_table())


RAW = {
    "orders.order_events": iceberg("orders.order_events"),
    "orders.customer_orders_v1": iceberg("orders.customer_orders_v1"),
    "fintech_core.payment_transactions_enriched": iceberg("fintech_core.payment_transactions_enriched"),
    "customers.customer_profiles": delta("customers.customer_profiles"),
    "inventory.product_catalog": delta("inventory.product_catalog"),
}


# The masks, by hand.
def hashed(value):
    return None if value is None else blake3.blake3(value.encode(), key=TEXT_KEY).hexdigest(length=16)


def redacted_text(_):
    return "[redacted]"


def redacted_date(_):
    return datetime.date(1970, 1, 1)


def redacted_address(_):
    return {"street": "[redacted]", "city": "[redacted]", "postal_code": "[redacted]"}


def bucket(value):
    if value is None:
        return None
    whole = int(abs(value))
    kept = 0 if whole == 0 else whole // 10 ** (len(str(whole)) - 1) * 10 ** (len(str(whole)) - 1)
    kept = -kept if value < 0 else kept
    return decimal.Decimal(kept).quantize(decimal.Decimal("0.01")) if isinstance(value, decimal.Decimal) else kept


READER = {
    "orders.order_events": {"customer_id": hashed},
    "orders.customer_orders_v1": {"customer_id": hashed},
    "fintech_core.payment_transactions_enriched": {"customer_id": hashed, "card_last4": hashed, "iban": redacted_text},
    "customers.customer_profiles": {
        "customer_id": hashed, "name": redacted_text, "email": hashed, "phone": hashed, "birth_date": redacted_date,
        "address": redacted_address},
    "inventory.product_catalog": {},
}
MONEY = {
    "orders.order_events": {"amount": bucket},
    "orders.customer_orders_v1": {"price_usd_cents": bucket, "total_amount_usd_cents": bucket},
    "fintech_core.payment_transactions_enriched": {"amount": bucket},
}


# The rows, by hand.
def exempt(table, row):
    """What a forbid takes from everybody but the fraud desk."""
    if table == "customers.customer_profiles":
        return row["segment"] == "partner"
    return table == "fintech_core.payment_transactions_enriched" and row["is_flagged"] is True


def ana_rows(table, row):
    return table == "inventory.product_catalog" or (row["region"] == "EU" and not exempt(table, row))


def dev_rows(table, row):
    if table == "inventory.product_catalog":
        return True
    if table == "orders.order_events" and (row["coupon"] or "").startswith("WELCOME_"):
        return False
    return row["region"] in ("EU", "US", "APAC") and not exempt(table, row)


def all_rows(_table, _row):
    return True


PRINCIPALS = [
    ("ana", None, ana_rows, READER),
    ("ana", "fraud", ana_rows, READER),
    ("dev", None, dev_rows, {table: masks | MONEY.get(table, {}) for table, masks in READER.items()}),
    ("frida", None, all_rows, READER),
    ("frida", "fraud", all_rows, {table: {} for table in READER}),
]

QUERIES = [f"SELECT * FROM {table}" for table in RAW] + [
    "SELECT region, channel, count(*), sum(quantity), min(event_ts), max(event_ts) FROM orders.order_events GROUP BY 1, 2",
    "SELECT customer_id, sum(amount) AS total FROM orders.order_events WHERE event_type = 'paid' GROUP BY 1 HAVING sum(amount) > 500",
    "SELECT count(*) FROM orders.order_events WHERE amount > 1000 AND quantity BETWEEN 2 AND 4 AND coupon IS NULL",
    "SELECT order_id FROM orders.order_events WHERE customer_id LIKE 'C%' OR customer_id < '3'",
    "SELECT transaction_date, region, count(*), avg(risk_score) FROM fintech_core.payment_transactions_enriched WHERE transaction_date > DATE '2026-07-03' GROUP BY 1, 2",
    "SELECT * FROM fintech_core.payment_transactions_enriched WHERE region = 'US' AND status <> 'captured' AND (risk_score > 0.3 OR iban IS NOT NULL)",
    "SELECT c.segment, p.category, count(*) AS n, sum(o.total_amount_usd_cents) AS cents FROM orders.customer_orders_v1 o JOIN customers.customer_profiles c ON o.customer_id = c.customer_id JOIN inventory.product_catalog p ON o.product_id = p.product_id GROUP BY 1, 2",
    "SELECT e.order_id, t.transaction_id, t.amount - e.amount AS difference FROM orders.order_events e JOIN fintech_core.payment_transactions_enriched t ON e.order_id = t.order_id AND e.customer_id = t.customer_id WHERE e.event_type = 'paid'",
    "SELECT c.customer_id, c.email, o.order_id FROM customers.customer_profiles c LEFT JOIN orders.customer_orders_v1 o ON c.customer_id = o.customer_id AND o.quantity > 5",
    "SELECT customer_id FROM customers.customer_profiles WHERE customer_id NOT IN (SELECT customer_id FROM orders.customer_orders_v1)",
    "SELECT name, count(*) FROM customers.customer_profiles GROUP BY name HAVING count(*) > 1",
    "SELECT order_id, event_type, row_number() OVER (PARTITION BY order_id ORDER BY event_ts) AS place FROM orders.order_events",
    "SELECT order_id FROM orders.customer_orders_v1 EXCEPT SELECT order_id FROM fintech_core.payment_transactions_enriched WHERE status = 'captured'",
    "SELECT product_id, price, stock FROM inventory.product_catalog WHERE price > 250 OR stock = 0 OR supplier_id IS NULL",
    "SELECT min(birth_date), max(birth_date), count(DISTINCT phone), count(email) FROM customers.customer_profiles WHERE marketing_opt_in",
]


def plain(value):
    """A value without what differs between Arrow's and DuckDB's Python objects but not in meaning."""
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)).astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, float):
        return f"{value:.9g}"
    if isinstance(value, (decimal.Decimal, int)) and not isinstance(value, bool):
        return f"{decimal.Decimal(value).normalize():f}"
    if isinstance(value, dict):
        return str(sorted((str(key), str(item)) for key, item in value.items()))
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return str(sorted((str(key), str(item)) for key, item in value))
    return "NULL" if value is None else str(value)


def rows_of(table):
    columns = [table.column(at).to_pylist() for at in range(table.num_columns)]
    return sorted(tuple(plain(value) for value in row) for row in zip(*columns))


def masked_copy(rows_kept, masks):
    copy = duckdb.connect()
    copy.execute("SET TimeZone = 'UTC'")
    for name, raw in RAW.items():
        kept = [row for row in raw.to_pylist() if rows_kept(name, row)]
        for row in kept:
            for column, mask in masks[name].items():
                row[column] = mask(row[column])
        arrow = pa.Table.from_pylist(kept, schema=raw.schema)
        assert arrow.num_rows > 0, f"{name}: nothing to compare"
        copy.execute(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}")
        copy.register("filled", arrow)
        copy.execute(f"CREATE TABLE {name} AS SELECT * FROM filled")
        copy.unregister("filled")
    return copy


compared = 0
for user, purpose, rows_kept, masks in PRINCIPALS:
    options = {"username": user, "password": user}
    if purpose:
        options["adbc.flight.sql.rpc.call_header.purpose"] = purpose
    copy = masked_copy(rows_kept, masks)
    with flightsql.connect(URL, db_kwargs=options, autocommit=True) as gateway, gateway.cursor() as cursor:
        for query in QUERIES:
            cursor.execute(query)
            found, wanted = rows_of(cursor.fetch_arrow_table()), rows_of(copy.execute(query).to_arrow_table())
            if found != wanted:
                odd = sorted(set(found) ^ set(wanted))[:4]
                sys.exit(f"{user} {purpose or ''}: {query}\n{len(found)} rows, expected {len(wanted)}; such as {odd}")
            compared += 1
for user in ("petra", "audrey"):
    with flightsql.connect(URL, db_kwargs={"username": user, "password": user}, autocommit=True) as gateway:
        for table in RAW:
            with gateway.cursor() as cursor:
                try:
                    cursor.execute(f"SELECT count(*) FROM {table}")
                    sys.exit(f"{user} may query {table}: {cursor.fetchall()}")
                except flightsql.Error as error:
                    assert "permission denied" in str(error), error
                    compared += 1
print(compared)
