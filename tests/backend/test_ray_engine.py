"""Analyses on a real Ray cluster of two nodes: what a client sees when replicas and nodes die under them."""

import asyncio
import importlib
import pickle
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from backend.engine import Job
from backend.settings import ServiceSettings
from tests.backend.ray_house import House, built
from tests.backend.server import ROOT, Arrival, Server, start

pytestmark = pytest.mark.filterwarnings("default")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, about itself
    from ray.serve.schema import ServeDeploySchema

    from backend import analyzer
    from backend.ray_engine import RayEngine


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with built(tmp_path_factory.mktemp("cluster"), rooms=1) as house:
        yield house


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


def test_jobs_wait_for_a_replica_that_a_cancelled_one_keeps_busy(
    server: Server, house: House, wall: bytes
) -> None:
    """Four are cancelled on two replicas, faster than these can stop: the next two are not refused for it."""
    with house.stopping_late(), ThreadPoolExecutor(2) as phones:
        for _ in range(2):
            cancelled = [server.post(wall, "/api/jobs").json()["job_id"] for _ in range(2)]
            if not list(house.marks.glob(f"{cancelled[0]}.*")):
                time.sleep(1)
            for job_id in cancelled:
                assert server.request("DELETE", f"/api/jobs/{job_id}").status_code == 204
        told = [phones.submit(server.events, wall) for _ in range(2)]
        assert [events.result()[-1].step for events in told] == ["complete", "complete"]


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
