"""monitor_docker.sh as an owner runs it, beside the real server in a real container where podman runs."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench.server import free_port
from tests.backend.server import ROOT
from tests.backend.server import environment as server_environment
from tests.deploy.terminal import SHELLS, in_pipe, in_terminal

SCRIPT = str(ROOT / "monitor_docker.sh")
NOBODY = "http://127.0.0.1:9"
_NAME = f"holdcheck-monitor-{os.getpid()}"
_STAND_IN = """#!/bin/sh
case $1 in
inspect) echo 'running 3 true unhealthy' ;;
stats) echo '{used} / 512MiB' ;;
esac
"""


@dataclass(frozen=True)
class Container:
    """The service in a container of 256 MiB."""

    name: str
    url: str
    settings: dict[str, str]
    """What podman is told of its store."""

    def podman(self, *arguments: str) -> str:
        return _podman(self.settings, *arguments)


def _podman(settings: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["podman", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """This machine's files, with a layer of their own over them, as the image: nothing is built or pulled."""
    folder = tmp_path_factory.mktemp("podman")
    settings = _settings(folder)
    limits = ("--network=host", "--memory=256m", "--memory-swap=256m")
    try:
        _podman(settings, "run", "--rm", *limits, "--rootfs", "/:O", "/bin/true")
    except (OSError, RuntimeError) as error:
        pytest.skip(f"NO REAL CONTAINER WATCHED: it takes root, podman and runc (apt-get install): {error}")
    port = free_port()
    variables = {
        **server_environment({}),
        "YOLO_WEIGHTS": "fake",
        "CLIP_MODEL": "fake",
        "ALLOW_DUMMY": "1",
        "DATA_DIR": "/tmp/holdcheck-data",
    }
    options = [f"--env={name}={value}" for name, value in variables.items()]
    command = (sys.executable, "-m", "backend", "--port", str(port))
    _podman(
        settings,
        "run",
        "--detach",
        f"--name={_NAME}",
        *limits,
        *options,
        "--workdir=/",
        "--rootfs",
        "/:O",
        *command,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url)
        yield Container(_NAME, url, settings)
    finally:
        _podman(settings, "rm", "--force", "--time=5", _NAME)
        subprocess.run(["umount", folder / "store" / "overlay"], capture_output=True, check=False)


def _settings(folder: Path) -> dict[str, str]:
    storage, containers = folder / "storage.conf", folder / "containers.conf"
    storage.write_text(
        f'[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/store"\n'
    )
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    known = (resource.getrlimit(resource.RLIMIT_NPROC)[1], int(Path("/proc/sys/kernel/pid_max").read_text()))
    processes = min(limit for limit in known if limit > 0)
    # runc, since crun refuses cgroup v1 beside v2; and limits that exist here.
    containers.write_text(
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n[containers]\nlog_driver = "k8s-file"\n'
        f'default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]\n'
    )
    return {"CONTAINERS_CONF": str(containers), "CONTAINERS_STORAGE_CONF": str(storage)}


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", verify=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("the server in the container did not start")


def reading(*arguments: str, shell: str = "dash", **settings: str) -> tuple[int, dict[str, Any]]:
    done = in_pipe([*SHELLS[shell], SCRIPT, "--once", "--json", *arguments], **settings)
    assert done.stderr == ""
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


@pytest.mark.parametrize("shell", SHELLS)
def test_a_reading_tells_of_the_container_and_of_the_service(container: Container, shell: str) -> None:
    if shutil.which(SHELLS[shell][0]) is None:
        pytest.skip(f"NOT RUN UNDER {shell}: it is not installed")
    status, told = reading(
        "--container", container.name, URL=container.url, shell=shell, **container.settings
    )
    health = httpx.get(f"{container.url}/api/health", verify=False).json()
    assert status == 0
    seen = told["container"]
    assert (seen["engine"], seen["name"], seen["status"]) == ("podman", container.name, "running")
    assert (seen["restarts"], seen["oom_killed"], seen["health"]) == (0, False, None)
    assert seen["limit_mb"] == pytest.approx(256, abs=0.1)
    held_mb = 256 - health["memory"]["available_mb"]
    assert seen["used_mb"] == pytest.approx(held_mb, abs=8)
    assert seen["charged_mb"] > 20
    assert told["process"]["rss_mb"] == pytest.approx(health["memory"]["rss_mb"], abs=3)
    assert told["process"]["limit_mb"] == 256.0
    assert told["service"]["status"] == "degraded"  # its models are fakes
    assert told["service"]["queue_limit"] == 8


def test_from_outside_its_own_group_is_found(container: Container) -> None:
    """monitor_memory.sh on the host, of a process in a container; and inside, where its group is the root."""
    command = [str(ROOT / "monitor_memory.sh"), "--once", "--json", "--url", container.url]
    outside = json.loads(in_pipe(command).stdout)
    inside = json.loads(container.podman("exec", container.name, *command))
    for told in (outside, inside):
        assert told["container"]["limit_mb"] == 256.0
        assert told["process"]["rss_mb"] > 20
    assert inside["process"]["pid"] == 1
    pid = container.podman("inspect", "--format={{.State.Pid}}", container.name)
    assert outside["process"]["pid"] == int(pid)


def test_a_narrow_terminal_shows_all_of_it(container: Container) -> None:
    command = [SCRIPT, "--once", "--color=never", "--container", container.name, "--url", container.url]
    narrow = in_terminal(40, command, **container.settings)
    assert max(len(line) for line in narrow.splitlines()) <= 40
    for text in ("/ 256 MiB", "running, 0 restarts", "0 running, 0 of 8 waiting", "degraded"):
        assert text in " ".join(narrow.split())


def test_a_container_that_is_stopped_is_told_from_one_that_is_not_there(container: Container) -> None:
    arguments = ("--container", container.name, "--url", container.url)
    container.podman("stop", "--time=10", container.name)
    try:
        status, told = reading(*arguments, **container.settings)
        text = in_pipe([SCRIPT, "--once", *arguments], **container.settings).stdout
    finally:
        container.podman("start", container.name)
        _wait_until_ready(container.url)
    assert status == 1
    assert told["container"]["status"] == "exited"
    assert "used_mb" not in told["container"]
    assert told["service"] is None
    assert f"{container.name} exited, 0 restarts" in text
    status, told = reading("--container", "nobody", "--engine", "podman", URL=NOBODY, **container.settings)
    assert status == 1
    assert told["container"] is None
    assert "nobody" in told["container_error"]


def test_without_an_engine_it_says_so(tmp_path: Path) -> None:
    tools = "sh awk sed tr cut cat head grep date sleep stty dirname curl"
    for name in tools.split():
        found = shutil.which(name)
        assert found, name
        (tmp_path / name).symlink_to(found)
    status, told = reading("--url", NOBODY, PATH=str(tmp_path), shell="sh")
    assert status == 1
    assert told["container_error"] == "there is no docker and no podman here"
    assert NOBODY in told["service_error"]
    assert told["system"]["used_mb"] > 0
    status, told = reading("--engine", "nerdctl", "--url", NOBODY, PATH=str(tmp_path), shell="sh")
    assert told["container_error"] == "there is no nerdctl here"


def test_an_engine_that_does_not_run_is_quoted() -> None:
    if shutil.which("docker") is None:
        pytest.skip("DOCKER'S OWN COMPLAINT NOT SEEN: the docker command is not installed")
    nowhere = "unix:///nowhere/docker.sock"
    status, told = reading("--engine", "docker", "--url", NOBODY, DOCKER_HOST=nowhere)
    assert status == 1
    assert told["container"] is None
    assert "docker: " in told["container_error"]
    assert nowhere in told["container_error"]
    text = in_pipe([SCRIPT, "--once", "--engine=docker", "--url", NOBODY], DOCKER_HOST=nowhere).stdout
    assert "container docker: " in text


@pytest.mark.parametrize(
    ("used", "mib", "colour"),
    [
        ("115.2MiB", 115.2, ""),
        ("439.3MB", 418.9, "\033[33m"),
        ("0.47GiB", 481.3, "\033[1;31m"),
        ("98304KiB", 96.0, ""),
        ("0B", 0.0, ""),
    ],
)
def test_what_docker_prints_is_read(tmp_path: Path, used: str, mib: float, colour: str) -> None:
    """A stand-in that prints what docker does, because no docker engine runs here."""
    engine = tmp_path / "docker"
    engine.write_text(_STAND_IN.format(used=used))
    engine.chmod(0o755)
    status, told = reading("--engine", str(engine), "--url", NOBODY)
    assert status == 1  # the service does not answer
    seen = told["container"]
    assert seen["used_mb"] == seen["charged_mb"] == mib
    assert seen["limit_mb"] == 512.0
    assert (seen["restarts"], seen["oom_killed"], seen["health"]) == (3, True, "unhealthy")
    text = in_pipe([SCRIPT, "--once", "--color", "--engine", str(engine), "--url", NOBODY]).stdout
    assert f"{colour}container {mib:6.0f} / 512 MiB" in text
    assert "holdcheck running, unhealthy, 3 restarts, killed for memory" in text
