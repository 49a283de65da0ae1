"""Puts the demo's tables into an object store: Iceberg through its REST catalogue, customers' Delta table by location.

usage: seaweed.py S3_ENDPOINT REST_URI KEY SECRET MESH_DIRECTORY
"""

import sys

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import StaticTable

S3, REST, KEY, SECRET, MESH = sys.argv[1:]
LAKE = f"{MESH}/.portcullis/lake"

catalog = RestCatalog("rest", **{
    "uri": REST, "warehouse": "s3://iceberg/", "credential": f"{KEY}:{SECRET}", "scope": "catalog",
    "oauth2-server-uri": f"{REST}/v1/oauth/tokens", "s3.endpoint": S3, "s3.access-key-id": KEY,
    "s3.secret-access-key": SECRET, "s3.region": "us-east-1", "s3.path-style-access": "true"})
for name in ("orders.order_events", "orders.customer_orders_v1", "fintech_core.payment_transactions_enriched"):
    root = f"{LAKE}/{name.replace('.', '/')}/metadata"
    version = open(f"{root}/version-hint.text").read().strip()
    local = StaticTable.from_metadata(f"file://{root}/v{version}.metadata.json")
    catalog.create_namespace_if_not_exists(name.split(".")[0])
    table = catalog.create_table(name, schema=local.schema(), partition_spec=local.spec())
    rows = local.scan().to_arrow()
    half = rows.num_rows // 2
    table.append(rows.slice(0, half))
    table.append(rows.slice(half))

options = {"AWS_ENDPOINT_URL": S3, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1",
           "AWS_ALLOW_HTTP": "true", "AWS_S3_ALLOW_UNSAFE_RENAME": "true"}
profiles = pa.table(DeltaTable(f"{LAKE}/customers/customer_profiles").to_pyarrow_table())
write_deltalake("s3://delta/lake/customers/customer_profiles", profiles, storage_options=options)
