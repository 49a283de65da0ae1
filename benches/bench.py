"""TPC-H through Flight SQL against plain DataFusion on the same files in the same run; with --peers also DuckDB and Sail.

Prints one JSON document and a Markdown report of ratios. `cargo xtask bench` builds the release binary, makes the environment and calls this.
CPU seconds are those of each engine's own process; ratios are ours / theirs, so lower is better except for rates.
"""

import argparse
import glob
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import psutil

import data
import mesh
from engines import Flight, InProcess

HERE = os.path.dirname(os.path.abspath(__file__))
REST = 5  # seconds
POINT = "SELECT c_custkey, c_name, c_phone, c_mktsegment FROM {customer} WHERE c_custkey = {key}"


def wait_for(port, seconds, process):
    for _ in range(seconds * 10):
        if process.poll() is not None:
            raise RuntimeError(f"server ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on {port}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, round(share * (len(values) - 1)))]


def tpch(engines, repetitions):
    """Best of the repetitions, engines taking turns; {engine: {query: {"wall", "cpu", "rows"}}}."""
    out = {name: {} for name in engines}
    for path in sorted(glob.glob(f"{HERE}/queries/q*.sql")):
        query = os.path.basename(path)[:-4]
        for _ in range(repetitions):
            for name, engine in engines.items():
                sql = open(path).read().format(**engine.names)
                cpu, start = engine.cpu(), time.perf_counter()
                try:
                    answer = engine.query(sql)
                except Exception as error:
                    out[name][query] = {"error": str(error)[:200]}
                    continue
                took = {"wall": time.perf_counter() - start, "cpu": engine.cpu() - cpu,
                        "rows": answer if isinstance(answer, int) else answer.num_rows}
                best = out[name].setdefault(query, took)
                if "error" not in best:
                    best["wall"], best["cpu"] = min(best["wall"], took["wall"]), min(best["cpu"], took["cpu"])
        print(query, {n: {k: round(v, 3) if isinstance(v, float) else v for k, v in q[query].items()} for n, q in out.items()},
              file=sys.stderr, flush=True)
    return out


def governed(by_policy, by_hand, repetitions, count):
    """CPU seconds of the same rows, hidden by policies and by conditions that the query has itself: {query: {"policy", "hand"}}, `point` in
    seconds a query. Raises where the answers differ."""
    def rows(engine, sql):
        return sorted(map(str, engine.query(sql).to_pylist()))

    out = {}
    for query, took in (answers := tpch({"policy": by_policy, "hand": by_hand}, repetitions))["policy"].items():
        text = open(f"{HERE}/queries/{query}.sql").read()
        if rows(by_policy, text.format(**by_policy.names)) != rows(by_hand, text.format(**by_hand.names)):
            raise SystemExit(f"{query}: what is governed is not what is written by hand")
        out[query] = {"policy": took["cpu"], "hand": answers["hand"][query]["cpu"]}
    spent = {"policy": 0, "hand": 0}
    for start in range(0, count, 20):
        for name, engine in (("policy", by_policy), ("hand", by_hand)):
            cpu = engine.cpu()
            for i in range(start, start + 20):
                engine.query(POINT.format(key=1 + i * 7919 % 150_000, **engine.names))
            spent[name] += engine.cpu() - cpu
    return out | {"point": {name: cpu / count for name, cpu in spent.items()}}


def latency(engines, count):
    """Milliseconds of one client at a time, through ADBC and with a bare Flight client; engines take turns, twenty queries each."""
    asks = {name: {"adbc": engine.query, "bare": engine.bare()} for name, engine in engines.items()}
    times, spent = {}, {}
    for start in range(-20, count, 20):
        for name, engine in engines.items():
            for what, sql in (("select1", "SELECT 1"), ("point", POINT)):
                for way, ask in asks[name].items():
                    taken = times.setdefault((name, f"{what}_{way}"), [])
                    cpu = engine.cpu()
                    for i in range(start, start + 20):
                        text = sql.format(key=1 + i * 7919 % 150_000, **engine.names)
                        began = time.perf_counter()
                        ask(text)
                        if start >= 0:
                            taken.append((time.perf_counter() - began) * 1e3)
                    if start >= 0:
                        spent[name, f"{what}_{way}"] = spent.get((name, f"{what}_{way}"), 0) + engine.cpu() - cpu
    out = {}
    for (name, what), taken in times.items():
        cpu = spent[name, what] / len(taken) * 1e3
        out.setdefault(name, {})[what] = {"p50_ms": percentile(taken, .5), "p99_ms": percentile(taken, .99), "cpu_ms": cpu}
    return out


def stages(engine, log, count):
    """Microseconds of each stage of a short query, from the server's log: {statement: {stage: {"first", "p50"}}}. `first` is a user's
    first statement on its tables since the server's start."""
    out = {}
    for what, sql in (("select1", "SELECT 1"), ("point", POINT)):
        found, begin = {}, os.path.getsize(log)
        for i in range(count):
            engine.query(sql.format(key=1 + i * 7919 % 150_000, **engine.names))
        time.sleep(0.3)
        with open(log) as lines:
            lines.seek(begin)
            for stage, us in re.findall(r'stage="([^"]+)" us=(\d+)', re.sub(r"\x1b\[[0-9;]*m", "", lines.read())):
                found.setdefault(stage, []).append(int(us))
        out[what] = {stage: {"first": us[0], "p50": percentile(us, .5)} for stage, us in found.items()}
    return out


def concurrency(engines, seconds):
    """Queries a second; clients are threads of this process (the driver releases the interpreter lock) on the same cores."""
    out = {}
    for clients in (1, 16, 64):
        for what, sql in (("select1", "SELECT 1"), ("point", POINT)):
            for name, engine in engines.items():
                connections, counts, errors = [engine.connect() for _ in range(clients)], [0] * clients, []
                stop = time.time() + seconds

                def work(i):
                    key = i * 1000
                    while time.time() < stop:
                        key += 7919
                        try:
                            engine.query(sql.format(key=1 + key % 150_000, **engine.names), connections[i])
                            counts[i] += 1
                        except Exception as error:
                            errors.append(str(error)[:160])

                threads = [threading.Thread(target=work, args=(i,)) for i in range(clients)]
                start = time.time()
                [t.start() for t in threads]
                [t.join() for t in threads]
                out.setdefault(name, {})[f"{what}_c{clients}"] = {"qps": sum(counts) / (time.time() - start), "errors": errors[:2]}
                [c.close() for c in connections]
    return out


def transfer(engines, repetitions):
    out = {}
    for _ in range(repetitions):
        for name, engine in engines.items():
            cpu = engine.cpu()
            took = engine.transfer("SELECT * FROM " + engine.names["lineitem"])
            took |= {"cpu": engine.cpu() - cpu, "rows_per_s": took["rows"] / took["seconds"]}
            if name not in out or took["seconds"] < out[name]["seconds"]:
                out[name] = took
    return out


def start_ours(binary, home, tables, scale, level="warn"):
    folder = f"{home}/mesh-sf{scale}-{level}"
    hashes = {user: subprocess.run([binary, "user", "hash", "--password", user], check=True, capture_output=True, text=True).stdout.strip()
              for user in mesh.USERS}
    mesh.write(folder, f"{home}/lake/sf{scale}", tables, hashes)
    port = free_port()
    log = open(f"{home}/serve-{level}.log", "w")
    process = subprocess.Popen([binary, "--mesh", folder, "serve", "--listen", f"127.0.0.1:{port}"], stdout=log, stderr=log,
                               env={**os.environ, "PORTCULLIS_LOG": level})
    wait_for(port, 60, process)
    return process, port


def startup(binary, home, contracts, repetitions):
    """Seconds from the start of the process to the line that says it serves, with this many contracts; the best and the worst."""
    folder, times = f"{home}/mesh-{contracts}", []
    hashes = {user: subprocess.run([binary, "user", "hash", "--password", user], check=True, capture_output=True, text=True).stdout.strip()
              for user in mesh.USERS}
    mesh.write(folder, f"{home}/lake", mesh.many(contracts), hashes, mesh.ALL)
    for _ in range(repetitions):
        start = time.perf_counter()
        process = subprocess.Popen([binary, "--mesh", folder, "serve", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        try:
            line = next((line for line in process.stderr if line.startswith("serving ")), None)
            if line is None:
                raise RuntimeError(f"the server did not start with {contracts} contracts")
            times.append((time.perf_counter() - start, psutil.Process(process.pid).memory_info().rss / 2**20))
        finally:
            process.terminate()
            process.wait()
    return {"contracts": contracts, "best_s": min(t for t, _ in times), "worst_s": max(t for t, _ in times), "rss_mib": max(r for _, r in times)}


def start_sail(home):
    port = free_port()
    log = open(f"{home}/sail.log", "w")
    tool = os.path.join(os.path.dirname(sys.executable), "sail")
    os.makedirs(f"{home}/sail", exist_ok=True)
    process = subprocess.Popen([tool, "flight", "server", "--ip", "127.0.0.1", "--port", str(port), "-C", f"{home}/sail"], stdout=log, stderr=log)
    wait_for(port, 60, process)
    return process, port


def report(result):
    ours, lines = "portcullis", []
    others = [n for n in result["tpch"] if n != ours] if "tpch" in result else []
    if others:
        lines += ["| TPC-H, 22 queries | wall s | CPU s | ours / it: wall | ours / it: CPU |", "|---|--:|--:|--:|--:|"]
        total = {n: [sum(q.get(k, 0) for q in result["tpch"][n].values()) for k in ("wall", "cpu")] for n in result["tpch"]}
        for name, (wall, cpu) in total.items():
            lines.append(f"| {name} | {wall:.2f} | {cpu:.2f} | {total[ours][0] / wall:.2f} | {total[ours][1] / cpu:.2f} |")
        lines += ["", "| query, CPU s | " + " | ".join(result["tpch"]) + " |", "|---|" + "--:|" * len(result["tpch"])]
        for query in result["tpch"][ours]:
            lines.append(f"| {query} | " + " | ".join("failed" if "error" in r[query] else f"{r[query]['cpu']:.2f}" for r in result["tpch"].values()) + " |")
    if "governed" in result:
        total = {way: sum(took[way] for query, took in result["governed"].items() if query != "point") for way in ("policy", "hand")}
        lines += ["", "| CPU of rows hidden | by policies | by hand | ratio |", "|---|--:|--:|--:|"]
        lines += [f"| 22 queries, s | {total['policy']:.2f} | {total['hand']:.2f} | {total['policy'] / total['hand']:.2f} |"]
        point = {way: cpu * 1e3 for way, cpu in result["governed"]["point"].items()}
        lines += [f"| point query, ms | {point['policy']:.2f} | {point['hand']:.2f} | {point['policy'] / point['hand']:.2f} |"]
    if "latency" in result:
        ways = ("select1_adbc", "select1_bare", "point_adbc", "point_bare")
        lines += ["", "| one client: p50 / p99 ms, server's CPU ms | SELECT 1, ADBC | SELECT 1, bare | point query, ADBC | point query, bare |", "|---|" + "--:|" * 4]
        lines += [f"| {n} | " + " | ".join(f"{r[w]['p50_ms']:.2f} / {r[w]['p99_ms']:.2f}, {r[w]['cpu_ms']:.2f}" for w in ways) + " |" for n, r in result["latency"].items()]
    if "stages" in result:
        table = result["stages"]
        lines += ["", "| stage, µs | SELECT 1 p50 | point query p50 | point query, first |", "|---|--:|--:|--:|"]
        for stage in table["point"]:
            point = table["point"][stage]
            lines.append(f"| {stage} | {table['select1'].get(stage, {}).get('p50', '')} | {point['p50']} | {point['first']} |")
    if "startup" in result:
        lines += ["", "| contracts | from start to serving, best / worst s | resident MiB |", "|---|--:|--:|"]
        lines += [f"| {r['contracts']:,} | {r['best_s']:.2f} / {r['worst_s']:.2f} | {r['rss_mib']:.0f} |" for r in result["startup"]]
    if "concurrency" in result:
        keys = list(result["concurrency"][ours])
        lines += ["", "| queries a second | " + " | ".join(keys) + " |", "|---|" + "--:|" * len(keys)]
        lines += [f"| {n} | " + " | ".join(f"{r[k]['qps']:.0f}" + (" (errors)" if r[k]["errors"] else "") for k in keys) + " |" for n, r in result["concurrency"].items()]
    if "transfer" in result:
        lines += ["", "| SELECT * FROM lineitem | rows/s | CPU s | first batch ms |", "|---|--:|--:|--:|"]
        lines += [f"| {n} | {r['rows_per_s']:,.0f} | {r['cpu']:.2f} | {r['first_batch_s'] * 1e3:.0f} |" for n, r in result["transfer"].items()]
    if "rss_mib" in result:
        moments = list(result["rss_mib"])
        lines += ["", "| resident, MiB | " + " | ".join(moments) + " |", "|---|" + "--:|" * len(moments)]
        lines += [f"| {n} | " + " | ".join(f"{result['rss_mib'][m][n]:.0f}" for m in moments) + " |" for n in result["rss_mib"][moments[0]]]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--home", required=True, help="folder for data, environment and results (kept between runs)")
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of each concurrency measurement")
    parser.add_argument("--count", type=int, default=300, help="of latency samples")
    parser.add_argument("--peers", action="store_true", help="also DuckDB and Sail")
    parser.add_argument("--only", nargs="*", default=["tpch", "transfer", "latency", "stages", "startup", "concurrency", "governed"])
    a = parser.parse_args()
    scale = int(a.scale) if a.scale == int(a.scale) else a.scale
    tables = data.make(a.home, scale)
    names = {table: f"{entry['domain']}.{table}" for table, entry in tables.items()}
    started, threads = [], os.cpu_count()
    try:
        process, port = start_ours(a.binary, a.home, tables, scale)
        started.append(process)
        uri = f"grpc://127.0.0.1:{port}"
        engines = {"portcullis": Flight(uri, process.pid, names, "bench", "bench"),
                   "portcullis, policies": Flight(uri, process.pid, names, "analyst", "analyst"),
                   "datafusion": InProcess("datafusion", tables, threads)}
        if a.peers:
            engines["duckdb"] = InProcess("duckdb", tables, threads)
            sail, sail_port = start_sail(a.home)
            started.append(sail)
            init = [f"CREATE TABLE IF NOT EXISTS {t} USING {e['format']} LOCATION 'file://{e['root']}'" for t, e in tables.items()]
            engines["sail"] = Flight(f"grpc://127.0.0.1:{sail_port}", sail.pid, {t: t for t in tables}, init=init)
        result = {"scale": scale, "threads": threads}
        servers = {n: e for n, e in engines.items() if isinstance(e, Flight)}
        processes = {n: e for n, e in engines.items() if n != "portcullis, policies"}
        resident = result["rss_mib"] = {}

        def note_memory(moment):
            resident[moment] = {n: e.rss() / 2**20 for n, e in processes.items()}

        if "tpch" in a.only:
            result["tpch"] = tpch(engines, a.repetitions)
            note_memory("after the 22 queries")
        if "governed" in a.only:
            reader = Flight(uri, process.pid, names, "reader", "reader")
            by_hand = Flight(uri, process.pid, names | mesh.BY_HAND, "bench", "bench")
            result["governed"] = governed(reader, by_hand, a.repetitions, a.count)
        if "transfer" in a.only:
            result["transfer"] = transfer(processes, a.repetitions + 2)
            note_memory("after SELECT *")
        if "latency" in a.only:
            result["latency"] = latency(servers, a.count)
        if "stages" in a.only:
            other, port = start_ours(a.binary, a.home, tables, scale, "debug")
            started.append(other)
            result["stages"] = stages(Flight(f"grpc://127.0.0.1:{port}", other.pid, names, "analyst", "analyst"), f"{a.home}/serve-debug.log", a.count)
        if "startup" in a.only:
            result["startup"] = [startup(a.binary, a.home, contracts, a.repetitions) for contracts in (100, 1000)]
        if "concurrency" in a.only:
            result["concurrency"] = concurrency(servers, a.seconds)
        time.sleep(REST)
        note_memory(f"after all and {REST} s of rest")
        resident["peak"] = {n: e.peak() / 2**20 for n, e in processes.items()}
        result["load_average"] = os.getloadavg()
        json.dump(result, open(f"{a.home}/result.json", "w"), indent=1)
        print(report(result))
    finally:
        for process in started:
            process.terminate()


if __name__ == "__main__":
    main()
