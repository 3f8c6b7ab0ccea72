"""What asks the server in its container how it is, as the image calls it."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

_SCRIPT = Path(__file__).parents[2] / "deploy" / "healthcheck.py"
_MOST_MIB = 4
_MEASURE = """
print(next(line for line in open("/proc/self/smaps_rollup") if line.startswith("Anonymous:")).split()[1])
"""


class _Ready(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), _Ready) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _ask(port: int, script: str | Path = _SCRIPT) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-I", "-S", *([str(script)] if isinstance(script, Path) else ["-c", script])]
    return subprocess.run(command, env={"PORT": str(port)}, capture_output=True, text=True, timeout=10)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_it_passes_where_photos_should_be_sent(
    server: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int, code: int
) -> None:
    monkeypatch.setattr(_Ready, "status", status)
    done = _ask(server.server_port)
    assert (done.returncode, done.stderr) == (code, "")
    assert str(status) in done.stdout


def test_it_fails_in_one_line_where_nobody_answers(server: HTTPServer) -> None:
    server.socket.close()
    done = _ask(server.server_port)
    assert done.returncode == 1
    assert done.stderr.startswith("no answer: ")
    assert "Traceback" not in done.stderr


def test_it_takes_next_to_nothing_of_the_servers_memory(server: HTTPServer) -> None:
    text = _SCRIPT.read_text()
    done = _ask(server.server_port, text.replace("sys.exit(b", f"{_MEASURE}\nsys.exit(b"))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) / 1024 < _MOST_MIB
