"""The front door: the built app, file by file, and what stands there without it."""

import gzip
import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.backend.server import Server, problem, start

_PAGE = b"<!doctype html><title>the app</title>"
_SCRIPT = b"console.log('the app');" * 50
_SECRET = b"nobody's business"


def _server(folder: Path, dist: Path) -> Server:
    prelude = f"from pathlib import Path; from backend.routers import page; page.DIST = Path({str(dist)!r})"
    return start(folder, {}, prelude=prelude)


@pytest.fixture(scope="module")
def app_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page")
    dist = folder / "dist"
    (dist / "assets").mkdir(parents=True)
    (folder / "secret").write_bytes(_SECRET)
    (dist / "index.html").write_bytes(_PAGE)
    (dist / "manifest.webmanifest").write_bytes(b"{}")
    (dist / "sw.js").write_bytes(b"// worker")
    (dist / "assets" / "index-AbC123.js").write_bytes(_SCRIPT)
    (dist / "assets" / "index-AbC123.js.gz").write_bytes(gzip.compress(_SCRIPT))
    server = _server(folder, dist)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bare")
    server = _server(folder, folder / "dist")
    yield server
    server.stop()


def test_the_page_is_asked_for_again_each_time(app_server: Server) -> None:
    answer = app_server.get("/")
    assert answer.content == _PAGE
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    again = app_server.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_carries_a_hash_in_its_name_is_kept_for_ever(app_server: Server) -> None:
    answer = app_server.get("/assets/index-AbC123.js")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


def test_the_worker_is_not_kept(app_server: Server) -> None:
    assert app_server.get("/sw.js").headers["cache-control"] == "no-cache"
    assert app_server.get("/manifest.webmanifest").headers["content-type"] == "application/manifest+json"


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br", "gzip"), ("br", None), ("gzip;q=0", None), ("identity", None)],
)
def test_zipped_goes_to_who_takes_it(app_server: Server, accepted: str, coding: str | None) -> None:
    answer = app_server.get("/assets/index-AbC123.js", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.content == _SCRIPT


@pytest.mark.parametrize(
    "target",
    [
        "/../secret",
        "/assets/../../secret",
        "/assets/..%2f..%2fsecret",
        "/%2e%2e/secret",
        "//secret",
        "/assets/index-AbC123.js.gz",
        "/index.html",
        "/assets/",
    ],
)
def test_only_the_files_of_the_build_are_there(app_server: Server, target: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(app_server.url).netloc, timeout=30)
    connection.request("GET", target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 404
    assert _SECRET not in body


def test_an_unknown_path_is_a_problem_as_ever(app_server: Server) -> None:
    assert problem(app_server.get("/nowhere"))["code"] == "not_found"
    assert problem(app_server.post(b"", "/sw.js"))["code"] == "method_not_allowed"


def test_without_a_build_the_page_says_how_to_make_it(bare_server: Server) -> None:
    answer = bare_server.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "make run" in answer.text
    assert 'href="docs"' in answer.text
    assert bare_server.get("/api/health").json()["status"] == "ok"
