"""Puts the demo's order events into a Nessie: on `main`, and once more on a branch `fix` that is made of it.

usage: nessie.py URI S3_ENDPOINT KEY SECRET MESH_DIRECTORY
"""

import json
import sys
import urllib.request

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.table import StaticTable

URI, S3, KEY, SECRET, MESH = sys.argv[1:]
NAME = "orders.order_events"


def catalog(branch):
    return RestCatalog(branch, **{
        "uri": f"{URI}/iceberg/{branch}", "warehouse": "gold", "s3.endpoint": S3, "s3.access-key-id": KEY,
        "s3.secret-access-key": SECRET, "s3.region": "us-east-1", "s3.path-style-access": "true",
        "s3.remote-signing-enabled": "false", "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO"})


def nessie(path, body=None):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{URI}/api/v2/{path}", data, {"content-type": "application/json"})
    return json.load(urllib.request.urlopen(request))


root = f"{MESH}/.portcullis/lake/{NAME.replace('.', '/')}/metadata"
version = open(f"{root}/version-hint.text").read().strip()
local = StaticTable.from_metadata(f"file://{root}/v{version}.metadata.json")
rows = local.scan().to_arrow()
main = catalog("main")
main.create_namespace("orders")
table = main.create_table(NAME, schema=local.schema(), partition_spec=local.spec())
table.append(rows)

head = nessie("trees/main")["reference"]
nessie("trees?name=fix&type=BRANCH", head)
catalog("fix").load_table(NAME).append(rows)
nessie("trees?name=release&type=TAG", nessie("trees/fix")["reference"])
print(json.dumps({branch: catalog(branch).load_table(NAME).current_snapshot().snapshot_id for branch in ("main", "fix")}))
