"""What is measured: whole queries, what governing costs, short queries one at a time and many at once, a full transfer, and the start.

CPU seconds are those of each engine's own process.
"""

import glob
import os
import re
import subprocess
import sys
import threading
import time

import psutil

import mesh

HERE = os.path.dirname(os.path.abspath(__file__))
POINT = "SELECT c_custkey, c_name, c_phone, c_mktsegment FROM {customer} WHERE c_custkey = {key}"


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, round(share * (len(values) - 1)))]


def queries(engines, which, repetitions, only=None):
    """The set's queries, or only some, best of the repetitions, engines taking turns: {engine: {query: {"wall", "cpu", "rows"}}}."""
    out = {name: {} for name in engines}
    for path in sorted(glob.glob(f"{HERE}/queries/{which}/*.sql")):
        query = os.path.basename(path)[:-4]
        if only and query not in only:
            continue
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
    for query, took in (answers := queries({"policy": by_policy, "hand": by_hand}, "tpch", repetitions))["policy"].items():
        text = open(f"{HERE}/queries/tpch/{query}.sql").read()
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
    """Milliseconds of one client at a time, with each engine's own client (ADBC for Flight SQL) and with a bare Flight client; engines take
    turns, twenty queries each."""
    asks = {name: engine.ways() for name, engine in engines.items()}
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


def startup(binary, home, hashes, contracts, repetitions):
    """Seconds from the start of the process to the line that says it serves, with this many contracts; the best and the worst."""
    folder, times = f"{home}/mesh-{contracts}", []
    mesh.write(folder, mesh.many(contracts), hashes, mesh.directory(f"{home}/lake"), mesh.ALL)
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
