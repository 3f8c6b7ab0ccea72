"""The real server, as a process of its own, and what the tests ask of it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import httpx_sse
import pytest

from backend.blobs import open_blobs
from tests.cgroup import MemoryCgroup
from tests.postgres import running_postgres
from tests.s3 import running_s3

ROOT = Path(__file__).parents[2]
_LISTENS = re.compile(r"listens on (http://[^\s,\"]+)")
_START_S = 120.0
_MAIN = "import sys; from backend.__main__ import main; sys.exit(main())"
on_this_machine = pytest.mark.skipif(
    os.environ.get("TEST_ENGINE") == "ray",
    reason="a stuck replica is replaced by its cluster: it keeps neither the server nor its end",
)
in_its_own_files = pytest.mark.skipif(
    "TEST_STORE" in os.environ, reason="it looks into files that a server with DATABASE_URL does not have"
)
_ONLY_IN_REPLICAS = """import os, sys
if "MALLOC_ARENA_MAX" in os.environ and any("default_worker" in word for word in sys.orig_argv):
    exec({0!r})
"""
LEFT_BY_A_KILLED_SERVER = "01234567-89ab-4def-8123-456789abcdef"


@dataclass
class Server:
    """One running server."""

    process: subprocess.Popen[bytes]
    url: str
    data_dir: Path
    log_file: Path
    start_cpu_s: float
    """Processor time from the start to ready. A busy machine stretches the wall clock, not this."""

    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def photos(self) -> list[Path]:
        """Those on its disk, arriving ones included, but not the copies that a store's are analysed from."""
        arriving = self.data_dir.glob(f"spool/{'?' * len(LEFT_BY_A_KILLED_SERVER)}/photo")
        stored = _in_s3(self.data_dir) if os.environ.get("TEST_STORE") == "s3" else []
        return [*self.data_dir.glob("jobs/*/inputs/*"), *arriving, *stored]

    def wait_until_photos_are_gone(self, within_s: float = 60) -> None:
        deadline = time.monotonic() + within_s
        while self.photos():
            assert time.monotonic() < deadline, self.photos()
            time.sleep(0.02)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        # There is no TLS here, and reading the certificates for it takes 25 ms each time.
        return httpx.request(method, self.url + path, timeout=30, verify=False, **options)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, photo: bytes, path: str = "/api/analyze-stream", **options: Any) -> httpx.Response:
        files = {"image": ("photo", photo)}
        return httpx.post(self.url + path, files=files, timeout=60, verify=False, **options)

    def events(self, photo: bytes, **options: Any) -> list["Arrival"]:
        """Stream one analysis with httpx-sse, an implementation that is not ours."""
        with httpx.Client(timeout=60, verify=False) as client:
            return list(self.stream(client, photo, **options))

    def stream(self, client: httpx.Client, photo: bytes, **options: Any) -> Iterator["Arrival"]:
        url = f"{self.url}/api/analyze-stream"
        files = {"image": ("photo", photo)}
        with httpx_sse.connect_sse(client, "POST", url, files=files, **options) as source:
            source.response.raise_for_status()
            for event in source.iter_sse():
                if not event.data:  # what httpx-sse makes of a comment that follows an id
                    continue
                yield Arrival(time.monotonic(), event.id, event.event, event.json())

    def follow(self, job_id: str, last_id: str) -> list["Arrival"]:
        """Resume after the event of that id, to the job's end."""
        url, headers = f"{self.url}/api/jobs/{job_id}/events", {"Last-Event-ID": last_id}
        with (
            httpx.Client(timeout=60, verify=False) as client,
            httpx_sse.connect_sse(client, "GET", url, headers=headers) as source,
        ):
            source.response.raise_for_status()
            return [
                Arrival(time.monotonic(), event.id, event.event, event.json())
                for event in source.iter_sse()
                if event.data
            ]

    def stop(self, timeout_s: float = 15) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)


@dataclass(frozen=True)
class Arrival:
    """An event and the moment it came."""

    at: float
    id: str
    name: str
    data: dict[str, Any]

    @property
    def step(self) -> str:
        return str(self.data["step"])


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's, without anybody's settings, and with these.

    TEST_ENGINE=ray runs every server that a test starts on a cluster of its own, or with TEST_RAY_ADDRESS as
    an application of its own on that one.
    """
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    engine = {"ENGINE": os.environ.get("TEST_ENGINE", "embedded")}
    if "TEST_RAY_ADDRESS" in os.environ:
        engine |= {"RAY_ADDRESS": os.environ["TEST_RAY_ADDRESS"], "RAY_APPLICATION": f"test-{uuid4().hex}"}
    return {**kept, **engine, "PYTHONPATH": str(ROOT), **settings}


@cache
def _store(data_dir: Path) -> Mapping[str, str]:
    """Where a server keeps its jobs. TEST_STORE=shared: in a real PostgreSQL, and in DATA_DIR as in a folder
    that others could use; TEST_STORE=s3: its files in an S3-compatible server."""
    store = os.environ.get("TEST_STORE", "")
    if not store:
        return {}
    database = {"DATABASE_URL": running_postgres().new_database()}
    if store == "s3":
        os.environ.update(running_s3().environment)
        return {**database, **running_s3().environment, "DATA_URL": running_s3().new_folder()}
    return {**database, "DATA_URL": data_dir.as_uri()}


def _in_s3(data_dir: Path) -> list[Path]:
    """Photos that a server has in its store of files."""
    blobs = open_blobs(_store(data_dir)["DATA_URL"], data_dir / "spool")
    return [Path(job_id) for job_id in blobs.folders("jobs") if blobs.total(f"jobs/{job_id}/inputs")]


def start(
    folder: Path,
    settings: Mapping[str, str],
    cgroup: MemoryCgroup | None = None,
    prelude: str = "",
    arguments: tuple[str, ...] = (),
) -> Server:
    """Start a server that knows only these settings, and wait until its models are loaded or missed.

    `prelude` is Python that its process runs first, for what no healthy server does or no test waits for.
    """
    log_file = folder / "log"
    spool = folder / "data" / "spool" / LEFT_BY_A_KILLED_SERVER
    inputs = folder / "data" / "jobs" / LEFT_BY_A_KILLED_SERVER / "inputs"
    _leave_a_photo(spool if os.environ.get("TEST_STORE") else inputs)
    module = ["-c", f"{prelude}\n{_MAIN}"] if prelude else ["-m", "backend"]
    command = [sys.executable, *module, "--port", "0", *arguments]
    known = environment({"DATA_DIR": str(folder / "data"), **_store(folder / "data"), **settings})
    if prelude and known["ENGINE"] == "ray":
        # Ray's workers are processes that nobody of ours starts: the interpreter itself reads this one first.
        # Those of a cluster that is there already do not: it takes one that this server starts.
        known["RAY_ADDRESS"] = settings.get("RAY_ADDRESS", "")
        (folder / "sitecustomize.py").write_text(_ONLY_IN_REPLICAS.format(prelude))
        known["PYTHONPATH"] = f"{folder}:{known['PYTHONPATH']}"
    begin = time.monotonic()
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            cgroup.command(*command) if cgroup else command,
            env=known,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        url = _wait_for_url(process, log_file, begin)
        _wait_for_models(url, begin)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return Server(process, url, folder / "data", log_file, _cpu_s(process.pid))


def _leave_a_photo(inputs: Path) -> None:
    """What a server that was killed during an upload would have left: no test may ever see it again."""
    inputs.mkdir(parents=True, exist_ok=True)
    (inputs / "photo").write_bytes(b"photo")


def _cpu_s(pid: int) -> float:
    """User and system time of a process (proc_pid_stat(5), fields 14 and 15, counted after the name)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _wait_for_url(process: subprocess.Popen[bytes], log_file: Path, begin: float) -> str:
    while time.monotonic() - begin < _START_S:
        found = _LISTENS.search(log_file.read_text(encoding="utf-8"))
        if found:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise AssertionError(f"the server did not start:\n{log_file.read_text(encoding='utf-8')}")


def _wait_for_models(url: str, begin: float) -> None:
    while time.monotonic() - begin < _START_S:
        try:
            answer = httpx.get(f"{url}/readyz", verify=False)
        except httpx.TransportError:
            continue
        if answer.status_code == 200 or "loading" not in answer.text:
            return
        time.sleep(0.01)
    raise AssertionError("the models did not load")


def problem(answer: httpx.Response) -> dict[str, Any]:
    """The answer's problem details, after a look at what every one of them must have."""
    assert answer.headers["content-type"] == "application/problem+json"
    details: dict[str, Any] = json.loads(answer.content)
    assert details.keys() == {"type", "title", "status", "detail", "code", "instance"}
    assert details["status"] == answer.status_code
    assert details["type"] == f"urn:holdcheck:problem:{details['code']}"
    assert details["instance"] == f"urn:holdcheck:request:{answer.headers['x-request-id']}"
    assert details["title"]
    assert details["detail"]
    return details
