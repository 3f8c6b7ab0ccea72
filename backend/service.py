"""What the requests share: one object instead of module globals."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from backend.data_dir import DataDir
from backend.errors import QueueFull
from backend.queue import Engine
from backend.settings import ServiceSettings

_SPARE_UPLOADS = 4
"""So many more may arrive than the queue has places: some will be refused, and phones are slow."""


@dataclass(slots=True)
class Service:
    settings: ServiceSettings
    engine: Engine
    data_dir: DataDir
    load_error: str | None = None
    """Why the engine could not even start; models that are merely missing say so themselves."""
    uploading: int = 0

    @contextmanager
    def upload(self) -> Iterator[None]:
        """Counts one upload while it arrives: each holds an open file and will want a place in the queue.

        Raises:
            Unavailable: as the engine's `admit`; QueueFull also when enough are arriving.
        """
        self.engine.admit()
        load = self.engine.load()
        places = 1 + self.settings.max_queue + _SPARE_UPLOADS
        if load.running + load.waiting + self.uploading >= places:
            raise QueueFull(f"{self.uploading} photos are arriving already: try again in a moment.")
        self.uploading += 1
        try:
            yield
        finally:
            self.uploading -= 1
