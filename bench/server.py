"""The real server as a process of its own: for what measures it, fills it, or kills it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from bench.cgroup import MemoryCgroup

ROOT = Path(__file__).parents[1]
FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake", "CLIP_BATCH_SIZE": "1"}
"""Settings of a server whose models answer at once."""
_START_S = 180.0
"""A busy machine stretches a start of one second a lot."""
_STOP_S = 60.0


class Server:
    """One folder, one port, and a process that may be started again. As a context: started and ready.

    Args:
        folder: gets `data`, the server's DATA_DIR, and `log`.
        settings: environment variables. Nothing else is set: neither this process's nor a `.env` file's.
        cgroup: the group that it runs in.
        cpus: the processors that it may use; all, where none are named.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        cgroup: MemoryCgroup | None = None,
        cpus: Collection[int] = (),
    ) -> None:
        self.data = folder / "data"
        self.log = folder / "log"
        self.ready_s = 0.0
        """From the fork to ready, of the last start that was waited for."""
        self._folder = folder
        self._settings = dict(settings)
        self._cgroup = cgroup
        self._cpus = frozenset(cpus)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0

    def __enter__(self) -> Self:
        self.start()
        self.wait_until_ready()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.is_running:
                self.stop()
        finally:
            if self.is_running:
                self.kill()

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        command = [sys.executable, "-m", "backend", "--port", str(self._port)]
        self._began = time.perf_counter()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._cgroup.command(*command) if self._cgroup else command,
                env=self._environment(),
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        if self._cpus:
            os.sched_setaffinity(self._process.pid, self._cpus)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while not _is_ready(self.url):
            if not self.is_running:
                raise SystemExit(f"the server stopped by itself:\n{self.log.read_text(encoding='utf-8')}")
            if time.monotonic() > deadline:
                raise SystemExit(f"the server does not get ready: {self.log}")
            time.sleep(0.01)
        self.ready_s = time.perf_counter() - self._began

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, timeout_s: float = _STOP_S) -> int:
        """Ask it to end; answers its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        return {**kept, "PYTHONPATH": str(ROOT), "DATA_DIR": str(self.data), **self._settings}


def end_servers_too() -> None:
    """Make SIGTERM end this program as Ctrl-C does: the servers that it started end with it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    """One on 127.0.0.1 that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
