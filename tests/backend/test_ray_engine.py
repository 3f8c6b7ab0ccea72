"""Analyses on a real Ray cluster of two nodes: what a client sees when replicas and nodes die under them."""

import asyncio
import importlib
import os
import pickle
import signal
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from backend.engine import Job
from backend.settings import ServiceSettings
from tests.backend.server import ROOT, Arrival, Server, start

pytest.importorskip(
    "ray", reason="NOT CHECKED: ENGINE=ray. Install: pip install -c constraints.txt -e '.[ray]'"
)
pytestmark = pytest.mark.filterwarnings("default")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, about itself
    from ray.cluster_utils import Cluster
    from ray.serve.schema import ServeDeploySchema

    from backend import analyzer
    from backend.ray_engine import RayEngine

_FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake"}
_OBJECT_STORE = 80 * 2**20
_IN_WORKERS = """
import sys
if any("default_worker" in word for word in sys.orig_argv):
    import os, time
    from pathlib import Path
    from holdcheck import pipeline
    analyze = pipeline.analyze
    def slowly(*arguments, should_stop, job_id, **named):
        for event in analyze(*arguments, should_stop=should_stop, job_id=job_id, **named):
            yield event
            if event.step == "detection_complete":
                time.sleep(0.3)  # until what was said so far has been heard
                Path({folder!r}, f"{{job_id}}.{{os.getpid()}}").touch()
                end = time.monotonic() + {pause_s}
                while time.monotonic() < end and not should_stop():
                    time.sleep(0.02)
    pipeline.analyze = slowly
"""
_PAUSE_S = 2.0


class House:
    """A cluster of two nodes, with room for one replica on each, and where its replicas leave their marks."""

    def __init__(self, folder: Path) -> None:
        self.marks = folder / "marks"
        self.marks.mkdir()
        (folder / "sitecustomize.py").write_text(_IN_WORKERS.format(folder=str(self.marks), pause_s=_PAUSE_S))
        os.environ["PYTHONPATH"] = f"{folder}:{ROOT}"
        node = {"num_cpus": 1, "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=node)
        self.second = self._add()

    def _add(self) -> Any:
        return self.cluster.add_node(num_cpus=1, object_store_memory=_OBJECT_STORE)

    def settings(self, **more: str) -> dict[str, str]:
        address = {"ENGINE": "ray", "RAY_ADDRESS": self.cluster.address}
        return {**_FAKES, **address, "RAY_MIN_REPLICAS": "2", "RAY_MAX_REPLICAS": "2", **more}

    def workers(self, job_id: str) -> list[int]:
        """The processes that have found the job's holds, and go on with them for _PAUSE_S."""
        return [int(mark.suffix[1:]) for mark in self.marks.glob(f"{job_id}.*")]

    def kill_worker(self, job_id: str, known: int = 0) -> None:
        """Kill the one that runs the job, once more have come to it than those that are known."""
        deadline = time.monotonic() + 60
        while len(self.workers(job_id)) <= known:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        for pid in self.workers(job_id):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def lose_second_node(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)

    def replace_second_node(self) -> None:
        self.second = self._add()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    before = os.environ.get("PYTHONPATH")
    house = House(tmp_path_factory.mktemp("cluster"))
    yield house
    house.cluster.shutdown()
    os.environ.pop("PYTHONPATH")
    if before is not None:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def server(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("server"), house.settings())
    yield server
    server.stop()


def _is_whole(events: list[Arrival]) -> None:
    progress = [event.data["progress"] for event in events]
    assert progress == sorted(progress)
    assert [event.id for event in events] == [str(number) for number in range(1, len(events) + 1)]


def test_two_photos_are_analysed_at_once(server: Server, house: House, wall: bytes) -> None:
    with ThreadPoolExecutor(2) as phones:
        first, second = phones.map(lambda _: server.events(wall), range(2))
    assert first[-1].step == second[-1].step == "complete"
    workers = [house.workers(events[0].data["job_id"]) for events in (first, second)]
    assert [len(pids) for pids in workers] == [1, 1]
    assert workers[0] != workers[1]
    assert max(first[0].at, second[0].at) < min(first[-1].at, second[-1].at)


def test_a_replica_dies_and_its_stream_goes_on(server: Server, house: House, wall: bytes) -> None:
    with ThreadPoolExecutor(1) as phone:
        job_id = server.post(wall, "/api/jobs").json()["job_id"]
        streaming = phone.submit(server.follow, job_id, "")
        house.kill_worker(job_id)
        events = streaming.result()
    steps = [event.step for event in events]
    assert steps.count("retry") == 1
    assert (steps[-1], steps.count("complete")) == ("complete", 1)
    assert steps.index("detection_complete") < steps.index("retry") < steps.index("clustering_complete")
    _is_whole(events)
    assert len(house.workers(job_id)) == 2


def test_a_job_that_two_replicas_die_of_is_set_aside(server: Server, house: House, wall: bytes) -> None:
    with ThreadPoolExecutor(1) as phone:
        job_id = server.post(wall, "/api/jobs").json()["job_id"]
        streaming = phone.submit(server.follow, job_id, "")
        house.kill_worker(job_id)
        house.kill_worker(job_id, known=1)
        events = streaming.result()
    assert events[-1].data["code"] == "job_crashed"
    _is_whole(events)
    assert server.events(wall)[-1].step == "complete"


def test_a_cancelled_analysis_stops_and_the_next_one_runs(server: Server, house: House, wall: bytes) -> None:
    job_id = server.post(wall, "/api/jobs").json()["job_id"]
    while not house.workers(job_id):
        time.sleep(0.02)
    assert server.request("DELETE", f"/api/jobs/{job_id}").status_code == 204
    assert server.get(f"/api/jobs/{job_id}").json()["status"] == "cancelled"
    server.wait_until_photos_are_gone()
    assert server.events(wall)[-1].step == "complete"


def test_a_node_dies_and_every_job_is_answered(server: Server, house: House, wall: bytes) -> None:
    with ThreadPoolExecutor(2) as phones:
        jobs = [server.post(wall, "/api/jobs").json()["job_id"] for _ in range(2)]
        streaming = [phones.submit(server.follow, job_id, "") for job_id in jobs]
        while not all(house.workers(job_id) for job_id in jobs):
            time.sleep(0.02)
        house.lose_second_node()
        told = [each.result() for each in streaming]
    house.replace_second_node()
    assert [events[-1].step for events in told] == ["complete", "complete"]
    assert sorted(sum(event.step == "retry" for event in events) for events in told) == [0, 1]
    for events in told:
        _is_whole(events)


JOB = Job("6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11", ROOT / "samples" / "twins.jpg")


def _with_engine(house: House, test: Callable[[RayEngine], Awaitable[None]]) -> None:
    async def run() -> None:
        variables = {name.lower(): value for name, value in house.settings().items()}
        engine = RayEngine(ServiceSettings.load(**variables))
        await engine.start()
        try:
            await test(engine)
        finally:
            await engine.stop()

    asyncio.run(run())


def test_what_the_cluster_does_not_take_is_our_own_refusal(server: Server, house: House) -> None:
    async def test(engine: RayEngine) -> None:
        ends = await asyncio.gather(*(_last(engine) for _ in range(6)))
        codes = [data.get("code", "complete") for data in ends]
        assert set(codes) == {"complete", "queue_full"}

    _with_engine(house, test)


async def _last(engine: RayEngine) -> dict[str, Any]:
    events = [event async for event in engine.analyze(JOB)]
    return dict(events[-1].data)


def test_a_config_file_makes_the_same_deployment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "a-key-that-stays-here-0123456789")
    file = yaml.safe_load((ROOT / "deploy" / "serve.yaml").read_text())
    assert ServeDeploySchema.model_validate(file).proxy_location == "Disabled"
    (config,) = file["applications"]
    module, name = config["import_path"].split(":")
    built = getattr(importlib.import_module(module), name)(config["args"])
    deployment = built._bound_deployment
    assert (deployment.name, config["name"]) == (analyzer.NAME, ServiceSettings.load().ray_application)
    assert deployment.max_ongoing_requests == 1
    assert deployment.max_queued_requests == config["args"]["RAY_MAX_REPLICAS"]
    (settings,) = deployment.init_args
    assert settings.models_dir.is_absolute()
    assert "a-key" not in pickle.dumps(settings).decode("latin-1")
