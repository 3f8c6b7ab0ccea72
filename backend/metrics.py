"""What is counted for Prometheus. The rest of the service says what happened, and never names it.

Each application has a registry of its own. docs/metrics.md lists every name that comes out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from starlette.types import Scope

from backend import __version__
from backend.errors import STATUS, JobCrashed, JobTimedOut, MemoryShort, StorageFull, StorageUnavailable
from backend.store import Status
from holdcheck.classifier import ModelInfo
from holdcheck.errors import HoldcheckError
from holdcheck.pipeline import Stage
from holdcheck.result import MemoryUsage

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# When each series began is a series more for each: Prometheus finds resets without it.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

_MIB = 2**20
_STAGE_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_ANALYSIS_S = (0.2, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120)
_WAIT_S = (0.05, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300)
_REQUEST_S = (0.005, 0.02, 0.1, 0.5, 1, 2, 5, 15, 60)
_PHOTO_BYTES = (1e5, 3e5, 1e6, 2e6, 3e6, 5e6, 1e7, 2e7, 5e7)
_PHOTO_PIXELS = (1e6, 3e6, 6e6, 9e6, 13e6, 25e6, 50e6, 70e6, 120e6)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_OTHER = "other"
"""Clients choose paths and methods: what is none of ours shares this one label."""
_HUNG_UP = 499
"""A request whose client went before it was answered; the number that nginx gave it."""
_CODES = frozenset(error.code for error in STATUS)
_FAULTS = (HoldcheckError, JobTimedOut, JobCrashed, MemoryShort, StorageFull, StorageUnavailable)
"""What jobs fail with that is not the photo's doing, and worth an alert."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the service stands at one moment, for what is not counted but looked at."""

    ready: bool
    stuck: bool
    jobs: Mapping[Status, int]
    queue_length: int
    queue_limit: int
    running: int
    uploads: int
    data_bytes: int
    data_limit_bytes: int
    memory: MemoryUsage
    container_mb: float | None
    """Charged to the container, MiB; None outside of one."""
    models: Sequence[tuple[str, ModelInfo]]
    """`detector` or `classifier`, and what it is."""


class Metrics:
    """Counts while the service runs. Nothing here waits, and no label takes what a client chose."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "holdcheck_http_requests",
            "Requests answered, by method, route template and status",
            ["method", "route", "status"],
            registry=registry,
        )
        self._request_s = Histogram(
            "holdcheck_http_request_seconds",
            "Seconds from a request's head to its answer's end; a stream lasts as long as it is followed",
            ["route"],
            buckets=_REQUEST_S,
            registry=registry,
        )
        self._refusals = Counter(
            "holdcheck_refusals",
            "Answers that were problem details (RFC 9457), by code",
            ["code"],
            registry=registry,
        )
        self._ended = Counter(
            "holdcheck_jobs_ended",
            "Jobs that ended in this process: done, failed or cancelled, with the error's code",
            ["outcome", "code"],
            registry=registry,
        )
        # From zero on: Prometheus sees no increase in a series that begins with its first failure.
        self._ended.labels("done", "")
        for fault in _FAULTS:
            self._ended.labels("failed", fault.code)
        self._stage_s = Histogram(
            "holdcheck_stage_seconds",
            "Seconds that each stage of a finished analysis took",
            ["stage"],
            buckets=_STAGE_S,
            registry=registry,
        )
        for stage in get_args(Stage):
            self._stage_s.labels(stage)
        self._analysis_s = Histogram(
            "holdcheck_analysis_seconds",
            "Seconds from the start of an analysis to its result",
            buckets=_ANALYSIS_S,
            registry=registry,
        )
        self._wait_s = Histogram(
            "holdcheck_queue_wait_seconds",
            "Seconds from a photo's arrival to the start of its analysis, restarts included",
            buckets=_WAIT_S,
            registry=registry,
        )
        self._photo_bytes = Histogram(
            "holdcheck_photo_bytes",
            "Sizes of the photos that arrived whole",
            buckets=_PHOTO_BYTES,
            registry=registry,
        )
        self._photo_pixels = Histogram(
            "holdcheck_photo_pixels",
            "Width times height of the photos whose analysis finished",
            buckets=_PHOTO_PIXELS,
            registry=registry,
        )

    def request_ended(self, scope: Scope, status: int, took_s: float) -> None:
        """Count a request.

        Args:
            scope: as the routes left it.
            status: 0 where the client went before there was one.
        """
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        route = getattr(scope.get("route"), "path", "") or _OTHER
        self._requests.labels(method, route, str(status or _HUNG_UP)).inc()
        self._request_s.labels(route).observe(took_s)
        code = scope["state"].get("problem_code")
        if code is not None:
            self._refusals.labels(code).inc()

    def photo_arrived(self, size: int) -> None:
        """An upload is complete; `size` in bytes."""
        self._photo_bytes.observe(size)

    def analysis_began(self, waited_s: float) -> None:
        self._wait_s.observe(waited_s)

    def analysis_finished(self, took_s: float, timings_ms: Mapping[str, float], pixels: int) -> None:
        """An analysis has its result."""
        self._analysis_s.observe(took_s)
        for stage, ms in timings_ms.items():
            self._stage_s.labels(stage).observe(ms / 1000)
        self._photo_pixels.observe(pixels)

    def job_ended(self, outcome: Status, code: str | None) -> None:
        known = code if code is None or code in _CODES else _OTHER
        self._ended.labels(outcome, known or "").inc()

    def exposition(self, standing: Standing) -> bytes:
        """All of it in Prometheus' text format; about two milliseconds."""
        return generate_latest(_Both(self._registry, standing))


@dataclass(frozen=True, slots=True)
class _Both:
    """What was counted, then what is looked at."""

    registry: CollectorRegistry
    standing: Standing

    def collect(self) -> Iterator[Metric]:
        yield from self.registry.collect()
        yield from _standing(self.standing)


def _standing(now: Standing) -> Iterator[Metric]:
    yield _gauge("ready", "1 while /readyz says so", now.ready)
    yield _gauge("worker_stuck", "1 while an analysis does not return: only a restart helps", now.stuck)
    jobs = GaugeMetricFamily("holdcheck_jobs", "Jobs that are kept, by status", labels=["status"])
    for status, count in now.jobs.items():
        jobs.add_metric([status], count)
    yield jobs
    yield _gauge("queue_length", "Analyses that wait", now.queue_length)
    yield _gauge("queue_limit", "So many may wait (MAX_QUEUE)", now.queue_limit)
    yield _gauge("analyses_running", "analyses that this server runs", now.running)
    yield _gauge("uploads", "Photos that are arriving", now.uploads)
    yield _gauge("data_bytes", "Bytes that jobs hold in DATA_DIR", now.data_bytes)
    yield _gauge("data_limit_bytes", "Bytes that they may hold (MAX_DATA_MB)", now.data_limit_bytes)
    yield from _memory(now.memory, now.container_mb)
    yield from _infos(now.models)


def _memory(usage: MemoryUsage, container_mb: float | None) -> Iterator[Metric]:
    yield _gauge("memory_rss_bytes", "Resident set", usage.rss_mb * _MIB)
    yield _gauge("memory_peak_bytes", "Largest resident set so far", usage.peak_mb * _MIB)
    yield _gauge("memory_limit_bytes", "The container's limit, else the host's", usage.limit_mb * _MIB)
    yield _gauge(
        "memory_available_bytes", "What can be taken before the limit is reached", usage.available_mb * _MIB
    )
    yield _gauge(
        "memory_container_bytes",
        "Charged to the container, page cache included; absent outside of one",
        None if container_mb is None else container_mb * _MIB,
    )


def _infos(models: Sequence[tuple[str, ModelInfo]]) -> Iterator[Metric]:
    build = InfoMetricFamily("holdcheck_build", "What runs")
    build.add_metric([], {"version": __version__})
    yield build
    model = InfoMetricFamily("holdcheck_model", "Each model that answers")
    for component, info in models:
        facts = {"component": component, "name": info.name, "precision": info.precision}
        facts |= {"source": info.source, "sha256": info.sha256, "is_dummy": str(info.is_dummy).lower()}
        model.add_metric([], facts)
    yield model


def _gauge(name: str, documentation: str, value: float | None) -> Metric:
    return GaugeMetricFamily(f"holdcheck_{name}", documentation, value=value)
