"""DATA_DIR/corrections/<job id>: corrected photos that outlive their jobs, because all concerned agreed.

The owner of the server, by KEEP_CORRECTIONS, and the climber, by `share`. Here they stay until the owner
of the server deletes them, or the climber does (docs/corrections.md).
"""

import logging
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from backend.disk_space import occupied
from holdcheck.corrections import CORRECTIONS_NAME, PHOTO_NAME, RESULT_NAME

log = logging.getLogger(__name__)

MARK_NAME = "shared"
"""Beside corrections whose sender allowed training with them; holds the owner of the job."""
_NEEDED = (MARK_NAME, PHOTO_NAME, RESULT_NAME, CORRECTIONS_NAME)


class KeptCorrections:
    """The folders. Its methods block; only JobFiles calls them, which lets one at a time change a job.

    Args:
        folder: DATA_DIR/corrections; made with the first that is kept.
        max_bytes: what all may take; beyond it no more are kept.
        open_: KEEP_CORRECTIONS: whether any more are kept. What is there can be erased in any case.
    """

    def __init__(self, folder: Path, max_bytes: int, *, open_: bool) -> None:
        self.open = open_
        self._folder = folder
        self._max_bytes = max_bytes

    def take(self, job_id: str, outputs: Path) -> None:
        """Move a job's outputs here where they are a shared correction; whatever prevents it is logged."""
        if not self.open or not all((outputs / name).is_file() for name in _NEEDED):
            return
        size = sum(occupied(path.stat().st_size) for path in (outputs, *outputs.iterdir()))
        if self._used_bytes() + size > self._max_bytes:
            log.warning("[CORRECTIONS] %s is full: export it and delete what was exported", self._folder)
            return
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            outputs.rename(self._folder / job_id)
        except OSError as error:
            log.error("a correction could not be kept: %s", error)

    def owner(self, job_id: str) -> str | None:
        """Whose it is; None where nothing is kept of that job."""
        return read_mark(self._folder / job_id)

    def erase(self, job_id: str) -> None:
        """Delete it if it is there."""
        folder = self._folder / job_id
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            log.error("a kept correction could not be deleted: %s", folder)

    def _used_bytes(self) -> int:
        """Looked up each time: the owner of the server may have deleted some."""
        return sum(_sizes(self._folder))


def read_mark(outputs: Path) -> str | None:
    """Who allowed training with what lies there; None where nobody did."""
    try:
        return (outputs / MARK_NAME).read_text(encoding="ascii")
    except OSError:
        return None


def _sizes(folder: Path) -> Iterator[int]:
    for path in chain(folder.glob("*"), folder.glob("*/*")):
        try:
            yield occupied(path.lstat().st_size)
        except OSError:
            continue
