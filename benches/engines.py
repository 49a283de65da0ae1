"""The engines compared: each runs in a process of its own, so that CPU seconds and memory are its own.

An engine answers `query(sql) -> rows` and `batches(sql) -> iterator of record batches`; `names` maps the TPC-H tables to its own.
"""

import multiprocessing as mp
import os
import time

import psutil

from data import DELTA, DOMAIN


class Flight:
    """A Flight SQL server in another process (ours, or Sail), through ADBC."""

    def __init__(self, uri, pid, names, user=None, password=None, init=()):
        self.uri, self.pid, self.names, self.user, self.password, self.init = uri, pid, names, user, password, init
        self.connection = self.connect()
        for statement in init:
            self.query(statement)

    def bare(self):
        """A function that asks with a bare Flight client: `GetFlightInfo` and `DoGet`, without a prepared statement."""
        from pyarrow import flight

        client = flight.connect(self.uri)
        headers = [client.authenticate_basic_token(self.user, self.password)] if self.user else []
        options = flight.FlightCallOptions(headers=headers)

        def ask(sql):
            descriptor = flight.FlightDescriptor.for_command(_statement(sql))
            info = client.get_flight_info(descriptor, options)
            return client.do_get(info.endpoints[0].ticket, options).read_all()

        return ask

    def connect(self):
        import adbc_driver_flightsql.dbapi as flight_sql
        from adbc_driver_flightsql import DatabaseOptions

        options = {DatabaseOptions.WITH_MAX_MSG_SIZE.value: str(256 << 20)}
        if self.user:
            options |= {"username": self.user, "password": self.password}
        return flight_sql.connect(self.uri, db_kwargs=options, autocommit=True)

    def query(self, sql, connection=None):
        with (connection or self.connection).cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()

    def transfer(self, sql):
        start, first, rows = time.perf_counter(), None, 0
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            for batch in cursor.fetch_record_batch():
                first = first or time.perf_counter() - start
                rows += batch.num_rows
        return {"rows": rows, "seconds": time.perf_counter() - start, "first_batch_s": first}

    def cpu(self):
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def rss(self):
        return psutil.Process(self.pid).memory_info().rss

    def peak(self):
        return _peak(self.pid)


def _peak(pid):
    """Bytes that a process had resident at most."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def _statement(sql):
    """`CommandStatementQuery` of Flight SQL, packed as protobuf's `Any`."""
    def field(tag, value):
        length, size = b"", len(value)
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([tag << 3 | 2]) + length + bytes([size]) + value

    name = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return field(1, name) + field(2, field(1, sql.encode()))


def _datafusion(tables, threads):
    from datafusion import SessionConfig, SessionContext

    context = SessionContext(SessionConfig().with_target_partitions(threads)
                             .set("datafusion.execution.parquet.pushdown_filters", "true"))
    for name, table in tables.items():
        context.register_parquet(name, os.path.dirname(table["files"][0]))
    return (lambda sql: sum(b.num_rows for b in context.sql(sql).collect()),
            lambda sql: (b.to_pyarrow() for b in context.sql(sql).execute_stream()))


def _duckdb(tables, threads):
    import glob
    import importlib

    import duckdb

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": threads})
    connection.execute("SET autoinstall_known_extensions=false")
    for extension in ("avro", "iceberg", "delta"):
        folder = list(importlib.import_module(f"duckdb_extension_{extension}").__path__)[0]
        connection.execute(f"LOAD '{glob.glob(f'{folder}/extensions/*/{extension}.duckdb_extension')[0]}'")
    for name, table in tables.items():
        scan = "delta_scan" if name in DELTA else "iceberg_scan"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {scan}('{table['metadata']}')")
    return (lambda sql: connection.execute(sql).to_arrow_table().num_rows,
            lambda sql: connection.execute(sql).to_arrow_reader(65_536))


def _serve(make, tables, threads, pipe):
    query, batches = make(tables, threads)
    while True:
        try:
            what, sql = pipe.recv()
        except EOFError:  # the parent is done
            return
        try:
            if what == "query":
                pipe.send(query(sql))
            else:
                start, first, rows = time.perf_counter(), None, 0
                for batch in batches(sql):
                    first = first or time.perf_counter() - start
                    rows += batch.num_rows
                pipe.send({"rows": rows, "seconds": time.perf_counter() - start, "first_batch_s": first})
        except Exception as error:  # the parent reports it
            pipe.send(error if isinstance(error, RuntimeError) else RuntimeError(str(error)[:300]))


class InProcess:
    """DataFusion or DuckDB in a child process; `query` returns only the number of rows."""

    MAKERS = {"datafusion": _datafusion, "duckdb": _duckdb}

    def __init__(self, kind, tables, threads):
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.MAKERS[kind], tables, threads, theirs), daemon=True)
        self.process.start()
        self.names = {name: name for name in DOMAIN}

    def _ask(self, what, sql):
        self.pipe.send((what, sql))
        answer = self.pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def query(self, sql):
        return self._ask("query", sql)

    def transfer(self, sql):
        return self._ask("transfer", sql)

    def cpu(self):
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def rss(self):
        return psutil.Process(self.process.pid).memory_info().rss

    def peak(self):
        return _peak(self.process.pid)
