"""A real Caddy before a real server, with the Caddyfile that docker-compose.yml gives it."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.server import free_port
from tests.listening import wait_until_listening

ROOT = Path(__file__).parents[2]
CADDYFILE = ROOT / "deploy" / "Caddyfile"


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
    port = free_port()
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
        wait_until_listening("Caddy", port, process, log_file)
        yield url
    finally:
        process.kill()  # asked politely, it would wait for the streams that go on
        process.wait(10)
