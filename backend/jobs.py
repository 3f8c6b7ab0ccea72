"""One analysis that somebody asked for."""

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from backend.messages import Language
from holdcheck.result import WallAngle


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine needs to know. Plain values: it may cross to another process."""

    photo: Path
    wall_angle: WallAngle | None = None
    language: Language = "en"
    """Of the events' `message`."""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
