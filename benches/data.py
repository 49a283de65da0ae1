"""TPC-H tables in the two formats of a mesh: Iceberg (written by pyiceberg) and Delta (written by deltalake), on local disk.

`make(home, scale)` is idempotent; it returns {table: {"format", "domain", "root", "metadata", "files", "schema", "rows"}}.
"""

import glob
import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ICEBERG = {"orders": "sales", "lineitem": "sales", "part": "supply", "partsupp": "supply"}
DELTA = {"customer": "crm", "nation": "reference", "region": "reference", "supplier": "reference"}
DOMAIN = {**ICEBERG, **DELTA}
PARTS = {"lineitem": 8, "orders": 4, "partsupp": 4, "part": 2, "customer": 2}


def _generate(raw, scale):
    tool = os.path.join(os.path.dirname(sys.executable), "tpchgen-cli")
    for table in DOMAIN:
        if os.path.isdir(f"{raw}/{table}"):
            continue
        fresh = f"{raw}/{table}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        subprocess.run([tool, "parquet", "-s", str(scale), "-T", table, "--parts", str(PARTS.get(table, 1)), "-o", fresh,
                        "--no-progress", "-q", "-c", "ZSTD(1)", "--field-ids", "false"], check=True)
        os.rename(f"{fresh}/{table}", f"{raw}/{table}")
        shutil.rmtree(fresh, ignore_errors=True)


def _plain(table):
    """String views and large types as plain ones; every column nullable."""
    fields = []
    for field in table.schema:
        kind = field.type
        if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
            kind = pa.string()
        fields.append(pa.field(field.name, kind))
    return table.cast(pa.schema(fields))


def make(home, scale):
    raw, lake = f"{home}/raw/sf{scale}", f"{home}/lake/sf{scale}"
    report = f"{lake}/report.json"
    if os.path.exists(report):
        return json.load(open(report))
    print(f"generating TPC-H at scale {scale} (once) …", file=sys.stderr, flush=True)
    _generate(raw, scale)
    shutil.rmtree(lake, ignore_errors=True)
    os.makedirs(lake)
    from deltalake import DeltaTable, write_deltalake
    from pyiceberg.catalog import load_catalog

    catalogue = load_catalog("bench", type="sql", uri=f"sqlite:///{lake}/catalogue.db", warehouse=f"file://{lake}")
    out = {}
    for table, domain in DOMAIN.items():
        parts = sorted(glob.glob(f"{raw}/{table}/**/*.parquet", recursive=True))
        assert parts, f"no generated files for {table}"
        root = f"{lake}/{domain}/{table}"
        schema = _plain(pq.read_table(parts[0]).slice(0, 0)).schema
        entry = {"domain": domain, "root": root, "schema": [[f.name, str(f.type)] for f in schema], "rows": 0}
        if table in ICEBERG:
            catalogue.create_namespace_if_not_exists(domain)
            made = catalogue.create_table((domain, table), schema=schema, location=f"file://{root}",
                                          properties={"format-version": "2", "write.parquet.compression-codec": "zstd"})
            with made.transaction() as change:
                for part in parts:
                    change.append(_plain(pq.read_table(part)))
            made = catalogue.load_table((domain, table))
            files = made.inspect.files()
            entry |= {"format": "iceberg", "metadata": made.metadata_location, "rows": sum(files["record_count"].to_pylist()),
                      "files": [p.removeprefix("file://") for p in files["file_path"].to_pylist()]}
        else:
            os.makedirs(root)
            for part in parts:
                data = _plain(pq.read_table(part))
                entry["rows"] += data.num_rows
                write_deltalake(root, data, mode="append")
            entry |= {"format": "delta", "metadata": root,
                      "files": [f if f.startswith("/") else f"{root}/{f}" for f in DeltaTable(root).file_uris()]}
            entry["files"] = [f.removeprefix("file://") for f in entry["files"]]
        out[table] = entry
        print(f"  {table}: {entry['rows']} rows, {len(entry['files'])} files", file=sys.stderr, flush=True)
    json.dump(out, open(report, "w"), indent=1)
    return out
