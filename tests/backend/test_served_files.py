"""No path that a client chose is ever opened, and nothing that the server loads is a pickle."""

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.backend.server import ROOT, Server, start

_WATCH = """
import os, sys
_SEEN = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_EVENTS = {"open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir"}
def watch(event, arguments):
    if event.startswith("pickle.") or event in _EVENTS:
        os.write(_SEEN, f"{event} {arguments[0]!r}\\n".encode())
sys.addaudithook(watch)
"""
"""A hook that no code can take away again (PEP 578): what is opened, and which pickles name classes."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("seen") / "events"


@pytest.fixture(scope="module")
def watched_server(tmp_path_factory: pytest.TempPathFactory, seen: Path) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("watched"), {"SEEN": str(seen)}, prelude=_WATCH)
    _raw_get(server, "/api/jobs/x")  # a router's first request makes FastAPI look at its source
    _raw_get(server, "/docs")
    yield server
    server.stop()


def _raw_get(server: Server, target: str, method: str = "GET") -> tuple[int, str]:
    """A request whose target nobody tidies up."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.putrequest(method, "/", skip_host=True)
        connection._buffer[0] = f"{method} {target} HTTP/1.1".encode("latin1")  # type: ignore[attr-defined]
        connection.putheader("Host", "test")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


IDS = [
    "..",
    ".",
    "%2e%2e",
    "..%2f..%2fjobs.sqlite3",
    "..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    "..%5c..%5cjobs.sqlite3",
    "%00",
    "x%00.json",
    "%0d%0aX-Injected:%201",
    "%ff%fe",
    "%F0%9F%A7%97",
    "~",
    "*",
    "CON",
    "lock",
    "a" * 4000,
    "%2e" * 1000,
    "'%20OR%201=1--",
    "${jndi:ldap:x}",
]
NOBODYS = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("job_id", IDS, ids=lambda job_id: job_id[:30])
def test_an_id_that_is_none_is_404_and_leads_to_no_file(
    watched_server: Server, seen: Path, job_id: str
) -> None:
    before = len(seen.read_text().splitlines())
    for method, rest in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        status, body = _raw_get(watched_server, f"/api/jobs/{job_id}{rest}", method)
        assert status == 404, body
        assert '"code":"job_not_found"' in body or '"code":"not_found"' in body
    assert seen.read_text().splitlines()[before:] == []


def test_an_id_of_the_right_form_leads_to_its_own_folders_at_most(watched_server: Server, seen: Path) -> None:
    before = len(seen.read_text().splitlines())
    for method, rest in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        assert _raw_get(watched_server, f"/api/jobs/{NOBODYS}{rest}", method)[0] == 404
    data_dir = watched_server.data_dir
    its_own = tuple(f"open '{data_dir / folder / NOBODYS}/" for folder in ("jobs", "corrections"))
    for line in seen.read_text().splitlines()[before:]:
        assert line.startswith(its_own)


@pytest.mark.parametrize(
    "target",
    [
        "/docs/../../etc/passwd",
        "/docs/..%2f..%2fetc%2fpasswd",
        "/docs/%2e%2e/backend/settings.py",
        "/docs/favicon.png",
        "/docs/redoc.standalone.js",
        "/docs//swagger-ui.css",
        "/.env",
        "/data/jobs.sqlite3",
        "/..%2f.env",
        "//etc/passwd",
        "http://evil.example/api/health",
    ],
)
def test_no_other_file_is_served(watched_server: Server, seen: Path, target: str) -> None:
    before = len(seen.read_text().splitlines())
    status, _ = _raw_get(watched_server, target)
    assert status == 404
    assert seen.read_text().splitlines()[before:] == []


def test_no_pickle_is_loaded_by_a_start_and_an_analysis(
    watched_server: Server, seen: Path, wall: bytes
) -> None:
    assert watched_server.events(wall)[-1].step == "complete"
    events = seen.read_text().splitlines()
    assert any(event.startswith("open ") for event in events)  # the hook is at work
    assert not [event for event in events if event.startswith("pickle.")]


def test_the_hook_would_see_one(tmp_path: Path) -> None:
    code = f"{_WATCH}\nimport collections, pickle; pickle.loads(pickle.dumps(collections.OrderedDict()))"
    file = tmp_path / "events"
    subprocess.run([sys.executable, "-c", code], env={"SEEN": str(file)}, check=True)
    assert "pickle.find_class" in file.read_text()


def test_no_code_of_the_server_could_load_one() -> None:
    loads = re.compile(
        r"\b(import|from) (pickle|dill|joblib|marshal|shelve|cloudpickle)\b|allow_pickle=True|torch\.load\("
    )
    served = [*(ROOT / "backend").rglob("*.py"), *(ROOT / "holdcheck").rglob("*.py")]
    assert [file for file in served if loads.search(file.read_text(encoding="utf-8"))] == []
