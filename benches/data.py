"""The benchmark's tables in the two formats of a mesh: Iceberg (written by pyiceberg) and Delta (written by deltalake), on local disk or in
a bucket.

`make(home, scale, which)` and `upload(home, scale, which, store)` are idempotent; they return
{table: {"format", "domain", "root", "metadata", "files", "schema", "rows"}}.
"""

import glob
import json
import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

import generated

# {set: {table: (domain, format, files at scale 1)}}
SETS = {
    "tpch": {
        "orders": ("sales", "iceberg", 4), "lineitem": ("sales", "iceberg", 8), "part": ("supply", "iceberg", 2),
        "partsupp": ("supply", "iceberg", 4), "customer": ("crm", "delta", 2), "nation": ("reference", "delta", 1),
        "region": ("reference", "delta", 1), "supplier": ("reference", "delta", 1),
    },
    "wide": {name: made[:3] for name, made in generated.WIDE.items()},
    "star": {name: made[:3] for name, made in generated.STAR.items()},
}
ROWS_OF_A_TABLE_AT_ONCE = 2.5  # scale factors in as many files as SETS says; larger tables have more files


def _tpch_parts(home, scale, table, files):
    """The generated files of a table, one after the other; they are deleted when all are read."""
    raw = f"{home}/raw/sf{scale}/{table}"
    shutil.rmtree(raw, ignore_errors=True)
    tool = os.path.join(os.path.dirname(sys.executable), "tpchgen-cli")
    count = files if files == 1 else max(files, round(files * scale / ROWS_OF_A_TABLE_AT_ONCE))
    subprocess.run([tool, "parquet", "-s", str(scale), "-T", table, "--parts", str(count), "-o", raw,
                    "--no-progress", "-q", "-c", "ZSTD(1)", "--field-ids", "false"], check=True)
    parts = sorted(glob.glob(f"{raw}/**/*.parquet", recursive=True))
    assert parts, f"no generated files for {table}"
    for part in parts:
        yield pq.read_table(part)
    shutil.rmtree(raw)


def _plain(table):
    """String views and large types as plain ones; every column nullable."""
    fields = []
    for field in table.schema:
        kind = field.type
        if pa.types.is_string_view(kind) or pa.types.is_large_string(kind):
            kind = pa.string()
        fields.append(pa.field(field.name, kind))
    return table.cast(pa.schema(fields))


def _iceberg(catalogue, domain, table, parts, location=None):
    """Writes each part as a file, all in one snapshot; the table as it is then."""
    catalogue.create_namespace_if_not_exists(domain)
    if (domain, table) in catalogue.list_tables(domain):  # what an interrupted run left
        catalogue.drop_table((domain, table))
    parts = map(_plain, parts)
    first = next(parts)
    made = catalogue.create_table((domain, table), schema=first.schema, location=location,
                                  properties={"format-version": "2", "write.parquet.compression-codec": "zstd"})
    with made.transaction() as change:
        change.append(first)
        for part in parts:
            change.append(part)
    made = catalogue.load_table((domain, table))
    files = made.inspect.files()
    return {"metadata": made.metadata_location, "rows": sum(files["record_count"].to_pylist()), "root": made.location(),
            "files": [path.removeprefix("file://") for path in files["file_path"].to_pylist()],
            "schema": [[field.name, str(field.type)] for field in first.schema]}


def _delta(root, parts, options=None):
    from deltalake import DeltaTable, write_deltalake

    rows, schema = 0, None
    for part in map(_plain, parts):
        write_deltalake(root, part, mode="append" if rows else "overwrite", storage_options=options)
        rows, schema = rows + part.num_rows, part.schema
    files = [file.removeprefix("file://") for file in DeltaTable(root, storage_options=options).file_uris()]
    return {"metadata": root, "root": root, "rows": rows, "schema": [[field.name, str(field.type)] for field in schema],
            "files": [file if file.startswith("/") or "://" in file else f"{root}/{file}" for file in files]}


def _write(report, which, write):
    """What `write(table, domain, format, files)` says of each table of the set, kept in `report`: tables that it names are there already."""
    out = json.load(open(report)) if os.path.exists(report) else {}
    for table, (domain, kind, files) in SETS[which].items():
        if table in out:
            continue
        print(f"writing {table} (once) …", file=sys.stderr, flush=True)
        out[table] = {"domain": domain, "format": kind} | write(table, domain, kind, files)
        with open(f"{report}.new", "w") as new:
            json.dump(out, new, indent=1)
        os.rename(f"{report}.new", report)
    return out


def make(home, scale, which):
    """The tables of a set on local disk."""
    from pyiceberg.catalog import load_catalog

    lake = f"{home}/lake/sf{scale}"
    os.makedirs(lake, exist_ok=True)
    catalogue = load_catalog("bench", type="sql", uri=f"sqlite:///{lake}/catalogue.db", warehouse=f"file://{lake}")

    def write(table, domain, kind, files):
        parts = _tpch_parts(home, scale, table, files) if which == "tpch" else generated.parts(table, scale)
        root = f"{lake}/{domain}/{table}"
        shutil.rmtree(root, ignore_errors=True)
        if kind == "iceberg":
            return _iceberg(catalogue, domain, table, parts, f"file://{root}") | {"root": root}
        os.makedirs(root)
        return _delta(root, parts)

    return _write(f"{lake}/{which}.json", which, write)


def upload(home, scale, which, store):
    """The same tables in a bucket: Iceberg through the store's REST catalogue, Delta by location, as many files."""
    local, catalogue = make(home, scale, which), store.catalogue()

    def write(table, domain, kind, _):
        parts = (pq.read_table(file) for file in sorted(local[table]["files"]))
        if kind == "iceberg":
            return _iceberg(catalogue, domain, table, parts)
        return _delta(f"s3://delta/lake/{domain}/{table}", parts, store.options() | {"aws_conditional_put": "etag"})

    return _write(f"{store.home}/{which}-sf{scale}.json", which, write)
