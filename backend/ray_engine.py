"""The second engine: analyses run on a cluster, by the replicas of a Ray Serve deployment.

This process keeps HTTP, jobs and files, and holds nothing of Ray but a handle. What becomes of a replica in
mid-analysis is settled here: the job begins again on another one, once, and its stream goes on.
"""

import asyncio
import logging
import math
import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# Read when it is imported. Nobody is told that it is used.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
# A thread of its own that comes too late, at the end, would start another cluster.
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
# By what waits here the cluster adds replicas: told every ten seconds, it would come late.
os.environ.setdefault("RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "2")

import psutil  # type: ignore[import-untyped]
import ray
from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
)
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator
from ray.serve.schema import ApplicationStatus

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

_ATTEMPTS = 2
"""A job that two replicas died of is not tried again: it may be what killed them."""
_LEAST_OBJECT_STORE = 80 * 2**20
"""Ray starts with no less, bytes."""
_PATIENCE_S = 20.0
"""A replica has usually loaded its models by then."""
_CLUSTER_LOOK_S = 1.0
"""So often it looks whether there is a cluster yet, or its application. Ray itself would wait unstoppably."""
_LEAVE_S = 2.0
"""What Ray may take to end a cluster of our own in good order: its processes may take two seconds each."""
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
        self._being_done: asyncio.Future[None] | None = None
        self._others: set[psutil.Process] | None = None
        """Processes that this one had before it started a cluster of its own; None where it did not."""

    async def start(self) -> None:
        """Connect, deploy the application unless somebody has, and wait for its first replica."""
        if self._settings.ray_address not in ("", "auto"):
            await _cluster_answers(self._settings.ray_address)
        await self._step(self._join_cluster)
        _take_signals_back()
        await self._step(self._deploy)
        handle = await self._found()
        standing = await self._described(handle)
        self._handle = handle.options(stream=True)
        self.models, self.room_mb = standing.models, standing.room_mb

    def needed_mib(self, photo: Path) -> float:  # noqa: ARG002
        """Nothing here: a replica waits for the memory that it needs."""
        return 0.0

    def ensure_memory(self, needed_mib: float | None = None) -> None:
        """Nothing is needed here but the photo's bytes."""

    def analyze(self, job: Job) -> "RemoteAnalysis":
        assert self._handle is not None
        return RemoteAnalysis(self._handle, job)

    async def stop(self) -> None:
        """Leave, also in the middle of `start`; a cluster of its own ends."""
        _take_signals_back()
        if self._being_done is not None:
            # Ray cannot be left while it starts: what it began then would stay.
            await asyncio.wait([self._being_done])
        if self._handle is not None:
            await self._handle.shutdown_async()
        await asyncio.to_thread(self._leave)

    async def _step(self, work: Callable[[], None]) -> None:
        """Do a part of the start that cannot be interrupted; the start can be, after it."""
        self._being_done = asyncio.ensure_future(asyncio.to_thread(work))
        await asyncio.shield(self._being_done)

    def _join_cluster(self) -> None:
        """Take part in the cluster, or start one of this machine alone."""
        if ray.is_initialized():
            return
        settings = self._settings
        _log_as_we_do()
        if settings.ray_address:
            # Whoever listened would get the lines of every application's replicas.
            ray.init(settings.ray_address, configure_logging=False, log_to_driver=False)
            return
        self._others = _processes_below()
        photos = 2 * settings.slots * settings.max_upload_bytes
        ray.init(
            "local",
            num_cpus=analyzer.cpus(settings),
            object_store_memory=_LEAST_OBJECT_STORE + photos,
            include_dashboard=False,
            configure_logging=False,
            # What replicas write to stderr comes with their names before it, which is no JSON any more.
            log_to_driver=settings.log_format == "text",
        )

    def _deploy(self) -> None:
        name = self._settings.ray_application
        if name in serve.status().applications:
            return
        # Requests come to this process, and not to Serve's proxies.
        serve.start(proxy_location="Disabled")
        target = serve.RunTarget(analyzer.application(self._settings), name, route_prefix=None)
        serve.run_many([target], wait_for_applications_running=False)

    async def _found(self) -> DeploymentHandle:
        while True:
            handle = await asyncio.to_thread(self._find)
            if handle is not None:
                return handle
            await asyncio.sleep(_CLUSTER_LOOK_S)

    async def _described(self, handle: DeploymentHandle) -> analyzer.Standing:
        """What the first replica says of itself. Until there is one, the log says what Ray says."""

        async def ask() -> analyzer.Standing:
            standing: analyzer.Standing = await handle.describe.remote()
            return standing

        asking = asyncio.create_task(ask())
        try:
            while not (await asyncio.wait([asking], timeout=_PATIENCE_S))[0]:
                log.warning("no replica is there yet: %s", await asyncio.to_thread(self._deployment_message))
            return asking.result()
        finally:
            asking.cancel()

    def _deployment_message(self) -> str:
        application = serve.status().applications[self._settings.ray_application]
        messages = (each.message for each in application.deployments.values())
        return " ".join(filter(None, messages)) or application.status

    def _find(self) -> DeploymentHandle | None:
        """The application's handle; None while somebody else deploys it."""
        name = self._settings.ray_application
        application = serve.status().applications[name]
        if application.status == ApplicationStatus.DEPLOY_FAILED:
            raise RuntimeError(f"the application {name} could not be deployed: {application.message}")
        if analyzer.NAME not in application.deployments:
            return None
        return serve.get_deployment_handle(analyzer.NAME, name)

    def _leave(self) -> None:
        own = [] if self._others is None else list(_processes_below() - self._others)
        impatience = threading.Timer(_LEAVE_S, _kill, [own])
        impatience.start()
        ray.shutdown()
        impatience.cancel()
        _kill(own)


async def _cluster_answers(address: str) -> None:
    """Wait until somebody listens there: after a power cut the head node may come later than we do."""
    host, _, port = address.rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError as error:
            log.warning("RAY_ADDRESS=%s: no cluster yet: %s", address, error)
            await asyncio.sleep(_CLUSTER_LOOK_S)
        else:
            writer.close()
            return


def _log_as_we_do() -> None:
    for name in ("ray", "ray.serve"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)


def _take_signals_back() -> None:
    """Ray's own handler would abort this process three seconds after the signal: Python's is put back."""
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    signal.alarm(0)


def _processes_below() -> "set[psutil.Process]":
    return set(psutil.Process().children(recursive=True))


def _kill(processes: "list[psutil.Process]") -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


class RemoteAnalysis:
    """The events of one job, whichever replicas they come from."""

    def __init__(self, handle: DeploymentHandle, job: Job) -> None:
        self._handle = handle
        self._job = job
        self._events = self._tell()
        self._response: DeploymentResponseGenerator | None = None
        self._closed = False
        self._being_read = False
        self._told_end = False
        self._over = asyncio.Event()

    def __aiter__(self) -> "RemoteAnalysis":
        return self

    async def __anext__(self) -> Event:
        self._being_read = True
        try:
            return await anext(self._events)
        finally:
            self._being_read = False

    async def aclose(self) -> None:
        """Cancel it: its replica stops at the next batch. The photo has been read, and is not needed here."""
        self._closed = True
        if self._response is not None and not self._told_end:
            self._response.cancel()
        if self._being_read:
            await self._over.wait()
        else:
            await self._events.aclose()

    async def _tell(self) -> AsyncGenerator[Event, None]:
        try:
            async for event in self._tell_attempts():
                yield event
        except (RayTaskError, BackPressureError, DeploymentUnavailableError) as error:
            yield self._refusal(error)
        finally:
            self._over.set()

    async def _tell_attempts(self) -> AsyncGenerator[Event, None]:
        progress = 0
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async for event in self._attempt():
                    progress = max(progress, event.progress)
                    self._told_end = event.step in ("complete", "error")
                    yield event
                return
            except RayTaskError:
                raise
            except _LOST as error:
                if self._closed:
                    return
                log.warning("a replica was lost: %s", type(error).__name__, extra=self._extra)
            if attempt < _ATTEMPTS:
                yield Event("retry", progress, {}, memory.snapshot())
        yield failure(JobCrashed.code, _CRASHED, memory.snapshot())

    def _refusal(self, error: Exception) -> Event:
        if isinstance(error, BackPressureError):
            return failure(QueueFull.code, _FULL, memory.snapshot())
        if isinstance(error, DeploymentUnavailableError):
            return failure(NotReady.code, _UNAVAILABLE, memory.snapshot())
        log.error("the analysis failed", exc_info=error, extra=self._extra)
        return failure(HoldcheckError.code, INTERNAL_DETAIL, memory.snapshot())

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
