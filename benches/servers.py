"""What runs beside the measuring client: Portcullis, and with options its peers and the object store they all read. Each function returns
the process and where it listens; whoever calls it ends the process."""

import glob
import os
import shutil
import socket
import subprocess
import sys
import time

import mesh

TRINO = "476"
KEY, SECRET = "meshadmin", "a throw-away secret"
REGION = "us-east-1"


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


def hashes(binary):
    """The passwords' hashes: each user's name is its password."""
    def of(user):
        return subprocess.run([binary, "user", "hash", "--password", user], check=True, capture_output=True, text=True).stdout.strip()

    return {user: of(user) for user in mesh.USERS}


def start_ours(binary, folder, log, level="warn"):
    """Serves the mesh in `folder`."""
    port = free_port()
    out = open(log, "w")
    process = subprocess.Popen([binary, "--mesh", folder, "serve", "--listen", f"127.0.0.1:{port}"], stdout=out, stderr=out,
                               env={**os.environ, "PORTCULLIS_LOG": level})
    wait_for(port, 60, process)
    return process, f"grpc://127.0.0.1:{port}"


def start_sail(home, store):
    port = free_port()
    log = open(f"{home}/sail.log", "w")
    tool = os.path.join(os.path.dirname(sys.executable), "sail")
    os.makedirs(f"{home}/sail", exist_ok=True)
    more = {**store.options(), "AWS_ENDPOINT": store.s3, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false"} if store else {}
    process = subprocess.Popen([tool, "flight", "server", "--ip", "127.0.0.1", "--port", str(port), "-C", f"{home}/sail"], stdout=log, stderr=log,
                               env={**os.environ, **more})
    wait_for(port, 60, process)
    return process, f"grpc://127.0.0.1:{port}"


class Store:
    """SeaweedFS with a bucket `delta` and a REST catalogue of Iceberg tables in the bucket `iceberg`; what is in them is kept in `home`."""

    def __init__(self, home):
        self.home = home
        s3, rest, master, volume, filer, admin = self._ports()
        self.s3, self.rest = f"http://127.0.0.1:{s3}", f"http://127.0.0.1:{rest}"
        os.makedirs(f"{home}/data", exist_ok=True)
        with open(f"{home}/s3.json", "w") as out:
            out.write(f'{{"identities": [{{"name": "admin", "credentials": [{{"accessKey": "{KEY}", "secretKey": "{SECRET}"}}], '
                      '"actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}')
        log = f"{home}/weed.log"
        tool = os.path.join(os.path.dirname(sys.executable), "weed")
        self.process = subprocess.Popen(
            [tool, "-logtostderr=true", "mini", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}",
             f"-volume.port={volume}", f"-filer.port={filer}", f"-admin.port={admin}", f"-s3.port={s3}", f"-s3.port.iceberg={rest}",
             "-s3.port.lance=0", "-webdav=false", "-admin.ui=false", "-master.telemetry=false", "-s3.config=s3.json",
             f"-s3.externalUrl={self.s3}", "-bucket=delta", "-tableBucket=iceberg"], cwd=home, stdout=subprocess.DEVNULL, stderr=open(log, "w"))
        for port in (s3, rest):
            wait_for(port, 90, self.process)
        for _ in range(450):
            if "able bucket" in open(log).read():
                return
            time.sleep(0.2)
        raise RuntimeError("SeaweedFS has no table bucket")

    @staticmethod
    def _ports():
        """Six ports below those that clients get; SeaweedFS adds 10,000 to each for gRPC."""
        def free(port):
            with socket.socket() as one, socket.socket() as other:
                try:
                    one.bind(("127.0.0.1", port))
                    other.bind(("127.0.0.1", port + 10_000))
                    return True
                except OSError:
                    return False

        ports = filter(free, range(15_000 + os.getpid() % 300 * 20, 22_000))
        return [next(ports) for _ in range(6)]

    def options(self):
        """Credentials as the environment variables of most tools."""
        return {"AWS_ENDPOINT_URL": self.s3, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION, "AWS_ALLOW_HTTP": "true"}

    def catalogue(self):
        from pyiceberg.catalog.rest import RestCatalog

        return RestCatalog("rest", **{
            "uri": self.rest, "warehouse": "s3://iceberg/", "credential": f"{KEY}:{SECRET}", "scope": "catalog",
            "oauth2-server-uri": f"{self.rest}/v1/oauth/tokens", "s3.endpoint": self.s3, "s3.access-key-id": KEY,
            "s3.secret-access-key": SECRET, "s3.region": REGION, "s3.path-style-access": "true"})

    def duckdb(self):
        """Statements that let DuckDB read both buckets, the Iceberg tables as `lake.<domain>.<table>`."""
        return [f"CREATE SECRET s (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', ENDPOINT '{self.s3.removeprefix('http://')}', USE_SSL false, "
                f"URL_STYLE 'path', REGION '{REGION}')",
                f"CREATE SECRET i (TYPE iceberg, CLIENT_ID '{KEY}', CLIENT_SECRET '{SECRET}', OAUTH2_SERVER_URI '{self.rest}/v1/oauth/tokens')",
                f"ATTACH 's3://iceberg' AS lake (TYPE iceberg, ENDPOINT '{self.rest}', SECRET i, ACCESS_DELEGATION_MODE 'none')"]

    def connections(self):
        """The text of a mesh's connections to the two buckets, and the files it names."""
        store = (f"    store:\n      endpoint: {self.s3}\n      region: {REGION}\n      allow_http: true\n"
                 "      access_key_id: {file: store.key}\n      secret_access_key: {file: store.secret}\n")
        text = (f"connections:\n  delta:\n    type: directory\n    url: s3://delta/lake\n{store}"
                f"  iceberg:\n    type: iceberg-rest\n    uri: {self.rest}\n    warehouse: s3://iceberg/\n    auth:\n"
                f"      type: client-credentials\n      client_id: {KEY}\n      client_secret: {{file: store.secret}}\n      scope: catalog\n"
                f"      token_uri: {self.rest}/v1/oauth/tokens\n{store}")
        return text, {"store.key": KEY, "store.secret": SECRET}


def _trino_files(home):
    """Trino's server, from Maven; about 2 GB."""
    folder = f"{home}/trino"
    server = f"{folder}/trino-server-{TRINO}"
    if not os.path.isdir(server):
        os.makedirs(folder, exist_ok=True)
        print("fetching Trino (once) …", file=sys.stderr, flush=True)
        subprocess.run(["mvn", "--quiet", "--batch-mode", "dependency:copy", "-Dmdep.useBaseVersion=true",
                        f"-Dartifact=io.trino:trino-server:{TRINO}:tar.gz", f"-DoutputDirectory={folder}"], check=True, cwd=folder)
        archive = f"{folder}/trino-server-{TRINO}.tar.gz"
        subprocess.run(["tar", "--extract", "--file", archive, "--directory", folder], check=True)
        os.remove(archive)
    return server


def _java():
    """A JDK of version 24 or newer: `TRINO_JAVA_HOME`, or one of Debian's folder."""
    found = [os.environ["TRINO_JAVA_HOME"]] if "TRINO_JAVA_HOME" in os.environ else sorted(glob.glob("/usr/lib/jvm/temurin-2[4-9]*"))
    if not found:
        raise SystemExit("Trino wants Java 24 or newer: set TRINO_JAVA_HOME")
    return found[-1]


def start_trino(home, store):
    """One node, which coordinates and works, over the store's tables: catalogues `iceberg` and `delta`."""
    server, java, port = _trino_files(home), _java(), free_port()
    node = f"{home}/trino/node"
    shutil.rmtree(node, ignore_errors=True)
    s3 = (f"fs.native-s3.enabled=true\ns3.endpoint={store.s3}\ns3.region={REGION}\ns3.path-style-access=true\n"
          f"s3.aws-access-key={KEY}\ns3.aws-secret-key={SECRET}\n")
    for name, text in {
        "node.properties": f"node.environment=bench\nnode.id=bench\nnode.internal-address=127.0.0.1\nnode.data-dir={node}/data\n",
        "jvm.config": "-server\n-Xmx4G\n-XX:InitialRAMPercentage=10\n-XX:G1HeapRegionSize=32M\n-XX:+ExplicitGCInvokesConcurrent\n"
                      "-XX:+ExitOnOutOfMemoryError\n-XX:ReservedCodeCacheSize=512M\n-Djdk.attach.allowAttachSelf=true\n"
                      "-Djdk.nio.maxCachedBufferSize=2000000\n-Dfile.encoding=UTF-8\n-XX:+EnableDynamicAgentLoading\n",
        "config.properties": f"coordinator=true\nnode-scheduler.include-coordinator=true\nhttp-server.http.port={port}\n"
                             f"discovery.uri=http://127.0.0.1:{port}\nquery.max-memory=2GB\nquery.max-memory-per-node=2GB\ncatalog.management=static\n",
        "catalog/iceberg.properties": f"connector.name=iceberg\niceberg.catalog.type=rest\niceberg.rest-catalog.uri={store.rest}\n"
                                      f"iceberg.rest-catalog.warehouse=s3://iceberg\niceberg.rest-catalog.security=OAUTH2\n"
                                      f"iceberg.rest-catalog.oauth2.credential={KEY}:{SECRET}\n"
                                      f"iceberg.rest-catalog.oauth2.server-uri={store.rest}/v1/oauth/tokens\n{s3}",
        "catalog/delta.properties": "connector.name=delta_lake\nhive.metastore=file\nhive.metastore.catalog.dir=s3://delta/metastore\n"
                                    f"delta.register-table-procedure.enabled=true\n{s3}",
    }.items():
        os.makedirs(os.path.dirname(f"{node}/etc/{name}"), exist_ok=True)
        with open(f"{node}/etc/{name}", "w") as out:
            out.write(text)
    log = open(f"{home}/trino.log", "w")
    process = subprocess.Popen([f"{server}/bin/launcher", "--etc-dir", f"{node}/etc", "run"], stdout=log, stderr=log,
                               env={**os.environ, "JAVA_HOME": java, "PATH": f"{java}/bin:{os.environ['PATH']}"})
    wait_for(port, 600, process)
    return process, port
