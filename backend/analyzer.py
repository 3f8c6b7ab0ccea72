"""What computes on a cluster: a Ray Serve deployment whose replicas hold the models, one analysis each.

A replica is the in-process engine of its own process; what crosses the network is the photo's bytes one way
and plain events the other. So a replica needs no access to jobs and files, and no key.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from backend import classifier_deployment, logs
from backend.engine import InProcessEngine, Job
from backend.errors import MemoryShort
from backend.events import Event, failure
from backend.settings import ServiceSettings
from holdcheck import memory
from holdcheck.registry import ModelsReport
from holdcheck.result import MemoryUsage, WallAngle

log = logging.getLogger(__name__)

NAME = "Analyzer"
_STUCK_S = 30.0
"""What an analysis may take beyond JOB_TIMEOUT_S to reach its next batch, before its replica is replaced."""
_MEMORY_LOOK_S = 0.5
_LOOK_BACK_S = 11.0
"""Ray takes no less than the ten seconds after which it asks by itself."""
_MORE_AFTER_S = 3.0
_FEWER_AFTER_S = 600.0
"""A replica takes some seconds to load its models, and the next photo is seldom far."""
_STOP_S = 15.0
"""A replica that is not needed any more may finish its analysis within JOB_TIMEOUT_S and this."""


@dataclass(frozen=True, slots=True)
class Order:
    """A job as a replica gets it, beside its photo."""

    job_id: str
    wall_angle: WallAngle | None
    wants_copy: bool
    request_id: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What a replica says of itself."""

    models: ModelsReport
    room_mb: float


class Analyzer:
    """One replica: the models, and one analysis at a time."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, settings: ServiceSettings, classifier: DeploymentHandle | None = None
    ) -> None:
        logs.set_up(settings.log_level, settings.log_format)
        self._timeout_s = settings.job_timeout_s
        self._began: float | None = None
        chosen = None if classifier is None else await classifier_deployment.connect(classifier)
        self._engine = InProcessEngine(settings, chosen)
        await self._engine.start()

    async def describe(self) -> Standing:
        assert self._engine.models is not None
        return Standing(self._engine.models.report(), self._engine.room_mb)

    async def check_health(self) -> None:
        """Asked by Serve, which replaces a replica that is not there any more."""
        if self._began is not None and time.monotonic() - self._began > self._timeout_s + _STUCK_S:
            # Told that it is unhealthy, Serve would first wait for that analysis.
            log.error("the analysis is stuck, a decoder does not return: its replica ends")
            os._exit(os.EX_SOFTWARE)

    async def analyze(self, order: Order, photo: bytes) -> AsyncGenerator[dict[str, Any], None]:
        """Run an analysis; yields what `from_wire` reads, and first, if wanted, {"copy": a small JPEG}."""
        logs.request_id_var.set(order.request_id)
        with _in_memory("photo", photo) as path, _in_memory("copy") as copy:
            short = await self._wait_for_memory(path)
            if short is not None:
                yield _to_wire(failure(short.code, str(short), memory.snapshot()))
                return
            job = Job(order.job_id, path, order.wall_angle, copy if order.wants_copy else None)
            analysis = self._engine.analyze(job)
            self._began = time.monotonic()
            try:
                async for event in analysis:
                    if event.step == "complete" and order.wants_copy:
                        yield {"copy": await asyncio.to_thread(copy.read_bytes)}
                    yield _to_wire(event)
            finally:
                await analysis.aclose()
                self._began = None

    async def _wait_for_memory(self, photo: Path) -> MemoryShort | None:
        """Something else on this machine may hold what the photo needs: until it is back, or for long."""
        needed_mib = await asyncio.to_thread(self._engine.needed_mib, photo)
        until = time.monotonic() + self._timeout_s
        while True:
            try:
                self._engine.ensure_memory(needed_mib)
            except MemoryShort as error:
                if time.monotonic() > until:
                    return error
                await asyncio.sleep(_MEMORY_LOOK_S)
            else:
                return None


def from_wire(item: dict[str, Any]) -> Event:
    """The event that a replica sent."""
    return Event(**{**item, "memory": MemoryUsage(**item["memory"])})


def _to_wire(event: Event) -> dict[str, Any]:
    return {
        "step": event.step,
        "progress": event.progress,
        "data": dict(event.data),
        "memory": event.memory.model_dump(),
        "at": event.at,
    }


@contextmanager
def _in_memory(name: str, content: bytes = b"") -> Iterator[Path]:
    """A file that no disk sees and that goes with the process, however that ends."""
    descriptor = os.memfd_create(name)
    try:
        path = Path(f"/proc/self/fd/{descriptor}")
        path.write_bytes(content)
        yield path
    finally:
        os.close(descriptor)


_NOT_THEIRS = {"api_keys": SecretStr(""), "database_url": SecretStr("")}
"""What no replica needs to know."""


def application(settings: ServiceSettings) -> Application:
    """The deployment under these settings. MODELS_DIR is the same path on each machine."""
    settings = settings.model_copy(update={"models_dir": settings.models_dir.resolve(), **_NOT_THEIRS})
    shares = settings.ray_classifier_batch > 0
    deployment = serve.deployment(
        Analyzer,
        name=NAME,
        max_ongoing_requests=1,
        # Of each server that sends photos here. Its own queue is bounded before: this holds where it is not.
        max_queued_requests=settings.ray_max_replicas,
        autoscaling_config={
            "min_replicas": settings.ray_min_replicas,
            "max_replicas": settings.ray_max_replicas,
            "target_ongoing_requests": 1,
            "look_back_period_s": _LOOK_BACK_S,
            "upscale_delay_s": _MORE_AFTER_S,
            "downscale_delay_s": _FEWER_AFTER_S,
        },
        ray_actor_options=_actor_options(settings, gpus=0 if shares else settings.ray_gpus),
        health_check_period_s=5,
        graceful_shutdown_timeout_s=settings.job_timeout_s + _STOP_S,
    )
    if not shares:
        return deployment.bind(settings)
    classifier = classifier_deployment.application(settings, _actor_options(settings, settings.ray_gpus))
    # The GPU is the classifier's, whatever DEVICE asks for.
    return deployment.bind(settings.model_copy(update={"device": "cpu"}), classifier)


def cpus(settings: ServiceSettings) -> int:
    """Processors of all replicas."""
    replicas = settings.ray_max_replicas + (settings.ray_classifier_batch > 0)
    return replicas * settings.omp_num_threads


def _actor_options(settings: ServiceSettings, gpus: float) -> dict[str, Any]:
    threads = str(settings.omp_num_threads)
    # numpy, OpenCV, onnxruntime and torch read these when they are imported.
    variables = {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": str(settings.mkl_num_threads),
        "NUMEXPR_NUM_THREADS": str(settings.numexpr_num_threads),
        "MALLOC_ARENA_MAX": "2",
    }
    return {
        "num_cpus": settings.omp_num_threads,
        "num_gpus": gpus,
        "runtime_env": {"env_vars": variables},
    }


def from_config(arguments: dict[str, Any]) -> Application:
    """For a Serve config file: its `args` are settings by name, the rest comes from the environment."""
    return application(ServiceSettings.load(**{name.lower(): value for name, value in arguments.items()}))
