"""Damaged photos and damaged uploads against the real server, over a plain socket.

The server runs with its default settings and the bundled models in a memory cgroup of 256 MiB. It must answer
each request with something other than 500, stay the same process, and have nothing left in the end but its
jobs.
"""

import contextlib
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.mutate import mutant
from bench.process import status_mib
from tests.cgroup import MemoryCgroup

_START_S = 180.0
_ANSWER_S = 120.0
_RSS_MIB = 200.0
"""What the idle server may hold afterwards: it is ready at about 100, and the last photo leaves a little."""
_LISTENS = re.compile(r"listens on (http://[^\s,\"]+)")


@dataclass(slots=True)
class HttpReport:
    """What the server answered."""

    statuses: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    rss_mib: float = 0.0
    peak_mib: float = 0.0
    """Of the cgroup, page cache included."""

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(what)
            print(what, file=sys.stderr, flush=True)


class RealServer:
    """`python -m backend` with default settings, on a free port of 127.0.0.1."""

    def __init__(self, folder: Path, cgroup: MemoryCgroup | None, **settings: str) -> None:
        self.data = folder / "data"
        self.log = folder / "server.log"
        command = [sys.executable, "-m", "backend", "--port", "0"]
        self.cgroup = cgroup
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        root = Path(__file__).parents[1]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                cgroup.command(*command) if cgroup else command,
                env={**kept, "PYTHONPATH": str(root), "DATA_DIR": str(self.data), **settings},
                cwd=folder,  # no .env of ours
                stdout=log,
                stderr=log,
            )
        self.url = self._wait()

    def _wait(self) -> str:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            found = _LISTENS.search(self.log.read_text())
            with contextlib.suppress(httpx.TransportError):
                if found and httpx.get(f"{found[1]}/readyz", timeout=5).is_success:
                    return found[1]
            time.sleep(0.05)
        self.process.kill()
        raise SystemExit(f"fuzz: the server did not start: {self.log.read_text()}")

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def run(requests: int, seed: int, folder: Path, cgroup: MemoryCgroup | None) -> HttpReport:
    """Start a server, send it that many requests, and stop it."""
    server = RealServer(folder, cgroup)
    try:
        report = attack(server, requests, seed)
        if cgroup:
            report.peak_mib = cgroup.usage().peak_mib
    finally:
        status = server.stop()
    report.expect(status == 0, f"the server ended with status {status}")
    return report


def summary(report: HttpReport) -> str:
    """What the server answered, in lines."""
    answers = ", ".join(f"{status} {count}" for status, count in report.statuses.most_common())
    return (
        f"requests to the real server: {report.statuses.total()} ({answers})\n"
        f"its RSS afterwards: {report.rss_mib:.0f} MiB; most in its cgroup: {report.peak_mib:.0f} MiB"
    )


def attack(server: RealServer, requests: int, seed: int) -> HttpReport:
    """Send that many, one after the other, and look at what is left."""
    report = HttpReport()
    for number in range(requests):
        rng = random.Random(f"http {seed}:{number}")  # noqa: S311 - repeatable, not secret
        name, data, closes = _request(rng, seed, number)
        status, body = exchange(server.address, data, closes)
        report.statuses[status] += 1
        report.expect(
            not status.startswith("500") and status != "no answer",
            f"http seed {seed} request {number} ({name}): {status} {body[:300]!r}",
        )
        if server.process.poll() is not None:
            report.expect(False, f"request {number} ({name}) ended the server")
            return report
    _judge(server, report)
    return report


def _judge(server: RealServer, report: HttpReport) -> None:
    _wait_until_idle(server)
    report.rss_mib = status_mib(server.process.pid, "VmRSS")
    report.expect(report.rss_mib < _RSS_MIB, f"the idle server holds {report.rss_mib:.0f} MiB")
    report.expect(
        httpx.get(f"{server.url}/readyz", timeout=30).is_success, "the server is not ready any more"
    )
    if server.cgroup:
        report.expect(server.cgroup.usage().oom_kills == 0, "something was killed for its memory")
    report.expect(not list(server.data.glob("jobs/*/inputs/*")), "a photo outlived its job")
    kept = {path.name for path in server.data.iterdir()}
    strange = kept - {"jobs", "jobs.sqlite3", "jobs.sqlite3-wal", "jobs.sqlite3-shm", "lock", ".lock"}
    report.expect(not strange, f"DATA_DIR holds {strange}")
    log = server.log.read_text(errors="replace")
    report.expect("Traceback" not in log, f"the log has a traceback: {log[log.find('Traceback') :][:1500]}")


def _wait_until_idle(server: RealServer) -> None:
    deadline = time.monotonic() + _ANSWER_S
    while time.monotonic() < deadline:
        waiting = httpx.get(f"{server.url}/api/health", timeout=30).json()["queue"]
        if not waiting["running"] and not waiting["waiting"]:
            return
        time.sleep(0.2)


def exchange(address: tuple[str, int], data: bytes, closes: bool) -> tuple[str, bytes]:
    """Send bytes as they are; the answer's status, or that the line was closed, and what else came.

    Args:
        closes: say that nothing more will come, or hang up where the server waits for more.
    """
    answer = b""
    with socket.create_connection(address, timeout=_ANSWER_S) as line:
        with contextlib.suppress(OSError):  # it may have answered and closed before all was sent
            line.sendall(data)
            if closes:
                line.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while piece := line.recv(65_536):
                answer += piece
                if closes and len(answer) > 2**20:
                    break
    head, _, body = answer.partition(b"\r\n\r\n")
    match = re.match(rb"HTTP/1\.1 (\d{3})", head)
    if match is None:
        return ("closed" if closes else "no answer"), answer
    return match[1].decode(), body


# --- requests ---------------------------------------------------------------------------------------------

_BOUNDARY = b"holdcheckboundary"


def _request(rng: random.Random, seed: int, number: int) -> tuple[str, bytes, bool]:
    """Name, bytes, and whether the line is closed after them."""
    made = mutant(seed, number)
    photo = made.data if len(made.data) < 5_000_000 else made.data[:100_000]
    if rng.random() < 0.6:
        return made.recipe, _post(_form(photo, rng), path=_path(rng)), False
    broken = rng.choice(_BROKEN)
    return broken.__name__, *broken(rng, photo)


def _path(rng: random.Random) -> bytes:
    return rng.choice((b"/api/analyze-stream", b"/api/analyze", b"/api/jobs"))


def _form(photo: bytes, rng: random.Random) -> bytes:
    field = rng.choice((b"image", b"file"))
    name = rng.choice(
        (b"photo.jpg", b"../../etc/passwd", b'a\\"b.png', b"photo.php%00.jpg", "벽.heic".encode())
    )
    kind = rng.choice((b"image/jpeg", b"text/html", b"application/octet-stream"))
    head = b'Content-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: %s' % (
        field,
        name,
        kind,
    )
    return b"--%s\r\n%s\r\n\r\n%s\r\n--%s--\r\n" % (_BOUNDARY, head, photo, _BOUNDARY)


def _post(
    body: bytes,
    headers: bytes = b"",
    *,
    path: bytes = b"/api/jobs",
    length: int | None = None,
    chunked: bool = False,
) -> bytes:
    if b"content-type" not in headers.lower():
        headers += b"Content-Type: multipart/form-data; boundary=%s\r\n" % _BOUNDARY
    if not chunked:
        headers += b"Content-Length: %d\r\n" % (len(body) if length is None else length)
    return b"POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n%s" % (path, headers, body)


def _no_boundary(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    form = b"multipart/form-data"
    others = (b"text/plain", b"multipart/mixed; boundary=a", b"; ;")
    boundaries = (b"", b"; boundary=", b"; boundary=" + b"x" * 4000, b'; boundary="\xff"')
    kind = rng.choice((*others, *(form + boundary for boundary in boundaries)))
    return _post(_form(photo, rng), b"Content-Type: %s\r\n" % kind), False


def _no_form(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    return _post(
        rng.choice((b"", photo[:5000], b"--%s" % _BOUNDARY, b"--%s--\r\n" % _BOUNDARY, b"\r\n" * 1000))
    ), False


def _nested(rng: random.Random, _photo: bytes) -> tuple[bytes, bool]:
    inner = b'--inner\r\nContent-Disposition: form-data; name="image"\r\n\r\nx\r\n--inner--\r\n'
    head = b'Content-Disposition: form-data; name="image"\r\nContent-Type: multipart/mixed; boundary=inner'
    parts = b"--%s\r\n%s\r\n\r\n%s\r\n" % (_BOUNDARY, head, inner) * rng.choice((1, 2, 300))
    return _post(parts + b"--%s--\r\n" % _BOUNDARY), False


def _part_headers(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    head = rng.choice((
        b"X: " + b"a" * 100_000,
        b"X: a\r\n" * 5000 + b'Content-Disposition: form-data; name="image"',
        b"Content-Disposition: form-data; name=\"" + b"n" * 30_000 + b"\"",
        b"Content-Disposition: form-data; name=image; name=file; filename*=utf-8''%FF%00",
        b"Content-Disposition: form-data; name=\"\xff\xfe\"",
        b"Content-Disposition",
        b": ",
        b"Content-Disposition: form-data; name=\"wall_angle\"",
    ))  # fmt: skip
    return _post(b"--%s\r\n%s\r\n\r\n%s\r\n--%s--\r\n" % (_BOUNDARY, head, photo[:3000], _BOUNDARY)), False


def _many_parts(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    part = b'--%s\r\nContent-Disposition: form-data; name="wall_angle"\r\n\r\nslab\r\n' % _BOUNDARY
    return _post(part * rng.choice((10, 900, 50_000)) + _form(photo, rng)), False


def _lying_length(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    body = _form(photo, rng)
    length = rng.choice((0, 1, len(body) - 1, len(body) + 1000, 10**9, 10**30))
    return _post(body, length=length), True


def _strange_length(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    value = rng.choice((b"-1", b"1e3", b"0x10", b"", b"5, 5", b"\xd9\xa1", b"5\r\nContent-Length: 6"))
    return _post(_form(photo, rng), b"Content-Length: %s\r\n" % value, chunked=True), True


def _chunked(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    body = _form(photo, rng)[:200_000]
    sizes = rng.choice(
        (
            b"%x" % len(body),
            b"-5",
            b"ffffffffffffffffff",
            b"zz",
            b"",
            b"0",
            b"%x;ext=%s" % (len(body), b"e" * 9000),
        )
    )
    data = b"%s\r\n%s\r\n0\r\n\r\n" % (sizes, body)
    both = rng.choice((b"", b"Content-Length: 5\r\n"))
    return _post(data, b"Transfer-Encoding: chunked\r\n" + both, chunked=True), True


def _many_chunks(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    data = b"".join(b"1\r\n%c\r\n" % byte for byte in _form(photo[:20_000], rng)) + b"0\r\n\r\n"
    return _post(data, b"Transfer-Encoding: chunked\r\n", chunked=True), False


def _headers(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    extra = rng.choice((
        b"X: " + b"a" * 70_000 + b"\r\n",
        b"X: a\r\n" * 3000,
        b"Idempotency-Key: " + b"\xff" * 10 + b"\r\n",
        b"Idempotency-Key: " + b"k" * 5000 + b"\r\n",
        b"Accept-Language: " + b"ko;q=" * 2000 + b"\r\n",
        b"Accept-Language: ko;q=nan, en;q=1e999, *;q=-1\r\n",
        b"X-Request-ID: a\x01b\r\n",
        b"Expect: 100-continue\r\n",
        b"Cookie: \xf0\x9f\xa7\x97\r\n",
    ))  # fmt: skip
    return _post(_form(photo, rng), extra), True


def _not_http(rng: random.Random, photo: bytes) -> tuple[bytes, bool]:
    starts = (b"GET", b"\r\n\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00")
    long = b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"
    return rng.choice((photo[:1000], long, *starts)), True


def _other_paths(rng: random.Random, _photo: bytes) -> tuple[bytes, bool]:
    job = rng.choice(
        (b"x", b"..", b"%2e%2e%2f", b"a" * 5000, b"%00", b"%ff", b"6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11")
    )
    method = rng.choice((b"GET", b"DELETE", b"PUT", b"HEAD", b"OPTIONS", b"TRACE"))
    path = rng.choice((b"/api/jobs/%s", b"/api/jobs/%s/events", b"/%s"))
    last = rng.choice(
        (
            b"",
            b"Last-Event-ID: 99999999999999999999\r\n",
            b"Last-Event-ID: \xb2\r\n",
            b"Last-Event-ID: -1\r\n",
        )
    )
    return b"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n" % (
        method,
        path % job,
        last,
    ), False


_BROKEN = (
    _no_boundary,
    _no_form,
    _nested,
    _part_headers,
    _many_parts,
    _lying_length,
    _strange_length,
    _chunked,
    _many_chunks,
    _headers,
    _not_http,
    _other_paths,
)
