"""The second engine: analyses run on a cluster, by the replicas of a Ray Serve deployment.

This process keeps HTTP, jobs and files, and holds nothing of Ray but a handle. What becomes of a replica in
mid-analysis is settled here: the job begins again on another one, once, and its stream goes on.
"""

import asyncio
import logging
import math
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

# No word to anybody about a cluster that uses it. Read when it is imported.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
)
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from backend import analyzer
from backend.analyzer import Order
from backend.engine import Job
from backend.errors import INTERNAL_DETAIL, JobCrashed, NotReady, QueueFull
from backend.events import Event, failure
from backend.logs import request_id_var
from backend.settings import ServiceSettings
from holdcheck import memory
from holdcheck.errors import HoldcheckError
from holdcheck.registry import ModelsReport

log = logging.getLogger(__name__)

APPLICATION = "holdcheck"
_ATTEMPTS = 2
"""A job that two replicas died of is not tried again: it may be what killed them."""
_LEAST_OBJECT_STORE = 80 * 2**20
"""Ray starts with no less, bytes."""
_LOST = (RayError, ReplicaUnavailableError)
"""What a request ends with whose replica is not there any more, except RayTaskError."""


class RayEngine:
    """Runs analyses on a cluster: the one at RAY_ADDRESS, or without it one of its own on this machine."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.models: ModelsReport | None = None
        self.room_mb = math.inf
        self.slots = settings.slots
        self._settings = settings
        self._handle: DeploymentHandle | None = None

    async def start(self) -> None:
        """Connect, deploy the application unless somebody has, and wait for its first replica."""
        # On a thread: it takes seconds, and on the main one Ray would take SIGTERM over.
        handle = self._handle = await asyncio.to_thread(self._connect)
        standing: analyzer.Standing = await handle.describe.remote()
        self.models, self.room_mb = standing.models, standing.room_mb

    def needed_mib(self, photo: Path) -> float:
        """Nothing here: a replica waits for the memory that it needs."""
        return 0.0

    def ensure_memory(self, needed_mib: float | None = None) -> None:
        """Nothing is needed here but the photo's bytes."""

    def analyze(self, job: Job) -> "RemoteAnalysis":
        assert self._handle is not None
        return RemoteAnalysis(self._handle.options(stream=True), job)

    async def stop(self) -> None:
        """Leave; a cluster of its own ends."""
        await asyncio.to_thread(ray.shutdown)

    def _connect(self) -> DeploymentHandle:
        if not ray.is_initialized():
            _join_cluster(self._settings)
        try:
            return serve.get_deployment_handle(analyzer.NAME, APPLICATION, _check_exists=True)
        except RayServeException:
            # Requests come to this process, and not to Serve's proxies.
            serve.start(proxy_location="Disabled")
            serve.run(analyzer.application(self._settings), name=APPLICATION, route_prefix=None)
            return serve.get_deployment_handle(analyzer.NAME, APPLICATION)


def _join_cluster(settings: ServiceSettings) -> None:
    if settings.ray_address:
        ray.init(settings.ray_address, configure_logging=False)
        return
    photos = 2 * settings.slots * settings.max_upload_bytes
    ray.init(
        "local",
        num_cpus=settings.slots * settings.omp_num_threads,
        object_store_memory=_LEAST_OBJECT_STORE + photos,
        include_dashboard=False,
        configure_logging=False,
    )


class RemoteAnalysis:
    """The events of one job, whichever replicas they come from."""

    def __init__(self, handle: DeploymentHandle, job: Job) -> None:
        self._handle = handle
        self._job = job
        self._events = self._tell()
        self._response: DeploymentResponseGenerator | None = None
        self._closed = False
        self._over = asyncio.Event()

    def __aiter__(self) -> "RemoteAnalysis":
        return self

    async def __anext__(self) -> Event:
        return await anext(self._events)

    async def aclose(self) -> None:
        """Cancel it on its replica, which stops at its next batch and takes no other job before that."""
        self._closed = True
        if self._response is not None:
            self._response.cancel()
        if self._events.ag_running:
            await self._over.wait()
        else:
            await self._events.aclose()

    async def _tell(self) -> AsyncGenerator[Event, None]:
        progress = 0
        try:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    async for event in self._attempt():
                        progress = max(progress, event.progress)
                        yield event
                    return
                except RayTaskError:
                    log.exception("the analysis failed", extra=self._extra)
                    yield failure(HoldcheckError.code, INTERNAL_DETAIL, memory.snapshot())
                    return
                except _LOST as error:
                    if self._closed:
                        return
                    log.warning("a replica was lost: %s", type(error).__name__, extra=self._extra)
                    if attempt < _ATTEMPTS:
                        yield Event("retry", progress, {}, memory.snapshot())
            yield failure(JobCrashed.code, _CRASHED, memory.snapshot())
        except BackPressureError:
            yield failure(QueueFull.code, _FULL, memory.snapshot())
        except DeploymentUnavailableError:
            yield failure(NotReady.code, _UNAVAILABLE, memory.snapshot())
        finally:
            self._over.set()

    async def _attempt(self) -> AsyncGenerator[Event, None]:
        job = self._job
        photo = await asyncio.to_thread(job.photo.read_bytes)
        if self._closed:
            return
        order = Order(job.id, job.wall_angle, job.copy_to is not None, request_id_var.get())
        self._response = self._handle.analyze.remote(order, photo)
        del photo
        async for item in self._response:
            if "copy" in item:
                await asyncio.to_thread(self._keep_copy, item["copy"])
            else:
                yield analyzer.from_wire(item)

    def _keep_copy(self, copy: bytes) -> None:
        assert self._job.copy_to is not None
        try:
            descriptor = os.open(self._job.copy_to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(copy)
        except OSError as error:
            log.warning("[CORRECTIONS] a photo could not be copied: %s", error, extra=self._extra)

    @property
    def _extra(self) -> dict[str, Any]:
        return {"job_id": self._job.id}


_CRASHED = f"The replica that ran it died {_ATTEMPTS} times during this analysis; it is not tried again."
_FULL = "The cluster has as many photos waiting as it takes: try again in a moment."
_UNAVAILABLE = "The cluster has no replica that could analyse: its log says why."
