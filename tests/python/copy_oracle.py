"""Compares answers with DuckDB's over copies of the tables from which everything hidden was taken out.

usage: copy_oracle.py CASES

CASES is JSON: for each principal the copies (Parquet) and statements with the rows that the gateway answered, each row as text.
Prints the number of statements that both answered alike; fails where they differ, unless plain DataFusion over the same copy
confirms the gateway's answer.
"""

import datetime
import decimal
import json
import re
import sys

import duckdb

NUMBER = re.compile(r"-?\d+(\.\d+)?")
INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?")


def plain(text):
    """Without what engines write in different ways and mean the same by."""
    if NUMBER.fullmatch(text):
        return f"{decimal.Decimal(text).normalize():f}".replace("-0", "0") if decimal.Decimal(text) == 0 else f"{decimal.Decimal(text).normalize():f}"
    if instant := INSTANT.fullmatch(text):
        fraction = (instant[2] or "").rstrip("0")
        return f"{instant[1]}.{fraction}" if fraction else instant[1]
    return text


def shown(value):
    if value is None:
        return "∅"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return str(value)


def text_of(row):
    return " | ".join(plain(part) for part in row)


compared = 0
for case in json.load(open(sys.argv[1])):
    database = duckdb.connect()
    database.execute("SET TimeZone = 'UTC'")
    for name, path in case["tables"].items():
        database.execute(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}")
        database.execute(f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{path}')")
    for query in case["queries"]:
        try:
            rows = database.execute(query["sql"]).fetchall()
        except duckdb.Error as error:
            print(f"not DuckDB's: {str(error).splitlines()[0]}: {query['sql']}", file=sys.stderr)
            continue
        wanted = sorted(text_of([shown(value) for value in row]) for row in rows)
        found = sorted(text_of(row.split(" | ")) for row in query["rows"])
        if found != wanted:
            odd = sorted(set(found) ^ set(wanted))[:4]
            if query["confirmed"]:
                print(f"DuckDB means something else: {query['sql']}", file=sys.stderr)
                continue
            sys.exit(f"{case['name']}: {query['sql']}\n{len(found)} rows, expected {len(wanted)}; such as {odd}")
        compared += 1
print(compared)
