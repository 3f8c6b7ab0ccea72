"""What strangers can cost: `python -m bench.strangers` prints the tables of docs/threat-model.md.

Connections that ask for nothing or do not read; and a rate limiter that sees a hundred thousand addresses,
beside the `limits` library where that is installed.

Loopback's send buffers take megabytes and hide what a slow line costs. So, as root, with a phone's:

    unshare -n sh -c 'ip link set lo up; sysctl -qw net.ipv4.tcp_wmem="4096 16384 65536";
                      python -m bench.strangers'
"""

import gc
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench.process import status_mib
from bench.server import FAKES, Server
from bench.service import default_server

_CONNECTIONS = 400
_ADDRESSES = 100_000
_SETTLE_S = 8
"""Until each has all that it will have; before the first is cut (backend/slow_readers.py)."""
_REQUEST = " HTTP/1.1\r\nHost: test\r\n\r\n"
_KINDS = {
    "silent": "",
    "15 kB of a header that does not end": "GET / HTTP/1.1\r\nX-Slow: " + "x" * 15_000,
    "asked for a file of 1.5 MB and does not read": "GET /docs/swagger-ui-bundle.js" + _REQUEST,
    "asked for a result of 1 MB and does not read": "GET /api/jobs/{job_id}" + _REQUEST,
    "asked for corrections of 256 KB and does not read": "GET /api/jobs/{job_id}/corrections" + _REQUEST,
    "asked for an event of 1 MB and does not read": "GET /api/jobs/{job_id}/events" + _REQUEST,
}
_LIMITERS = ("ours", "limits")


def main() -> None:
    """Print both tables."""
    if len(sys.argv) > 1:
        _weigh_limiter(sys.argv[1])
        return
    print(f"| {_CONNECTIONS} connections, each | KiB anonymous |")
    print("| --- | ---: |")
    for kind, sent in _KINDS.items():
        print(f"| {kind} | {_cost_kib(sent):.0f} |", flush=True)
    print(f"\n| limiter | import, MiB | {_ADDRESSES} addresses, MiB | one request, us |")
    print("| --- | ---: | ---: | ---: |", flush=True)
    for name in _LIMITERS:
        subprocess.run([sys.executable, "-m", "bench.strangers", name], check=True)


def _cost_kib(sent: str) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        default_server(Path("models"), Path(folder), **FAKES) as server,
        ExitStack() as stack,
    ):
        request = sent.replace("{job_id}", _job_with_long_documents(server)).encode()
        before = status_mib(server.pid, "RssAnon")
        port = int(server.url.rpartition(":")[2])
        for _ in range(_CONNECTIONS):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.sendall(request)
        time.sleep(_SETTLE_S)
        return (status_mib(server.pid, "RssAnon") - before) * 1024 / _CONNECTIONS


def _job_with_long_documents(server: Server) -> str:
    """A job that is done, with the longest documents that there may be."""
    with min(Path("samples").glob("*.jpg")).open("rb") as photo:
        answer = httpx.post(f"{server.url}/api/analyze", files={"image": photo}, timeout=60)
    job_id = str(answer.raise_for_status().json()["job_id"])
    job = server.data / "jobs" / job_id
    (job / "outputs" / "result.json").write_bytes(_long_document(2**20))
    (job / "outputs" / "corrections.json").write_bytes(_long_document(2**18))
    (job / "interim" / "events").write_bytes(b"1 " + _long_document(2**20) + b"\n")
    return job_id


def _long_document(size: int) -> bytes:
    return b'{"padding":"' + b"x" * size + b'"}'


def _weigh_limiter(name: str) -> None:
    """One row, from a process of its own."""
    import backend.app  # noqa: F401  # what is there anyway

    begin = status_mib(os.getpid(), "RssAnon")
    take = _take_of(name)
    if take is None:
        print(f"| {name}: not installed | | | |")
        return
    loaded = status_mib(os.getpid(), "RssAnon")
    start = time.perf_counter()
    for number in range(_ADDRESSES):
        take(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64")
    took_s = time.perf_counter() - start
    gc.collect()
    grown = status_mib(os.getpid(), "RssAnon") - loaded
    print(f"| {name} | {loaded - begin:.1f} | {grown:.1f} | {took_s / _ADDRESSES * 1e6:.1f} |", flush=True)


def _take_of(name: str) -> Callable[[str], object] | None:
    if name == "ours":
        from backend.rate_limit import RateLimiter, parse_limits

        return RateLimiter(parse_limits("30/minute")).take
    try:
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter
    except ImportError:
        return None
    limiter, limit = MovingWindowRateLimiter(MemoryStorage()), parse("30/minute")
    return lambda client: limiter.hit(limit, client)


if __name__ == "__main__":
    main()
