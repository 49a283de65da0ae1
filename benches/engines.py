"""The engines compared: each runs in a process of its own, so that CPU seconds and memory are its own.

An engine answers `query(sql) -> rows` and `transfer(sql) -> {"rows", "seconds", "first_batch_s"}`; `names` maps the tables to its own names,
`ways` are the functions by which a client may ask it for a short query.
"""

import glob
import importlib
import multiprocessing as mp
import os
import time

import psutil


class Process:
    """What another process uses; `pid` is its id."""

    def cpu(self):
        times = psutil.Process(self.pid).cpu_times()
        return times.user + times.system

    def rss(self):
        return psutil.Process(self.pid).memory_info().rss

    def peak(self):
        """Bytes that the process had resident at most."""
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))

    def ways(self):
        return {"client": self.query}


class Flight(Process):
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

    def ways(self):
        return {"client": self.query, "bare": self.bare()}


def _statement(sql):
    """`CommandStatementQuery` of Flight SQL, packed as protobuf's `Any`."""
    def field(tag, value):
        length, size = b"", len(value)
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([tag << 3 | 2]) + length + bytes([size]) + value

    name = b"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery"
    return field(1, name) + field(2, field(1, sql.encode()))


def _datafusion(tables, threads, memory=None, spill=None, **_):
    from datafusion import RuntimeEnvBuilder, SessionConfig, SessionContext

    runtime = RuntimeEnvBuilder()
    if memory:
        runtime = runtime.with_fair_spill_pool(_bytes(memory)).with_disk_manager_specified(spill)
    context = SessionContext(SessionConfig().with_target_partitions(threads)
                             .set("datafusion.execution.parquet.pushdown_filters", "true"), runtime)
    for name, table in tables.items():
        context.register_parquet(name, os.path.dirname(table["files"][0]))
    return (lambda sql: sum(b.num_rows for b in context.sql(sql).collect()),
            lambda sql: (b.to_pyarrow() for b in context.sql(sql).execute_stream()))


def _duckdb(tables, threads, memory=None, spill=None, init=()):
    import duckdb

    connection = duckdb.connect(config={"allow_unsigned_extensions": "true", "threads": threads})
    connection.execute("SET autoinstall_known_extensions=false")
    for extension in ("httpfs", "avro", "iceberg", "delta"):
        folder = list(importlib.import_module(f"duckdb_extension_{extension}").__path__)[0]
        connection.execute(f"LOAD '{glob.glob(f'{folder}/extensions/*/{extension}.duckdb_extension')[0]}'")
    if memory:
        connection.execute(f"SET memory_limit='{memory}'")
        connection.execute(f"SET temp_directory='{spill}'")
    for statement in init:
        connection.execute(statement)
    for name, table in tables.items():
        if table["format"] == "delta":
            source = f"delta_scan('{table['metadata']}')"
        else:
            source = f"lake.{table['domain']}.{name}" if init else f"iceberg_scan('{table['metadata']}')"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
    return (lambda sql: connection.execute(sql).to_arrow_table().num_rows,
            lambda sql: connection.execute(sql).to_arrow_reader(65_536))


def _bytes(size):
    number, unit = size.split()
    return int(number) << {"MiB": 20, "GiB": 30}[unit]


def _serve(make, tables, threads, options, pipe):
    query, batches = make(tables, threads, **options)
    pipe.send("ready")
    while True:
        try:
            what, sql = pipe.recv()
        except EOFError:  # the parent is done
            return
        try:
            pipe.send(query(sql) if what == "query" else _time(batches(sql)))
        except Exception as error:  # the parent reports it
            pipe.send(error if isinstance(error, RuntimeError) else RuntimeError(str(error)[:300]))


def _time(batches):
    start, first, rows = time.perf_counter(), None, 0
    for batch in batches:
        first = first or time.perf_counter() - start
        rows += batch.num_rows
    return {"rows": rows, "seconds": time.perf_counter() - start, "first_batch_s": first}


class InProcess(Process):
    """DataFusion or DuckDB in a child process; `query` returns only the number of rows."""

    MAKERS = {"datafusion": _datafusion, "duckdb": _duckdb}

    def __init__(self, kind, tables, threads, **options):
        context = mp.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.MAKERS[kind], tables, threads, options, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.pid, self.names = self.process.pid, {name: name for name in tables}
        self.pipe.recv()

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


class Trino(Process):
    """A Trino node, through its own client; `query` returns only the number of rows."""

    def __init__(self, port, pid, tables):
        import trino

        self.pid, self.names = pid, {name: f"{table['format']}.{table['domain']}.{name}" for name, table in tables.items()}
        self.cursor = trino.dbapi.connect(host="127.0.0.1", port=port, user="bench").cursor()
        self._patiently("SELECT 1")
        for name, table in tables.items():
            if table["format"] == "delta":
                self.query(f"CREATE SCHEMA IF NOT EXISTS delta.{table['domain']}")
                try:
                    self.query(f"CALL delta.system.unregister_table('{table['domain']}', '{name}')")
                except trino.exceptions.TrinoUserError:  # it was not known
                    pass
                self.query(f"CALL delta.system.register_table('{table['domain']}', '{name}', '{table['root']}')")

    def _patiently(self, sql):
        """A server that listens may not be ready yet."""
        for left in reversed(range(600)):
            try:
                return self.query(sql)
            except Exception:
                if not left:
                    raise
                time.sleep(1)

    def query(self, sql):
        self.cursor.execute(sql)
        return len(self.cursor.fetchall())
