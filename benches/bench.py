"""Portcullis through Flight SQL against other engines on the same tables in the same run.

Prints one JSON document and a Markdown report of ratios. `cargo xtask bench` builds the release binary, makes the environment and calls this.
"""

import argparse
import json
import os
import signal
import sys
import time
from contextlib import ExitStack

import data
import measure
import mesh
import servers
from engines import Flight, InProcess, Trino
from report import OURS, SETS, report

REST = 5  # seconds
POLICIES = "portcullis, policies"
MEASURES = ["tpch", "transfer", "latency", "stages", "startup", "concurrency", "governed"]


def options():
    parser = argparse.ArgumentParser(prog="cargo xtask bench", description=__doc__.split("\n")[0])
    parser.add_argument("--binary", required=True, help="the release binary (xtask says it)")
    parser.add_argument("--home", required=True, help="folder for data, servers and results, kept between runs (xtask says it)")
    parser.add_argument("--store", choices=["file", "s3"], default="file", help="where the tables are: local disk, or SeaweedFS, which is started")
    parser.add_argument("--peers", action="store_true", help="also DuckDB and Sail")
    parser.add_argument("--trino", action="store_true", help="also Trino: a gigabyte from Maven, Java 24 or newer; with --store s3 only")
    parser.add_argument("--engines", nargs="*", choices=["portcullis", "analyst", "datafusion", "duckdb", "sail", "trino"],
                        help="only these; analyst is one from whom portcullis hides rows; not datafusion with --store s3")
    parser.add_argument("--only", nargs="*", default=MEASURES, choices=[*MEASURES, "wide", "star"],
                        help="what is measured; `wide` (scans of a table of 57 columns) and `star` (joins of two sales channels) only if named")
    parser.add_argument("--queries", nargs="*", help="of tpch, wide and star only these, such as q18 w06")
    parser.add_argument("--scale", type=float, default=1, help="of the tables")
    parser.add_argument("--memory", help="a limit such as '8 GiB' for queries of ours, DataFusion and DuckDB, which spill beyond it")
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many counts")
    parser.add_argument("--seconds", type=float, default=5, help="of each concurrency measurement")
    parser.add_argument("--count", type=int, default=300, help="of latency samples")
    chosen = parser.parse_args()
    chosen.scale = int(chosen.scale) if chosen.scale == int(chosen.scale) else chosen.scale
    if chosen.memory:
        chosen.memory = chosen.memory.replace("GiB", " GiB").replace("MiB", " MiB").replace("  ", " ")
    if chosen.engines is None:
        chosen.engines = [OURS, "analyst"] + (["datafusion"] if chosen.store == "file" else []) + (["duckdb", "sail"] if chosen.peers else [])
        chosen.engines += ["trino"] if chosen.trino else []
    if chosen.engines[:1] != [OURS]:
        parser.error("the first engine is portcullis: all others are compared with it")
    if chosen.store == "file" and "trino" in chosen.engines:
        parser.error("Trino reads the tables from a store: add `--store s3`")
    if chosen.store == "s3" and "datafusion" in chosen.engines:
        parser.error("plain DataFusion reads local files: leave out `--store s3`")
    return chosen


class Run:
    """The tables, and the engines over them; what is started ends with `stack`."""

    def __init__(self, a, stack):
        self.a, self.stack, self.store = a, stack, None
        if a.store == "s3":
            self.store = servers.Store(f"{a.home}/weed")
            stack.callback(self.store.process.terminate)
        wanted = {which for which in SETS if which in a.only} | ({"tpch"} if set(a.only) - {"wide", "star", "startup"} else set())
        made = [data.upload(a.home, a.scale, which, self.store) if self.store else data.make(a.home, a.scale, which) for which in SETS if which in wanted]
        self.tables = {name: entry for tables in made for name, entry in tables.items()}
        self.names = {name: f"{entry['domain']}.{name}" for name, entry in self.tables.items()}
        self.hashes = servers.hashes(a.binary)
        self.engines = {}
        for name in a.engines:
            getattr(self, name)()

    def serve(self, level="warn"):
        a, folder = self.a, f"{self.a.home}/mesh-sf{self.a.scale}-{level}"
        connections, secrets = self.store.connections() if self.store else (mesh.directory(f"{a.home}/lake/sf{a.scale}"), None)
        policies = mesh.POLICIES if "customer" in self.tables else mesh.ALL
        mesh.write(folder, self.tables, self.hashes, connections, policies, secrets, mesh.limits(folder, a.memory) if a.memory else "")
        process, uri = servers.start_ours(a.binary, folder, f"{a.home}/serve-{level}.log", level)
        self.stack.callback(process.terminate)
        return lambda user, names=self.names: Flight(uri, process.pid, names, user, user)

    def portcullis(self):
        self.connect = self.serve()
        self.engines[OURS] = self.connect("bench")

    def analyst(self):
        if "customer" in self.tables:  # policies are about TPC-H's tables
            self.engines[POLICIES] = self.connect("analyst")

    def in_process(self, kind, **more):
        memory = {"memory": self.a.memory, "spill": f"{self.a.home}/spill-{kind}"} if self.a.memory else {}
        self.engines[kind] = InProcess(kind, self.tables, os.cpu_count(), **memory, **more)

    def datafusion(self):
        self.in_process("datafusion")

    def duckdb(self):
        self.in_process("duckdb", init=self.store.duckdb() if self.store else ())

    def sail(self):
        process, uri = servers.start_sail(self.a.home, self.store)
        self.stack.callback(process.terminate)
        where = "" if self.store else "file://"
        init = [f"CREATE TABLE IF NOT EXISTS {t} USING {e['format']} LOCATION '{where}{e['root']}'" for t, e in self.tables.items()]
        self.engines["sail"] = Flight(uri, process.pid, {t: t for t in self.tables}, init=init)

    def trino(self):
        process, port = servers.start_trino(self.a.home, self.store)
        self.stack.callback(process.terminate)
        self.engines["trino"] = Trino(port, process.pid, self.tables)


def measured(run):
    a, engines = run.a, run.engines
    result = {"scale": a.scale, "store": a.store, "memory": a.memory, "threads": os.cpu_count()}
    flights = {name: engine for name, engine in engines.items() if isinstance(engine, Flight)}
    processes = {name: engine for name, engine in engines.items() if name != POLICIES}
    resident = result["rss_mib"] = {}

    def note_memory(moment):
        resident[moment] = {name: engine.rss() / 2**20 for name, engine in processes.items()}

    for which in SETS:
        if which in a.only:
            result[which] = measure.queries(engines if which == "tpch" else processes, which, a.repeat, a.queries)
            note_memory(f"after {SETS[which]}")
    if "governed" in a.only:
        result["governed"] = measure.governed(run.connect("reader"), run.connect("bench", run.names | mesh.BY_HAND), a.repeat, a.count)
    if "transfer" in a.only:
        result["transfer"] = measure.transfer({name: engine for name, engine in processes.items() if name != "trino"}, a.repeat + 2)
        note_memory("after SELECT *")
    if "latency" in a.only:
        result["latency"] = measure.latency({name: engine for name, engine in engines.items() if name != "datafusion"}, a.count)
    if "stages" in a.only:
        result["stages"] = measure.stages(run.serve("debug")("analyst"), f"{a.home}/serve-debug.log", a.count)
    if "startup" in a.only:
        result["startup"] = [measure.startup(a.binary, a.home, run.hashes, contracts, a.repeat) for contracts in (100, 1000)]
    if "concurrency" in a.only:
        result["concurrency"] = measure.concurrency(flights, a.seconds)
    time.sleep(REST)
    note_memory(f"after all and {REST} s of rest")
    resident["peak"] = {name: engine.peak() / 2**20 for name, engine in processes.items()}
    return result | {"load_average": os.getloadavg()}


def main():
    a = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started ends, too
    with ExitStack() as stack:
        result = measured(Run(a, stack))
        with open(f"{a.home}/result.json", "w") as out:
            json.dump(result, out, indent=1)
        print(report(result))


if __name__ == "__main__":
    main()
