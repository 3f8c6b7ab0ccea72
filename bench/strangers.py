"""What strangers can cost: `python -m bench.strangers` prints the tables of docs/threat-model.md.

Connections that ask for nothing or do not read; and a rate limiter that sees a hundred thousand addresses,
beside the `limits` library where that is installed.
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

from bench.process import status_mib
from bench.service import default_server

_CONNECTIONS = 400
_ADDRESSES = 100_000
_KINDS = {
    "silent": b"",
    "15 kB of a header that does not end": b"GET / HTTP/1.1\r\nX-Slow: " + b"x" * 15_000,
    "asked for 1.5 MB and does not read": b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: test\r\n\r\n",
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


def _cost_kib(sent: bytes) -> float:
    with (
        tempfile.TemporaryDirectory() as folder,
        default_server(Path("models"), Path(folder)) as server,
        ExitStack() as stack,
    ):
        before = status_mib(server.pid, "RssAnon")
        port = int(server.url.rpartition(":")[2])
        for _ in range(_CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(sent)
        time.sleep(3)
        return (status_mib(server.pid, "RssAnon") - before) * 1024 / _CONNECTIONS


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
