"""What the requests share: one object instead of module globals."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from backend.corrections import CorrectionDesk
from backend.engine import Engine
from backend.errors import QueueFull
from backend.jobs import Jobs
from backend.settings import ServiceSettings

_SPARE_UPLOADS = 4
"""So many more may arrive than the queue has places: some will be refused, and phones are slow."""


@dataclass(slots=True)
class Service:
    settings: ServiceSettings
    engine: Engine
    jobs: Jobs
    load_error: str | None = None
    """Why the engine could not even start; models that are merely missing say so themselves."""
    uploading: int = 0
    corrections: CorrectionDesk = field(default_factory=CorrectionDesk)

    @contextmanager
    def upload(self, expected_bytes: int, *, known: bool) -> Iterator[None]:
        """Counts one upload while it arrives: each holds an open file and will want a place in the queue.

        Args:
            known: it has a job already, and needs no place.

        Raises:
            Unavailable: as `Jobs.admit`; QueueFull also when enough are arriving; MemoryShort;
                StorageFull when its photo or answer would not fit.
        """
        if not known:
            self.jobs.admit()
        load = self.jobs.load()
        ahead = load.running + load.waiting
        if not known and not ahead:
            self.engine.ensure_memory()
        if self.uploading >= _SPARE_UPLOADS + max(0, 1 + self.settings.max_queue - ahead):
            raise QueueFull(f"{self.uploading} photos are arriving already: try again in a moment.")
        self.uploading += 1
        try:
            with self.jobs.files.reserve(expected_bytes, ahead):
                yield
        finally:
            self.uploading -= 1
