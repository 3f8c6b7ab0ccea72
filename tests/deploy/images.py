"""What builds and runs images here: IMAGE_BUILD and IMAGE_RUN, or a Docker engine that answers.

IMAGE_BUILD is a command that takes `-t NAME [--target STAGE] [--build-arg K=V] CONTEXT`, and IMAGE_RUN one
that takes `NAME --memory 256m [-p HOST:CONTAINER] [-v SRC:DST] [--OPTION=VALUE] [-- COMMAND...]`, runs the
image in the foreground, says `healthy` when its HEALTHCHECK first passes, passes SIGTERM on and ends with the
container's status. IMAGE_CHECK=1 makes their lack a failure.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
NAME = "localhost/holdcheck-test"
HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=all", "--security-opt=no-new-privileges")
_BUILD_S, _START_S, _STOP_S = 3600, 120, 30
_REASON = """THE IMAGE WAS NEITHER BUILT NOR RUN: no Docker engine answers, and IMAGE_BUILD and IMAGE_RUN \
name no other tools (tests/deploy/images.py says what they take; `make image-check` runs this alone)"""


@dataclass(frozen=True, slots=True)
class Tools:
    build_command: tuple[str, ...]
    run_command: tuple[str, ...]
    """Empty: docker's own."""

    def build(self, stage: str, **arguments: str) -> "subprocess.CompletedProcess[str]":
        """Build a stage as NAME-stage; both streams come as one text."""
        chosen = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        command = [*self.build_command, "-t", f"{NAME}-{stage}", "--target", stage, *chosen, str(ROOT)]
        return subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_BUILD_S
        )

    def start(
        self,
        stage: str,
        log_file: Path,
        options: Sequence[str] = HARDENED,
        command: Sequence[str] = (),
        name: str = "",
    ) -> "subprocess.Popen[bytes]":
        """Run a stage in 256 MiB without swap; docker knows it by `name`."""
        image, limit = f"{NAME}-{stage}", ("--memory", "256m")
        if self.run_command:
            whole = [*self.run_command, image, *limit, *options, *(["--", *command] if command else [])]
        else:
            named = ["--name", name] if name else []
            whole = [
                "docker",
                "run",
                "--rm",
                *named,
                *limit,
                "--memory-swap",
                "256m",
                "--health-interval",
                "1s",
            ]
            whole += [*options, image, *command]
        with log_file.open("wb") as log:
            return subprocess.Popen(whole, stdout=log, stderr=log)

    def output(self, stage: str, folder: Path, *command: str) -> str:
        """What a command in the image prints; it must end well."""
        log_file = folder / "output"
        status = self.start(stage, log_file, command=command).wait(_START_S)
        assert status == 0, log_file.read_text()[-4000:]
        return log_file.read_text()


def tools() -> Tools:
    """Skips the test, saying what was not checked, where there are none."""
    build, run = os.environ.get("IMAGE_BUILD"), os.environ.get("IMAGE_RUN")
    if build and run:
        return Tools(tuple(shlex.split(build)), tuple(shlex.split(run)))
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return Tools(("docker", "build"), ())
    if os.environ.get("IMAGE_CHECK"):
        pytest.fail(_REASON)
    pytest.skip(_REASON)


@dataclass(frozen=True, slots=True)
class Container:
    process: "subprocess.Popen[bytes]"
    url: str
    log_file: Path
    name: str
    """What docker knows it by; empty where IMAGE_RUN runs it."""

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", verify=False).status_code == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(f"the container did not become ready:\n{self.log()}")

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + _START_S
        while not self._is_healthy():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.5)

    def _is_healthy(self) -> bool:
        if not self.name:
            return "healthy" in self.log()
        asked = ["docker", "inspect", "--format", "{{.State.Health.Status}}", self.name]
        return subprocess.run(asked, capture_output=True, text=True).stdout.strip() == "healthy"

    def stop(self) -> int:
        """SIGTERM, as `docker stop`; the status of its end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_S)


@contextlib.contextmanager
def running(
    tools: Tools, stage: str, folder: Path, port: int, options: Sequence[str] = HARDENED
) -> Iterator[Container]:
    """The server in its container, ready, published at 127.0.0.1:`port`."""
    log_file = folder / "log"
    name = "" if tools.run_command else f"holdcheck-test-{uuid.uuid4().hex[:8]}"
    process = tools.start(stage, log_file, [*options, "-p", f"127.0.0.1:{port}:8000"], name=name)
    container = Container(process, f"http://127.0.0.1:{port}", log_file, name)
    try:
        container.wait_until_ready()
        yield container
    finally:
        container.stop()
