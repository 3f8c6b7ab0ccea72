"""What the requests share: one object instead of module globals."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backend.census import Census
from backend.corrections import CorrectionDesk
from backend.engine import Engine, not_loaded
from backend.errors import MemoryShort, NotReady
from backend.jobs import Jobs
from backend.metrics import Metrics, Standing
from backend.places import Places
from backend.settings import ServiceSettings
from backend.watch import Watch
from holdcheck import memory

if TYPE_CHECKING:
    from backend.shared.jobs import SharedJobs

_TROUBLE_S = 10
_SPARE_UPLOADS = 4
"""So many more may arrive than the queue has places: some will be refused, and phones are slow."""


@dataclass(slots=True)
class Service:
    settings: ServiceSettings
    engine: Engine
    jobs: "Jobs | SharedJobs"
    watch: Watch
    load_error: str | None = None
    """Why the engine could not even start; models that are merely missing say so themselves."""
    must_stop: bool = False
    """Whether that is a reason not to run at all."""
    corrections: CorrectionDesk = field(default_factory=CorrectionDesk)
    started_at: float = field(default_factory=time.monotonic)
    _census: Census = field(init=False)
    _uploads: Places = field(init=False)

    def __post_init__(self) -> None:
        self._census = Census(self.jobs.counts)
        # Half of the places, rounded up: a gym's phones share one address, and the rest is for others.
        self._uploads = Places("photos", (self._places(ahead=0) + 1) // 2)

    @property
    def metrics(self) -> Metrics:
        return self.watch.metrics

    @property
    def uploading(self) -> int:
        return self._uploads.taken

    def not_ready(self) -> NotReady | None:
        """Why no photos should be sent here now; None where nothing speaks against it."""
        problem = not_loaded(self.engine.models, self.load_error) or self.watch.problem()
        trouble = self.jobs.trouble()
        if problem is None and trouble is not None:
            return NotReady(trouble, _TROUBLE_S)
        load = self.jobs.load()
        if problem is None and not load.running and not load.waiting:
            try:
                self.engine.ensure_memory()
            except MemoryShort as short:
                return NotReady(str(short), short.retry_after_s)
        return problem

    async def standing(self) -> Standing:
        """How the service stands now. It waits neither for an analysis nor, beyond a tenth of a second, for
        the disk."""
        jobs = await self._census.take()
        load = self.jobs.load()
        models = self.engine.models
        return Standing(
            ready=self.not_ready() is None,
            stuck=self.watch.stuck,
            jobs=jobs,
            queue_length=load.waiting,
            queue_limit=self.settings.max_queue,
            running=self.jobs.running_here,
            uploads=self.uploading,
            data_bytes=self.jobs.files.used_bytes,
            data_limit_bytes=self.settings.max_data_bytes,
            memory=memory.snapshot(),
            container_mb=memory.container_mb(),
            models=list(models.components.items()) if models is not None else [],
        )

    @contextmanager
    def upload(self, expected_bytes: int, client: str, *, known: bool) -> Iterator[None]:
        """Counts one upload while it arrives: each holds an open file and will want a place in the queue.

        Args:
            client: its address, as `client_of` has it.
            known: it has a job already, and needs no place.

        Raises:
            Unavailable: as `Jobs.admit`; QueueFull also when enough are arriving, all together or from this
                client; MemoryShort; StorageFull when its photo or answer would not fit.
        """
        if not known:
            self.jobs.admit()
        load = self.jobs.load()
        ahead = load.running + load.waiting
        if not known and not ahead:
            self.engine.ensure_memory()
        with self._uploads.take(client, self._places(ahead)), self.jobs.files.reserve(expected_bytes, ahead):
            yield

    def _places(self, ahead: int) -> int:
        return _SPARE_UPLOADS + max(0, self.engine.slots + self.settings.max_queue - ahead)
