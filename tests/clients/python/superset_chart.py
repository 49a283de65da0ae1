"""Apache Superset with a database, a dataset and a chart, made by its REST API as people make them in the browser.

usage: superset_chart.py HOST:PORT USER [PURPOSE]      (the password is the user's name, as in the demo)
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

CONFIG = """
SECRET_KEY = "of this test and of nothing else, which ends with it"
SQLALCHEMY_DATABASE_URI = "sqlite:///{home}/superset.db"
WTF_CSRF_ENABLED = False
TALISMAN_ENABLED = False
SUPERSET_WEBSERVER_TIMEOUT = 300
"""
ADMIN = {"username": "admin", "password": "of this test"}
METRICS = [
    {"expressionType": "SQL", "sqlExpression": "count(*)", "label": "orders"},
    {"expressionType": "SIMPLE", "column": {"column_name": "amount"}, "aggregate": "SUM", "label": "amount"},
]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Superset:
    """A server of its own, in a directory that ends with it."""

    def __init__(self, home):
        self.program = pathlib.Path(sys.executable).with_name("superset")
        config = pathlib.Path(home) / "superset_config.py"
        config.write_text(CONFIG.format(home=home))
        self.environment = os.environ | {"SUPERSET_CONFIG_PATH": str(config), "SUPERSET_HOME": home, "FLASK_APP": "superset.app:create_app()"}
        self.log = open(pathlib.Path(home) / "log", "w+")
        self.command("db", "upgrade")
        person = ["--firstname", "a", "--lastname", "b", "--email", "a@example.com"]
        self.command("fab", "create-admin", "--username", ADMIN["username"], "--password", ADMIN["password"], *person)
        self.command("init")
        self.address = f"http://127.0.0.1:{free_port()}"
        port = self.address.rsplit(":", 1)[1]
        self.server = subprocess.Popen([self.program, "run", "-h", "127.0.0.1", "-p", port], env=self.environment, stdout=self.log, stderr=self.log)
        self.token = None

    def command(self, *arguments):
        done = subprocess.run([self.program, *arguments], env=self.environment, stdout=self.log, stderr=self.log)
        if done.returncode:
            raise SystemExit(f"superset {' '.join(arguments[:2])} failed: {self.said()}")

    def said(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()[-4000:]

    def ask(self, path, body=None):
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/api/v1/{path}", data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return {"status": error.code, "said": error.read().decode()}

    def login(self):
        deadline = time.monotonic() + 300
        while True:
            if self.server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"superset does not answer: {self.said()}")
            try:
                self.token = self.ask("security/login", ADMIN | {"provider": "db", "refresh": False})["access_token"]
                return
            except (urllib.error.URLError, OSError, KeyError):
                time.sleep(0.5)

    def make(self, what, body):
        made = self.ask(f"{what}/", body)
        if "id" not in made:
            raise SystemExit(f"no {what}: {made}; {self.said()}")
        return made

    def close(self):
        self.server.terminate()
        self.server.wait()
        self.log.close()


def main(address, user, purpose=None):
    with tempfile.TemporaryDirectory() as home:
        superset = Superset(home)
        try:
            superset.login()
            facts = explore(superset, address, user, purpose)
        finally:
            superset.close()
    print(json.dumps(facts))


def explore(superset, address, user, purpose):
    header = f"&purpose={purpose}" if purpose else ""
    uri = f"datafusion://{user}:{user}@{address}?insecure=True{header}"
    wrong = superset.ask("database/", {"database_name": "wrong", "sqlalchemy_uri": uri.replace(f":{user}@", ":wrong@")})
    database = superset.make("database", {"database_name": "mesh", "sqlalchemy_uri": uri, "expose_in_sqllab": True, "allow_dml": True})["id"]
    facts = {"wrong_password": str(wrong)}
    facts["schemas"] = superset.ask(f"database/{database}/schemas/").get("result")
    tables = superset.ask(f"database/{database}/tables/?q=(schema_name:orders,force:!t)").get("result")
    facts["tables"] = tables and sorted(table["value"] for table in tables)
    dataset = superset.make("dataset", {"database": database, "schema": "orders", "table_name": "order_events"})["id"]
    columns = superset.ask(f"dataset/{dataset}")["result"]["columns"]
    facts["columns"] = {column["column_name"]: column["type"] for column in columns}
    form = {"viz_type": "table", "datasource": f"{dataset}__table", "groupby": ["region"], "metrics": METRICS, "query_mode": "aggregate"}
    chart = {"slice_name": "Orders by region", "viz_type": "table", "datasource_id": dataset, "datasource_type": "table", "params": json.dumps(form)}
    facts["chart"] = superset.make("chart", chart)["result"]["slice_name"]
    query = {"columns": ["region"], "metrics": METRICS, "orderby": [["region", True]], "row_limit": 100, "filters": []}
    facts["rows"] = data(superset, dataset, query)
    facts["filtered"] = data(superset, dataset, query | {"filters": [{"col": "quantity", "op": ">", "val": 1}]})
    facts["missing"] = str(sql_lab(superset, database, "SELECT * FROM orders.nowhere"))
    facts["refused"] = str(sql_lab(superset, database, "DELETE FROM orders.order_events"))
    return facts


def data(superset, dataset, query):
    """What a chart shows: its rows as texts."""
    asked = {"datasource": {"id": dataset, "type": "table"}, "queries": [query], "result_format": "json", "result_type": "full", "force": True}
    answer = superset.ask("chart/data", asked)
    if "result" not in answer:
        raise SystemExit(f"no data: {answer}; {superset.said()}")
    return [[row["region"], str(row["orders"]), f"{float(row['amount']):.2f}"] for row in answer["result"][0]["data"]]


def sql_lab(superset, database, sql):
    return superset.ask("sqllab/execute/", {"database_id": database, "schema": "orders", "sql": sql, "runAsync": False})


main(*sys.argv[1:])
