"""The report in Markdown: ratios are ours / theirs, so lower is better except for rates; aims stand beside results."""

import math

OURS = "portcullis"
# What the 22 queries and the point query shall reach: ours / theirs, and milliseconds.
AIMS = {"file": {"sail": .8, "duckdb": 1.0, "point": 4}, "s3": {"sail": .7, "duckdb": 1.0, "trino": .15, "point": 12}}
SETS = {"tpch": "TPC-H", "wide": "wide table", "star": "star joins"}


def _table(lines, head, rows):
    lines += ["", "| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]


def _compared(lines, which, took, aims):
    """Sums and geometric means over the queries that both could answer, then CPU seconds of each query."""
    rows, notes = [], []
    for name, theirs in took.items():
        both = [q for q in theirs if "error" not in theirs[q] and "error" not in took[OURS][q]]
        sums = {k: sum(theirs[q][k] for q in both) for k in ("wall", "cpu")}
        cells = [name, f"{sums['wall']:.2f}", f"{sums['cpu']:.2f}"]
        for k in ("wall", "cpu"):
            # A query may cost less than the clock of CPU time can tell: a hundredth of a second.
            means = [max(took[OURS][q][k], .005) / max(theirs[q][k], .005) for q in both]
            total = sum(took[OURS][q][k] for q in both) / sums[k]
            cells.append(f"{total:.2f} / {math.exp(sum(map(math.log, means)) / len(means)):.2f}")
        rows.append(cells + [f"≤ {aims[name]}" if name in aims else ""])
        failed = [q for q in theirs if "error" in theirs[q]]
        if failed:
            notes.append(f"{name} failed at {', '.join(failed)}")
        if name != "portcullis, policies":
            notes += [f"{name} has {theirs[q]['rows']} rows of {q}, we have {took[OURS][q]['rows']}" for q in both if theirs[q]["rows"] != took[OURS][q]["rows"]]
    title = f"{SETS[which]}, {len(took[OURS])} queries"
    _table(lines, [title, "wall s", "CPU s", "ours / it, wall: total / geometric mean", "ours / it, CPU: total / geometric mean", "aim"], rows)
    lines += ["", *notes] if notes else []
    _table(lines, ["query, CPU s", *took], ([q, *("failed" if "error" in r[q] else f"{r[q]['cpu']:.2f}" for r in took.values())] for q in took[OURS]))


def report(result):
    lines, aims = [], AIMS[result["store"]]
    for which in SETS:
        if which in result:
            _compared(lines, which, result[which], aims if which == "tpch" else {})
    if "governed" in result:
        total = {way: sum(took[way] for query, took in result["governed"].items() if query != "point") for way in ("policy", "hand")}
        point = {way: cpu * 1e3 for way, cpu in result["governed"]["point"].items()}
        _table(lines, ["CPU of rows hidden", "by policies", "by hand", "ratio"],
               ([what, f"{t['policy']:.2f}", f"{t['hand']:.2f}", f"{t['policy'] / t['hand']:.2f}"] for what, t in (("22 queries, s", total), ("point query, ms", point))))
    if "latency" in result:
        columns = {"select1_client": "SELECT 1, its client", "select1_bare": "SELECT 1, bare", "point_client": "point query, its client",
                   "point_bare": f"point query, bare (aim: {aims['point']})"}
        _table(lines, ["one client: p50 / p99 ms, server's CPU ms", *columns.values()],
               ([name, *(f"{r[c]['p50_ms']:.2f} / {r[c]['p99_ms']:.2f}, {r[c]['cpu_ms']:.2f}" if c in r else "" for c in columns)] for name, r in result["latency"].items()))
    if "stages" in result:
        table = result["stages"]
        _table(lines, ["stage, µs", "SELECT 1 p50", "point query p50", "point query, first"],
               ([stage, table["select1"].get(stage, {}).get("p50", ""), point["p50"], point["first"]] for stage, point in table["point"].items()))
    if "startup" in result:
        _table(lines, ["contracts", "from start to serving, best / worst s", "resident MiB"],
               ([f"{r['contracts']:,}", f"{r['best_s']:.2f} / {r['worst_s']:.2f}", f"{r['rss_mib']:.0f}"] for r in result["startup"]))
    if "concurrency" in result:
        keys = list(result["concurrency"][OURS])
        _table(lines, ["queries a second", *keys],
               ([name, *(f"{r[k]['qps']:.0f}" + (" (errors)" if r[k]["errors"] else "") for k in keys)] for name, r in result["concurrency"].items()))
    if "transfer" in result:
        _table(lines, ["SELECT * FROM lineitem", "rows/s", "CPU s", "first batch ms"],
               ([name, f"{r['rows_per_s']:,.0f}", f"{r['cpu']:.2f}", f"{r['first_batch_s'] * 1e3:.0f}"] for name, r in result["transfer"].items()))
    if "rss_mib" in result:
        moments = list(result["rss_mib"])
        _table(lines, ["resident, MiB", *moments],
               ([name, *(f"{result['rss_mib'][m][name]:.0f}" for m in moments)] for name in result["rss_mib"][moments[0]]))
    return "\n".join(lines)
