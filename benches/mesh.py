"""A mesh directory over the benchmark's tables: one contract a table, a user `bench` who sees everything through policies, a user
`analyst` with row filters and masks (20 % of customers with hashed names and partial phones; two of five order priorities, comments hidden),
and a user `reader` with the same row filters and of masks only the hidden comments: what somebody can write by hand, as `BY_HAND` does."""

import os
import shutil

TYPES = {"int64": "long", "int32": "int", "string": "string", "date32[day]": "date", "timestamp[us]": "timestamp"}
MASKS = {("customer", "c_name"): "hash", ("customer", "c_phone"): "partial", ("orders", "o_comment"): "null"}

# What `reader` sees of these tables, as somebody who sees everything would write it.
CUSTOMERS = "c_mktsegment = 'BUILDING'"
ORDERS = "o_orderpriority IN ('1-URGENT', '2-HIGH')"
BY_HAND = {
    "customer": f"(SELECT * FROM crm.customer WHERE {CUSTOMERS}) AS customer",
    "orders": "(SELECT o_orderkey, o_custkey, o_orderstatus, o_totalprice, o_orderdate, o_orderpriority, o_clerk, o_shippriority, "
              f"CAST(NULL AS VARCHAR) AS o_comment FROM sales.orders WHERE {ORDERS}) AS orders",
}

ALL = """
@id("bench-tables")
permit(principal in Group::"benchers", action in [Action::"discover", Action::"query"], resource);

@id("bench-rows")
permit(principal in Group::"benchers", action == Action::"readRow", resource);

@id("bench-columns")
permit(principal in Group::"benchers", action in [Action::"viewClear"], resource);
"""

POLICIES = ALL + """
@id("analyst-tables")
permit(principal in Group::"filtered", action in [Action::"discover", Action::"query"], resource);

@id("analyst-rows")
permit(principal in Group::"filtered", action == Action::"readRow", resource)
unless { resource is Row::crm_customer || resource is Row::sales_orders };

@id("analyst-customers")
permit(principal in Group::"filtered", action == Action::"readRow", resource is Row::crm_customer)
when { resource has c_mktsegment && resource.c_mktsegment == "BUILDING" };

@id("analyst-orders")
permit(principal in Group::"filtered", action == Action::"readRow", resource is Row::sales_orders)
when { resource has o_orderpriority && ["1-URGENT", "2-HIGH"].contains(resource.o_orderpriority) };

@id("analyst-columns")
permit(principal in Group::"analysts", action in Action::"view", resource);

@id("reader-columns")
permit(principal in Group::"readers", action == Action::"viewClear", resource)
unless { resource == Column::"sales.orders.o_comment" };

@id("reader-comments")
permit(principal in Group::"readers", action == Action::"viewNull", resource == Column::"sales.orders.o_comment");
"""

VOCABULARY = "groups:\n  benchers: {}\n  filtered: {}\n  analysts: {parents: [filtered]}\n  readers: {parents: [filtered]}\npurposes: [benchmark]\n"

USERS = {"bench": "benchers", "analyst": "analysts", "reader": "readers"}


def _contract(table, entry):
    lines = ["apiVersion: datamesh.io/v1", "kind: DataProduct", "metadata:", f"  name: {table}", f"  domain: {entry['domain']}",
             "  version: 1.0.0", "  owner: benchmark", "outputPorts:", "  - name: table", f"    type: {entry['format']}-table",
             f"    connection: {entry['format']}", f"    table: {entry['domain']}.{table}", "schema:", "  fields:"]
    for name, kind in entry["schema"]:
        kind = TYPES.get(kind) or kind.replace("decimal128", "decimal")
        lines += [f"    - name: {name}", f"      type: \"{kind}\""]
        if (table, name) in MASKS:
            lines += [f"      constraints: {{pii: true, masking: {MASKS[table, name]}}}"]
    return "\n".join(lines) + "\n"


def many(count):
    """As many made-up tables, in domains of twenty, of a dozen columns each: contracts to start with, not data to read."""
    schema = [["id", "int64"], ["day", "date32[day]"], ["amount", "decimal128(15, 2)"]] + [[f"text_{n}", "string"] for n in range(9)]
    formats = ("iceberg", "delta")
    return {f"table_{n:04}": {"domain": f"domain_{n // 20:02}", "format": formats[n % 2], "schema": schema} for n in range(count)}


def directory(lake):
    """The connections of a lake on local disk."""
    return "connections:\n" + "".join(f"  {name}:\n    type: directory\n    url: file://{lake}\n" for name in ("iceberg", "delta"))


def limits(folder, memory):
    """The configuration of a gateway whose queries may use that much memory, one of them all of it."""
    return f'\n[limits]\nmemory = "{memory}"\nquery_memory = "{memory}"\nspill_dir = "{folder}/spill"\n'


def write(folder, tables, hashes, connections, policies=POLICIES, secrets=None, more=""):
    """`hashes`: {user: argon2 hash}; `connections`: the text of connections.yaml, which may name `secrets`: {file: text}; `more`: further
    configuration."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/policies")
    files = {"catalogs/connections.yaml": connections, "policies/bench.cedar": policies, "policies/vocabulary.yaml": VOCABULARY,
             "users.yaml": "users:\n" + "".join(f"  {user}:\n    password: \"{hashes[user]}\"\n    groups: [{group}]\n" for user, group in USERS.items()),
             "portcullis.toml": '[listen]\nflight = "127.0.0.1:0"\n\n[identity]\nusers = "users.yaml"\n' + more, **(secrets or {})}
    files |= {f"catalogs/{entry['domain']}/{table}.yaml": _contract(table, entry) for table, entry in tables.items()}
    for name, text in files.items():
        os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
        with open(f"{folder}/{name}", "w") as out:
            out.write(text)
