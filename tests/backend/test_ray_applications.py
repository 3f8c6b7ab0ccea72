"""Applications on one Ray cluster of two nodes: the contract, replicas that come and go, a config file."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.backend.ray_house import FAKES, House, built
from tests.backend.server import ROOT, environment, start

pytestmark = pytest.mark.filterwarnings("default")

_CONTRACT = ("test_stream.py", "test_analyze.py", "test_queue.py")
_OF_ONE_MACHINE = (
    "tests/backend/test_stream.py::test_a_second_analysis_loads_no_model",  # a line in a node's log
    "tests/backend/test_queue.py::test_a_waiting_photo_lies_on_disk_for_its_owner_only",
)
_END_S = 10
"""Docker and the unit file kill after it."""
_SOON_FEWER = "import backend.analyzer; backend.analyzer._FEWER_AFTER_S = 2"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with built(tmp_path_factory.mktemp("cluster"), rooms=8) as house:
        yield house


def test_the_contract_of_the_embedded_engine_holds_on_two_nodes(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's own tests, unchanged: each server an application on this cluster, its jobs in a real
    PostgreSQL, its files in an S3-compatible server."""
    files = [f"tests/backend/{name}" for name in _CONTRACT]
    ray = {"TEST_ENGINE": "ray", "TEST_RAY_ADDRESS": house.cluster.address, "PYTHONPATH": str(ROOT)}
    ray["TEST_STORE"] = "s3"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *(part for test in _OF_ONE_MACHINE for part in ("--deselect", test)),
            *files,
        ],
        cwd=ROOT,
        env=os.environ | ray,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    with capsys.disabled():
        print(f"\non Ray: {done.stdout.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout


def test_a_second_replica_comes_with_the_queue_and_goes_when_it_is_not_needed(
    house: House, tmp_path: Path, wall: bytes
) -> None:
    scaling = {"RAY_APPLICATION": "scaling", "RAY_MIN_REPLICAS": "1", "MAX_QUEUE": "30"}
    server = start(tmp_path, house.settings(**scaling), prelude=_SOON_FEWER)
    try:
        jobs = [server.post(wall, "/api/jobs").json()["job_id"] for _ in range(10)]
        began = time.monotonic()
        first = _first_two(house, jobs)
        print(f"the second replica took a job {time.monotonic() - began:.1f} s after the first was sent")
        assert all(server.follow(job_id, "")[-1].step == "complete" for job_id in jobs)
        began = time.monotonic()
        while all(psutil.pid_exists(pid) for pid in first):
            assert time.monotonic() - began < 60, "two replicas stay for nobody"
            time.sleep(0.1)
        print(f"one of them went {time.monotonic() - began:.1f} s after the last photo")
        assert any(psutil.pid_exists(pid) for pid in first)
        assert server.events(wall)[-1].step == "complete"
    finally:
        server.stop()


def _first_two(house: House, jobs: list[str]) -> set[int]:
    """The processes that jobs went to, once there are two."""
    deadline = time.monotonic() + 60
    while len(pids := {pid for job_id in jobs for pid in house.workers(job_id)}) < 2:
        assert time.monotonic() < deadline, "the queue grows and no replica comes"
        time.sleep(0.05)
    return pids


def test_a_replica_whose_decoder_does_not_return_is_replaced_and_its_job_goes_on(
    house: House, tmp_path: Path, wall: bytes
) -> None:
    one = {"RAY_APPLICATION": "stuck", "RAY_MIN_REPLICAS": "1", "RAY_MAX_REPLICAS": "1"}
    server = start(tmp_path, house.settings(**one, JOB_TIMEOUT_S="3"))
    try:
        house.stick_once()
        events = server.events(wall)
        assert [event.step for event in events].count("retry") == 1
        assert events[-1].step == "complete"
        (job_id,) = {event.data["job_id"] for event in events}
        assert len(set(house.workers(job_id))) == 2
        assert server.get("/readyz").status_code == 200
    finally:
        server.stop()


def test_a_service_uses_the_application_of_a_config_file(house: House, tmp_path: Path, wall: bytes) -> None:
    serve = Path(sys.executable).with_name("serve")
    command = [serve, "run", "--non-blocking", "--address", house.cluster.address, "deploy/serve.yaml"]
    known = environment({"PYTHONPATH": os.environ["PYTHONPATH"]})
    subprocess.run(command, cwd=ROOT, env=known, check=True, capture_output=True, timeout=60)
    # It would deploy fakes, and a fake says so.
    server = start(tmp_path, house.settings())
    try:
        assert server.events(wall)[-1].data["result"]["is_dummy"] is False
    finally:
        server.stop()


@pytest.mark.parametrize("moment", ["raylet", "ServeController"])
def test_a_stop_ends_it_and_its_cluster_in_time_whenever_it_comes(tmp_path: Path, moment: str) -> None:
    settings = environment({**FAKES, "ENGINE": "ray", "DATA_DIR": str(tmp_path / "data")})
    settings.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "backend", "--port", "0"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=settings, cwd=tmp_path, stdout=log, stderr=log)
    family = _wait_until_it_has(process, moment, tmp_path / "log")
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.wait(_END_S)
    print(f"{moment}: ended {time.monotonic() - began:.1f} s after the signal, status {process.returncode}")
    _, left = psutil.wait_procs(family, timeout=5)
    assert not left


def _wait_until_it_has(process: subprocess.Popen[bytes], moment: str, log: Path) -> "list[psutil.Process]":
    """Its descendants, once it has come that far."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        family: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
        names = " ".join(_title(child) for child in family)
        if moment in names:
            return family
        time.sleep(0.05)
    process.kill()
    raise AssertionError(log.read_text())


def _title(process: "psutil.Process") -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
