"""A real Caddy before a real server, with the Caddyfile that docker-compose.yml gives it."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CADDYFILE = ROOT / "deploy" / "Caddyfile"
_START_S = 30.0


def caddy() -> str:
    program = shutil.which("caddy")
    if program is None:
        pytest.fail("Caddy is not installed: apt-get install --no-install-recommends caddy")
    return program


def environment(folder: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Whatever Caddy keeps goes into `folder`, and it can be asked for nothing from outside."""
    place = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    return {"PATH": os.environ["PATH"], "CADDY_ADMIN": f"unix/{folder}/admin", **place, **settings}


@contextmanager
def caddy_before(upstream: str, folder: Path, **settings: str) -> Iterator[str]:
    """Run it, on a free port and without certificates, before the server at `upstream`; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    chosen = {"DOMAIN": url, "UPSTREAM": upstream.removeprefix("http://"), **settings}
    log_file = folder / "caddy.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [caddy(), "run", "--config", str(CADDYFILE), "--adapter", "caddyfile"],
            env=environment(folder, chosen),
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, process, log_file)
        yield url
    finally:
        process.kill()  # asked politely, it would wait for the streams that go on
        process.wait(10)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log_file: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"Caddy did not start: {log_file.read_text()}")
