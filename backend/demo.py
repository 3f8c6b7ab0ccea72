"""`make demo`: a sample photo through a server of its own; prints the stream and draws the result."""

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

from holdcheck import draw
from holdcheck.cli import table
from holdcheck.result import Result
from holdcheck.settings import Settings

_SAMPLES = Path("samples")
_START_WITHIN_S = 60
_KEY = secrets.token_hex()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m backend.demo", description=__doc__)
    parser.add_argument("photo", type=Path, nargs="?", help="the first of samples/ unless given")
    parser.add_argument(
        "--out", type=Path, default=Path("build/demo.jpg"), help="where the drawn picture goes"
    )
    arguments = parser.parse_args()
    photo = arguments.photo or min(_SAMPLES.glob("*.jpg"), default=None)
    if photo is None or not photo.is_file():
        print(f"demo: no photo at {photo or _SAMPLES}", file=sys.stderr)
        return 1
    with _server() as url:
        answer = _stream(url, photo)
    if answer is None:
        return 1
    result = Result.model_validate(answer)
    print(table(result))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    draw.save(photo, result, Settings.load(), arguments.out)
    print(f"the picture with every hold outlined: {arguments.out}")
    return 0


@contextmanager
def _server() -> Iterator[str]:
    """A real server on a free port, ended with the demo."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "backend", "--host", "127.0.0.1", "--port", str(port)]
    # Its own folder: the one of the settings may be a running server's.
    with tempfile.TemporaryDirectory(prefix="holdcheck-demo-") as data_dir:
        own = {"LOG_LEVEL": "WARNING", "DATA_DIR": data_dir, "API_KEYS": _KEY, "TRUSTED_HOSTS": "127.0.0.1"}
        environment = {**os.environ, **own}
        process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own module, no shell
        try:
            _wait_until_ready(process, url)
            yield url
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit("demo: the server stopped; see its message above")
        try:
            urllib.request.urlopen(f"{url}/readyz").close()  # noqa: S310 - our own http address
            return
        except urllib.error.URLError:
            time.sleep(0.05)
    raise SystemExit(f"demo: the server was not ready within {_START_WITHIN_S} s")


def _stream(url: str, photo: Path) -> Any:
    """Send the photo and print each event as it comes; the whole result, or None after an error."""
    print(f"{photo} -> {url}/api/analyze-stream")
    with _post(f"{url}/api/analyze-stream", photo) as response:
        for line in response:
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line.removeprefix(b"data:"))
            seconds, memory = event["elapsed_ms"] / 1000, event["memory"]["rss_mb"]
            print(f"{seconds:7.2f} s {event['progress']:4d}% {memory:6.1f} MiB  {event['message']}")
            if event["step"] == "complete":
                return event["result"]
    return None


def _post(url: str, photo: Path) -> HTTPResponse:
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="photo"\r\n\r\n'.encode()
    body = head + photo.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "X-API-Key": _KEY}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - our own http address
    response: HTTPResponse = urllib.request.urlopen(request)  # noqa: S310
    return response


if __name__ == "__main__":
    sys.exit(main())
