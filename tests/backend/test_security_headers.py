"""What browsers are told with every answer, and that our own pages keep to it."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from backend.routers import page
from backend.security_headers import API_POLICY, PAGE_POLICY
from tests.backend.conftest import KEYS
from tests.backend.server import Server, problem

PAGES = ("/", "/docs")
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_REFUSALS = re.compile(r"CONSOLE.*(?:Content Security Policy|Refused to|violates)")


def _assert_stamped(answer: httpx.Response) -> None:
    assert {name: answer.headers.get_list(name) for name in ALWAYS} == {
        name: [value] for name, value in ALWAYS.items()
    }
    assert "camera=(self)" in answer.headers["permissions-policy"]
    assert len(answer.headers.get_list("content-security-policy")) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("HEAD", "/api/health", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/api/jobs/x", 401),
        ("GET", "/nothing", 401),
        ("GET", "/nothing%0A", 404),
        ("PATCH", "/livez", 405),
        ("POST", "/api/jobs", 401),
    ],
)
def test_every_answer_that_is_no_page_may_run_nothing(
    closed_server: Server, method: str, path: str, status: int
) -> None:
    answer = closed_server.request(method, path, headers={"X-Forwarded-For": "198.51.100.1"})
    assert answer.status_code == status
    _assert_stamped(answer)
    assert answer.headers["content-security-policy"] == API_POLICY


def test_streams_preflights_and_refused_hosts_are_stamped_too(
    closed_server: Server, guarded_server: Server, wall: bytes
) -> None:
    key = {"X-API-Key": KEYS[0]}
    asked = {"Origin": "https://wall.example", "Access-Control-Request-Method": "POST"}
    for answer, status in (
        (closed_server.post(wall, headers=key), 200),
        (closed_server.post(b"no photo", headers=key), 415),
        (closed_server.request("OPTIONS", "/api/jobs", headers=asked), 200),
        (guarded_server.get("/api/health", headers={"Host": "evil.example"}), 400),
    ):
        assert answer.status_code == status
        _assert_stamped(answer)


def _preflight(server: Server, **headers: str) -> httpx.Response:
    asked = {"Origin": "https://wall.example", "Access-Control-Request-Method": "POST"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request("OPTIONS", "/api/jobs", headers={**asked, **named})


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Origin": "https://evil.example"}, "origin"),
        ({"Access_Control_Request_Method": "PATCH"}, "method"),
        ({"Access_Control_Request_Headers": "x-evil"}, "headers"),
    ],
)
def test_a_refused_preflight_is_a_problem_as_every_error(
    guarded_server: Server, headers: dict[str, str], reason: str
) -> None:
    answer = _preflight(guarded_server, **headers)
    details = problem(answer)
    assert (answer.status_code, details["code"]) == (400, "origin_not_allowed")
    assert f"CORS {reason}" in details["detail"]
    assert ("access-control-allow-origin" in answer.headers) == (reason != "origin")
    _assert_stamped(answer)


def test_a_preflight_by_another_name_is_refused_for_the_name(guarded_server: Server) -> None:
    answer = _preflight(guarded_server, Host="evil.example")
    assert (answer.status_code, problem(answer)["code"]) == (400, "host_not_trusted")


def test_a_preflight_of_an_origin_that_is_named_passes(guarded_server: Server) -> None:
    answer = _preflight(guarded_server, Access_Control_Request_Headers="x-api-key")
    assert answer.status_code == 200
    assert answer.headers.get_list("access-control-allow-origin") == ["https://wall.example"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_runs_nothing_but_ours(server: Server, path: str) -> None:
    answer = server.get(path)
    _assert_stamped(answer)
    assert answer.headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY


_PAGE_PARTS = ("text/javascript", "text/css", "application/manifest+json", "image/")
_FRONT_DOOR = "Take a photo" if (page.DIST / "index.html").is_file() else "how to call it"
"""With the app built, or without."""


class _Resources(HTMLParser):
    """What a page loads, and what it brings inline."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in attributes) or "style" in attributes:
            self.inline.append(tag)
        self.inline += [name for name in attributes if name.startswith("on")]
        source = attributes.get("src") if tag != "link" else attributes.get("href")
        self.loads += [source] if source else []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_needs_no_other_origin_and_brings_nothing_inline(server: Server, path: str) -> None:
    resources = _Resources()
    resources.feed(server.get(path).text)
    assert resources.inline == []
    for load in resources.loads:
        answer = httpx.get(httpx.URL(server.url + path).join(load), verify=False)
        assert answer.status_code == 200
        assert str(answer.url).startswith(server.url)
        assert answer.headers["content-type"].startswith(_PAGE_PARTS)


needs_chromium = pytest.mark.skipif(
    not shutil.which("chromium"), reason="chromium is not installed: pages were not opened in a browser"
)


@needs_chromium
@pytest.mark.parametrize(
    ("path", "shown"), [("/", _FRONT_DOOR), ("/docs", "Analyse a photo, stage by stage")]
)
def test_a_browser_shows_the_page_and_refuses_nothing(
    server: Server, tmp_path: Path, path: str, shown: str
) -> None:
    page, console = _open(server.url + path, tmp_path)
    assert shown in page
    assert not _REFUSALS.search(console), console


@needs_chromium
def test_such_a_test_would_notice(tmp_path: Path, foreign_page: str) -> None:
    _, console = _open(foreign_page, tmp_path)
    assert _REFUSALS.search(console)


@pytest.fixture
def foreign_page() -> Iterator[str]:
    """A page that breaks the policy that comes with it."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Security-Policy", PAGE_POLICY)
            self.end_headers()
            self.wfile.write(b"<p>x</p><script>document.body.append('ran')</script>")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}/"
        http.shutdown()


def _open(url: str, profile: Path) -> tuple[str, str]:
    """The page's document once its scripts ran, and the browser's log."""
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom")
    done = subprocess.run(
        ["chromium", *options, "--virtual-time-budget=10000", f"--user-data-dir={profile}", url],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout, done.stderr
