"""What the requests share: one object instead of module globals."""

from dataclasses import dataclass

from backend.queue import Engine
from backend.settings import ServiceSettings


@dataclass(slots=True)
class Service:
    settings: ServiceSettings
    engine: Engine
    load_error: str | None = None
    """Why the engine could not even start; models that are merely missing say so themselves."""
