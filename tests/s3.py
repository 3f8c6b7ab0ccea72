"""An S3-compatible server of the tests' own: OpenStack Swift, in a temporary folder, or TEST_S3_ENDPOINT's.

Swift is what some clouds run, Debian packages it in 8 MB, and it checks signatures. moto's server checks
none; MinIO, Garage and SeaweedFS are not in Debian.
"""

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from datetime import timedelta
from functools import cache
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.postgres import unprivileged_user

_PYTHON = "/usr/bin/python3"
_START_S = 60
_KEY, _SECRET = "test:tester", "testing"
_STORAGE = ("account", "container", "object")
_RUN = """
import sys
from swift.common import utils
utils.SWIFT_CONF_FILE = sys.argv[2] + "/swift.conf"
from swift.common.wsgi import run_wsgi
sys.exit(run_wsgi(f"{sys.argv[2]}/{sys.argv[1]}.conf", f"{sys.argv[1]}-server"))
"""
_RINGS = """
import sys
from swift.common.ring import RingBuilder
for name, port in (ring.split(":") for ring in sys.argv[2:]):
    at = {"ip": "127.0.0.1", "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port)}
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({**at, "region": 1, "zone": 1, "device": "disk", "weight": 1, "meta": ""})
    builder.rebalance()
    builder.get_ring().save(f"{sys.argv[1]}/{name}.ring.gz")
"""
_COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
recon_cache_path = {folder}
"""
_STORAGE_CONF = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
# The cache has no server: everything is asked each time.
_PROXY_CONF = """
[pipeline:main]
pipeline = catch_errors cache s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
"""


class S3:
    """One running server and a bucket, in which each test has a folder of its own."""

    def __init__(self) -> None:
        self._bucket = os.environ.get("TEST_S3_BUCKET", "tests")
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder: Path | None = None
        endpoint = os.environ.get("TEST_S3_ENDPOINT") or self._start()
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": os.environ.get("TEST_S3_ACCESS_KEY", _KEY),
            "AWS_SECRET_ACCESS_KEY": os.environ.get("TEST_S3_SECRET_KEY", _SECRET),
            "AWS_REGION": "us-east-1",
        }

    def new_folder(self) -> str:
        """The URL of one that is empty."""
        return f"s3://{self._bucket}/{uuid.uuid4()}"

    def remove(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(_START_S)
        if self._folder is not None:
            shutil.rmtree(self._folder)

    def _start(self) -> str:
        if not shutil.which("swift-proxy-server"):
            packages = " ".join(f"swift-{name}" for name in ("proxy", *_STORAGE))
            pytest.skip(
                f"NOT CHECKED against an S3-compatible server: Swift is missing (apt-get install {packages})"
            )
        self._folder = Path(tempfile.mkdtemp(prefix="swift-"))
        try:
            return self._start_in(self._folder)
        except BaseException:
            self.remove()
            raise

    def _start_in(self, folder: Path) -> str:
        user = unprivileged_user() or pwd.getpwuid(os.getuid()).pw_name
        ports = dict(zip(("proxy", *_STORAGE), _free_ports(4), strict=True))
        (folder / "devices" / "disk").mkdir(parents=True)
        (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = tests\n")
        for name, port in ports.items():
            rest = _PROXY_CONF if name == "proxy" else _STORAGE_CONF.format(name=name)
            common = _COMMON.format(port=port, user=user, folder=folder)
            (folder / f"{name}.conf").write_text(common + rest)
        rings = [f"{name}:{ports[name]}" for name in _STORAGE]
        subprocess.run([_PYTHON, "-I", "-W", "ignore", "-c", _RINGS, str(folder), *rings], check=True)
        if unprivileged_user():
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, user)
        for name in ports:
            with (folder / f"{name}.log").open("wb") as log:
                command = [_PYTHON, "-I", "-W", "ignore", "-c", _RUN, name, str(folder)]
                self._processes.append(
                    subprocess.Popen(command, stdout=log, stderr=log, user=unprivileged_user(), cwd="/")
                )
        endpoint = f"http://127.0.0.1:{ports['proxy']}"
        self._make_bucket(endpoint)
        return endpoint

    def _make_bucket(self, endpoint: str) -> None:
        """Once all four servers answer. obstore makes none, but signs for it."""
        import obstore
        from obstore.store import S3Store

        store = S3Store(
            self._bucket,
            endpoint=endpoint,
            access_key_id=_KEY,
            secret_access_key=_SECRET,
            region="us-east-1",
            client_options={"allow_http": True},
        )
        deadline = time.monotonic() + _START_S
        while True:
            url = obstore.sign(store, "PUT", "", timedelta(minutes=5))
            try:
                urllib.request.urlopen(urllib.request.Request(url, method="PUT")).close()
            except URLError:
                if time.monotonic() > deadline or any(process.poll() for process in self._processes):
                    raise
                time.sleep(0.2)
            else:
                return


@cache
def running_s3() -> S3:
    """One for the whole run, where no fixture can hand it over."""
    server = S3()
    atexit.register(server.remove)
    return server


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
