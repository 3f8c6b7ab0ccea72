"""One CLIP for many analyses: a Ray Serve deployment that embeds crops of several photos in one batch.

It stands behind `holdcheck.classifier.Classifier`: an analysis asks as ever and gets its own rows back, with
its own events after each. What becomes of it when the classifier's process dies is settled here.
"""

import asyncio
import contextvars
import logging
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve import Application
from ray.serve.exceptions import DeploymentUnavailableError, ReplicaUnavailableError
from ray.serve.handle import DeploymentHandle, DeploymentResponse

from backend import logs
from backend.engine import should_stop_var
from backend.errors import JobCrashed, NotReady
from backend.settings import ServiceSettings
from holdcheck import device, registry
from holdcheck.classifier import ModelInfo, PromptHead
from holdcheck.errors import AnalysisCancelled
from holdcheck.registry import ChosenClassifier

log = logging.getLogger(__name__)

NAME = "Classifier"
WAIT_S = 0.005
"""What a batch waits for more crops. Those that come while one is computed form the next one anyway."""
_STUCK_S = 60.0
"""A batch that takes longer does not end: the replica is replaced."""
_LOOK_S = 0.2
"""How soon an analysis that waits for its crops hears that it shall stop."""
_ATTEMPTS = 2
"""Crops that two of them died of are not tried again: they may be what killed them."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a SharedClassifier knows of the model: all but its weights."""

    info: ModelInfo
    input_size: int
    head: PromptHead


@dataclass(frozen=True, slots=True)
class Work:
    """What the classifier's process has done."""

    batches: dict[int, int]
    """Requests in a batch -> batches. Each request is of another analysis: one waits for its crops."""
    crops: int


def _crops_in(requests: list[NDArray[np.uint8]]) -> int:
    return sum(len(crops) for crops in requests)


class ClassifierReplica:
    """The replica: a classifier, and a thread for it."""

    def __init__(self, settings: ServiceSettings, wait_s: float) -> None:
        logs.set_up(settings.log_level, settings.log_format)
        log.info("the classifier computes here: %s", device.choose(settings).reason)
        self._chosen = registry.choose_classifier(settings)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._batches: Counter[int] = Counter()
        self._crops = 0
        self._began: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._embed_together.set_max_batch_size(settings.ray_classifier_batch)
        self._embed_together.set_batch_wait_timeout_s(wait_s)

    async def describe(self) -> tuple[Description | None, str | None]:
        """The model, None where there is none; and what to say of a step down."""
        model = self._chosen.classifier
        description = Description(model.info, model.input_size, model.head) if model else None
        return description, self._chosen.problem

    async def work(self) -> Work:
        return Work(dict(self._batches), self._crops)

    async def check_health(self) -> None:
        """Asked by Serve, which replaces a replica that raises."""
        if self._began is not None and time.monotonic() - self._began > _STUCK_S:
            raise RuntimeError("the classifier is stuck: a batch does not end")

    async def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `holdcheck.classifier.Classifier.embed`, together with the crops of other callers."""
        # Serve closes a batch when its time is up, though the one before may compute for long yet.
        await self._idle.wait()
        rows: NDArray[np.float32] = await self._embed_together(crops)
        return rows

    @serve.batch(batch_size_fn=_crops_in)  # type: ignore[untyped-decorator]
    async def _embed_together(self, requests: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        assert self._chosen.classifier is not None
        self._idle.clear()
        self._began = time.monotonic()
        try:
            embed = self._chosen.classifier.embed
            loop = asyncio.get_running_loop()
            rows = await loop.run_in_executor(self._thread, embed, np.concatenate(requests))
        finally:
            self._began = None
            self._idle.set()
        self._batches[len(requests)] += 1
        self._crops += len(rows)
        ends = np.cumsum([len(crops) for crops in requests])
        return np.split(rows, ends[:-1])


class SharedClassifier:
    """A `holdcheck.classifier.Classifier` whose model is in the deployment."""

    def __init__(self, handle: DeploymentHandle, description: Description) -> None:
        self.info = description.info
        self.input_size = description.input_size
        self.head = description.head
        self._handle = handle

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB crops (N, S, S, 3) -> unit rows (N, D). Not from an event loop: it blocks.

        Raises:
            AnalysisCancelled: the analysis shall stop.
            JobCrashed: the classifier died twice of these crops.
            NotReady: the cluster has given the classifier up.
        """
        should_stop = should_stop_var.get()
        for _ in range(_ATTEMPTS):
            try:
                # A context of its own: Serve cancels what belongs to a request before the request itself.
                response = contextvars.Context().run(self._handle.embed.remote, crops)
                return _wait_for(response, should_stop)
            except RayTaskError:
                raise  # it lives, and says what is wrong
            except DeploymentUnavailableError:
                raise NotReady("The cluster has no classifier: its log says why.") from None
            except (RayError, ReplicaUnavailableError) as error:
                log.warning("the classifier was lost: %s", type(error).__name__)
        raise JobCrashed(_CRASHED)

    def release_pages(self) -> None:
        """Holds none."""


def _wait_for(
    response: "DeploymentResponse[NDArray[np.float32]]", should_stop: Callable[[], bool]
) -> NDArray[np.float32]:
    while True:
        try:
            rows: NDArray[np.float32] = response.result(timeout_s=_LOOK_S)
        except RayTaskError:
            raise  # whatever it is a subclass of besides
        except TimeoutError:
            if should_stop():
                response.cancel()
                raise AnalysisCancelled("the analysis was cancelled") from None
        else:
            return rows


_CRASHED = f"The classifier died {_ATTEMPTS} times during this analysis; it is not tried again."


async def connect(handle: DeploymentHandle) -> ChosenClassifier:
    """What the deployment classifies with, from inside another one."""
    description, problem = await handle.describe.remote()
    return ChosenClassifier(SharedClassifier(handle, description) if description else None, problem)


def application(settings: ServiceSettings, actor_options: dict[str, Any]) -> Application:
    """The deployment under these settings. One replica: a GPU embeds faster than many nodes can cut crops."""
    deployment = serve.deployment(
        ClassifierReplica,
        name=NAME,
        num_replicas=1,
        # Each Analyzer asks for one batch at a time. Serve wants it no lower than the largest batch.
        max_ongoing_requests=max(settings.ray_max_replicas, settings.ray_classifier_batch),
        ray_actor_options=actor_options,
        health_check_period_s=5,
        logging_config={"enable_access_log": False},  # a line for each batch of each analysis
    )
    # In int8 activations are scaled by their whole batch: an answer would depend on the others in it.
    return deployment.bind(settings.model_copy(update={"runtime": "torch"}), WAIT_S)
