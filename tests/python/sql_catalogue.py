"""Registers the demo's Iceberg tables in an SQL catalogue, as pyiceberg keeps it.

usage: sql_catalogue.py URI MESH_DIRECTORY
"""

import sys

from pyiceberg.catalog.sql import SqlCatalog

URI, MESH = sys.argv[1:]
LAKE = f"{MESH}/.portcullis/lake"

catalog = SqlCatalog("gold", uri=URI, warehouse=f"file://{LAKE}")
for name in ("orders.order_events", "orders.customer_orders_v1", "fintech_core.payment_transactions_enriched"):
    root = f"{LAKE}/{name.replace('.', '/')}/metadata"
    version = open(f"{root}/version-hint.text").read().strip()
    catalog.create_namespace_if_not_exists(name.split(".")[0])
    catalog.register_table(name, f"file://{root}/v{version}.metadata.json")
