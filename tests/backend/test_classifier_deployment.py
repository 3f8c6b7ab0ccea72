"""One classifier for all analyses of a cluster: real weights, and a real Ray cluster that it is killed on."""

import asyncio
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from backend.engine import Analysis, Engine, InProcessEngine, Job
from backend.events import Event
from backend.settings import ServiceSettings
from holdcheck import registry
from holdcheck.result import Result
from tests.backend.server import ROOT

pytest.importorskip(
    "ray",
    reason="NOT CHECKED: RAY_CLASSIFIER_BATCH. Install: pip install -c constraints.txt -e '.[ray]'",
)
pytestmark = pytest.mark.filterwarnings("default")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, about itself
    from ray import serve
    from ray.cluster_utils import Cluster
    from ray.exceptions import RayError

    from backend import analyzer, classifier_deployment
    from backend.ray_engine import RayEngine

PROBABILITY = 1e-4
"""A matrix product rounds differently beside other rows."""
_WAIT_S = 1.0
"""A batch that is not full waits for so long: two analyses come together, however slow the machine is."""
_SETTINGS = {
    "engine": "ray",
    "device": "cpu",
    "clip_batch_size": 20,
    "ray_classifier_batch": 40,
    "ray_min_replicas": 2,
    "ray_max_replicas": 2,
}
_PHOTOS = [ROOT / "samples" / name for name in ("twins.jpg", "slab.jpg")]


def _settings(**more: Any) -> ServiceSettings:
    return ServiceSettings.load(_env_file=None, **{**_SETTINGS, **more})


class House:
    """A cluster with two Analyzers and a Classifier, the engine in front of it, and the engine's loop."""

    def __init__(self, runner: asyncio.Runner, cluster: Cluster) -> None:
        self.run = runner.run
        self.engine = RayEngine(_settings(ray_address=cluster.address))
        self.run(self.engine.start())
        self.handle = serve.get_deployment_handle(classifier_deployment.NAME, "holdcheck")

    async def work(self) -> classifier_deployment.Work:
        work: classifier_deployment.Work = await self.handle.work.remote()
        return work

    async def next_work(self) -> classifier_deployment.Work:
        """That of the classifier that follows one that was killed, once it is there."""
        for _ in range(2):
            with suppress(RayError):  # asked of the one that is gone
                return await self.work()
        raise AssertionError

    def classifier(self) -> int:
        """Its process."""
        (pid,) = (
            process.pid
            for process in psutil.Process().children(recursive=True)
            if _title(process).startswith("ray::ServeReplica:holdcheck:Classifier")
        )
        return int(pid)

    async def kill_classifier(self) -> None:
        """Kill it once it has the next crops of an analysis, which wait for those of another."""
        await asyncio.sleep(_WAIT_S / 2)
        os.kill(self.classifier(), signal.SIGKILL)

    @contextmanager
    def stopped_classifier(self) -> Iterator[None]:
        pid = self.classifier()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    async def engine_here(self, **settings: Any) -> InProcessEngine:
        """An engine of this process that classifies with the cluster's classifier."""
        engine = InProcessEngine(_settings(**settings), await classifier_deployment.connect(self.handle))
        await engine.start()
        return engine


def _title(process: "psutil.Process") -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline()).strip()
    return ""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setattr(classifier_deployment, "WAIT_S", _WAIT_S)
        node = {"num_cpus": 3, "object_store_memory": 80 * 2**20, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            house = House(runner, cluster)
            yield house
            house.run(house.engine.stop())
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def alone(house: House) -> list[list[Event]]:
    """What an engine with a torch classifier of its own says of the photos."""

    async def run() -> list[list[Event]]:
        engine = InProcessEngine(_settings(), registry.choose_classifier(_settings(runtime="torch")))
        await engine.start()
        try:
            return [await _events(engine, photo) for photo in _PHOTOS]
        finally:
            await engine.stop()

    return house.run(run())


async def _events(engine: Engine, photo: Path) -> list[Event]:
    return [event async for event in engine.analyze(_job(photo))]


def _job(photo: Path = _PHOTOS[0]) -> Job:
    return Job("6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11", photo)


async def _until_classifying(analysis: Analysis) -> list[Event]:
    """Its events, the first batch's included."""
    told = []
    async for event in analysis:
        told.append(event)
        if event.step == "clustering":
            return told
    raise AssertionError(told)


async def _rest(analysis: Analysis) -> list[Event]:
    return [event async for event in analysis]


def _is_the_same(events: list[Event], expected: list[Event]) -> None:
    assert [(event.step, event.progress) for event in events] == [
        (event.step, event.progress) for event in expected
    ]
    ours, theirs = (Result.model_validate(told[-1].data["result"]) for told in (events, expected))
    assert len(ours.hold_data) == 40
    for hold, other in zip(ours.hold_data, theirs.hold_data, strict=True):
        assert (hold.bbox, hold.color, hold.individual_color) == (
            other.bbox,
            other.color,
            other.individual_color,
        )
        assert hold.color_scores == pytest.approx(other.color_scores, abs=PROBABILITY)
    assert [problem.holds for problem in ours.problems] == [problem.holds for problem in theirs.problems]
    assert ours.component_status == theirs.component_status


def test_two_analyses_share_batches_and_answer_as_they_do_alone(
    house: House, alone: list[list[Event]]
) -> None:
    async def test() -> None:
        before = await house.work()
        told = await asyncio.gather(*(_events(house.engine, photo) for photo in _PHOTOS))
        after = await house.work()
        for events, expected in zip(told, alone, strict=True):
            _is_the_same(events, expected)
        assert after.crops - before.crops == 80
        # An analysis asks for one batch at a time: two requests are of both.
        assert after.batches.get(2, 0) > before.batches.get(2, 0)

    house.run(test())


def test_the_classifier_dies_and_the_analysis_goes_on(house: House, alone: list[list[Event]]) -> None:
    async def test() -> None:
        analysis = house.engine.analyze(_job())
        told = await _until_classifying(analysis)
        await house.kill_classifier()
        _is_the_same(told + await _rest(analysis), alone[0])
        assert (await house.work()).crops == 20

    house.run(test())


def test_a_cancelled_analysis_does_not_wait_for_the_classifier(house: House) -> None:
    async def test() -> None:
        engine = await house.engine_here()
        analysis = engine.analyze(_job())
        await _until_classifying(analysis)
        with house.stopped_classifier():
            await asyncio.wait_for(analysis.aclose(), 5)
        await engine.stop()

    house.run(test())


def test_an_analysis_that_waits_for_the_classifier_ends_at_its_time_limit(house: House) -> None:
    async def test() -> None:
        engine = await house.engine_here(job_timeout_s=4)
        with house.stopped_classifier():
            told = await asyncio.wait_for(_rest(engine.analyze(_job())), 10)
        assert [event.step for event in told[-2:]] == ["detection_complete", "error"]
        assert told[-1].data["code"] == "job_timed_out"
        await engine.stop()

    house.run(test())


def test_crops_that_two_classifiers_die_of_end_the_analysis(house: House) -> None:
    async def test() -> None:
        analysis = house.engine.analyze(_job())
        await _until_classifying(analysis)
        await house.kill_classifier()
        assert not (await house.next_work()).batches
        await house.kill_classifier()
        assert (await _rest(analysis))[-1].data["code"] == "job_crashed"

    house.run(test())


def test_the_gpu_is_the_classifiers() -> None:
    settings = _settings(ray_gpus=1, device="cuda", runtime="onnx")
    deployment = analyzer.application(settings)._bound_deployment
    own, classifier = deployment.init_args
    shared = classifier._bound_deployment
    gpus = [part.ray_actor_options["num_gpus"] for part in (deployment, shared)]
    assert gpus == [0, 1]
    assert (own.runtime, own.device) == ("onnx", "cpu")
    assert (shared.init_args[0].runtime, shared.init_args[0].device) == ("torch", "cuda")


def test_without_the_setting_each_replica_has_its_own_classifier_and_gpu() -> None:
    deployment = analyzer.application(_settings(ray_classifier_batch=0, ray_gpus=1))._bound_deployment
    assert deployment.ray_actor_options["num_gpus"] == 1
    assert len(deployment.init_args) == 1
