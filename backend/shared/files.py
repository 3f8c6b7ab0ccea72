"""Photos, results and corrections where every server reaches them, and what of them lies here for a moment.

    jobs/<id>/inputs/photo                 until the job ends, however it does
    jobs/<id>/outputs/<claim>/result.json  and photo.jpg, where the server keeps corrections
    jobs/<id>/outputs/corrections.json     and the mark of who allowed training with them
    corrections/<id>/                      corrections that outlive their jobs
    holdcheck-store                        the id of the database that has the jobs

A result is named after the claim that it was made under: a server that was only slow, and comes back, puts
nothing in its successor's place.
"""

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from backend.blobs import Blobs
from backend.errors import StorageFull, StorageUnavailable, Unavailable
from backend.job_files import OUTPUT_ALLOWANCE, is_ours, make_private, storage_errors
from backend.kept import MARK_NAME
from backend.shared.binding import MARK_NAME as STORE_MARK
from backend.shared.binding import read_mark
from holdcheck.corrections import CORRECTIONS_NAME, KEPT_FOLDER, PHOTO_NAME, RESULT_NAME

log = logging.getLogger(__name__)

PHOTO = "inputs/photo"
"""In a job's folder."""


class SharedFiles:
    """All jobs' files. Its methods block: not for the event loop. Each may raise StorageFull or
    StorageUnavailable.

    Args:
        blobs: where every server reaches them.
        spool: a folder of this server's own, for photos that arrive or are analysed; emptied here.
        max_bytes: MAX_DATA_MB, of all servers together.
        store_id: what `bind` found it to have.
        keeps_corrections: KEEP_CORRECTIONS.
    """

    def __init__(
        self,
        blobs: Blobs,
        spool: Path,
        max_bytes: int,
        *,
        store_id: str,
        keeps_corrections: bool,
    ) -> None:
        self._blobs = blobs
        self._store_id = store_id
        self._spool = spool
        self._max_bytes = max_bytes
        self._keeps_corrections = keeps_corrections
        self._lock = threading.Lock()
        self._reserved = 0
        self._used = 0
        shutil.rmtree(spool, ignore_errors=True)
        make_private(spool)

    @property
    def used_bytes(self) -> int:
        """What all jobs take: by the latest look, and what was put from here since."""
        return self._used

    def weighed(self, used_bytes: int) -> None:
        """What all jobs take now, on all servers."""
        with self._lock:
            self._used = used_bytes

    def ensure_bound(self) -> None:
        """Ask whether this is still the store that the jobs are kept in.

        Raises:
            StorageUnavailable: it is not: a share was unmounted, or another one mounted in its place.
        """
        found = read_mark(self._blobs)
        if found != self._store_id:
            what = "is missing" if found is None else "is another database's"
            log.error("DATA_URL is not the store that the jobs are kept in: its %s %s", STORE_MARK, what)
            raise StorageUnavailable("The server's storage cannot be used now: try again later.", 60)

    # --- a photo that arrives -----------------------------------------------------------------------------

    @contextmanager
    def reserve(self, photo_bytes: int, jobs_ahead: int) -> Iterator[None]:
        """Keep room for a photo while it arrives, and for what it and those ahead of it will write.

        Raises:
            StorageFull: there is none, by MAX_DATA_MB or on this server's disk.
        """
        wanted = photo_bytes + OUTPUT_ALLOWANCE
        with self._lock:
            self._ensure_room(self._reserved + wanted + jobs_ahead * OUTPUT_ALLOWANCE)
            if self._free_bytes() < self._reserved + wanted:
                log.error("the disk is full: nothing more is taken")
                raise StorageFull("The server's disk is full: try again later.", 60)
            self._reserved += wanted
        try:
            yield
        finally:
            with self._lock:
                self._reserved -= wanted

    def create(self, job_id: str) -> Path:
        """Make a folder for a photo that arrives; answers where it goes."""
        with storage_errors():
            make_private(self._spool)
            (self._spool / job_id).mkdir(mode=0o700)
        return self._spool / job_id / "photo"

    def seal(self, job_id: str) -> int:
        """Put the photo where every server reaches it, and it outlives this one; answers its bytes."""
        self.ensure_bound()
        photo = self._spool / job_id / "photo"
        self._blobs.put_file(f"jobs/{job_id}/{PHOTO}", photo)
        size = photo.stat().st_size
        self._add(size)
        self.discard(job_id)
        return size

    def discard(self, job_id: str) -> None:
        """Delete what lies of a job on this server."""
        shutil.rmtree(self._spool / job_id, ignore_errors=True)
        if (self._spool / job_id).exists():
            log.error("a job's files could not be deleted: %s", job_id)

    # --- an analysis --------------------------------------------------------------------------------------

    def fetch_photo(self, job_id: str, claim: int) -> Path:
        """Copy it here for an analysis; `discard_run` deletes the copy.

        Raises:
            FileNotFoundError: it is not there any more.
        """
        folder = self._run(job_id, claim)
        with storage_errors():
            make_private(folder)
        with self._surely_missing():
            self._blobs.fetch(f"jobs/{job_id}/{PHOTO}", folder / "photo")
        return folder / "photo"

    def copy(self, job_id: str, claim: int) -> Path | None:
        """Where an analysis leaves a copy without its metadata; None where none is kept."""
        return self._run(job_id, claim) / PHOTO_NAME if self._keeps_corrections else None

    def discard_run(self, job_id: str, claim: int) -> None:
        """Delete what an analysis had on this server."""
        shutil.rmtree(self._run(job_id, claim), ignore_errors=True)

    def write_outputs(self, job_id: str, claim: int, result: bytes) -> None:
        """Put the result, and the copy that the analysis made, if it made one and there is room."""
        self.ensure_bound()
        self._blobs.put(_result(job_id, claim), result)
        self._add(len(result))
        copy = self.copy(job_id, claim)
        if copy is None or not copy.is_file():
            return
        try:
            self._ensure_room(copy.stat().st_size)
            self._blobs.put_file(f"{_outputs(job_id)}/{claim}/{PHOTO_NAME}", copy)
            self._add(copy.stat().st_size)
        except Unavailable as error:
            log.warning("[CORRECTIONS] a photo cannot be kept for corrections: %s", error)

    def drop_outputs(self, job_id: str, claim: int) -> None:
        """Delete what was made under a claim that was lost."""
        self._blobs.erase(f"{_outputs(job_id)}/{claim}")

    def drop_photo(self, job_id: str) -> None:
        """Delete it if it is there. A store that fails here hides no earlier error: a tidying tries again."""
        with suppress(Unavailable):
            self._blobs.drop(f"jobs/{job_id}/{PHOTO}")

    def open_result(self, job_id: str, claim: int) -> BinaryIO:
        """The result of the claim that a job ended under.

        Raises:
            FileNotFoundError: it is gone.
        """
        with self._surely_missing():
            return self._blobs.open(_result(job_id, claim))

    # --- corrections, and the end -------------------------------------------------------------------------

    def open_corrections(self, job_id: str) -> BinaryIO:
        """As they are stored.

        Raises:
            FileNotFoundError: there are none.
        """
        with self._surely_missing():
            return self._blobs.open(f"{_outputs(job_id)}/{CORRECTIONS_NAME}")

    def write_corrections(self, job_id: str, document: bytes, shared_by: str | None, jobs_ahead: int) -> None:
        """Put them in place of those before.

        Args:
            shared_by: the job's owner where training with them is allowed; else None.
            jobs_ahead: analyses that have still to write their answers.
        """
        self.ensure_bound()
        self._ensure_room(len(document) + jobs_ahead * OUTPUT_ALLOWANCE)
        # At no moment is more shared than was allowed.
        mark = f"{_outputs(job_id)}/{MARK_NAME}"
        self._blobs.drop(mark)
        self._blobs.put(f"{_outputs(job_id)}/{CORRECTIONS_NAME}", document)
        self._add(len(document))
        if shared_by is not None:
            self._blobs.put(mark, shared_by.encode("ascii"))

    def size(self, job_id: str) -> int:
        """What a job takes, bytes."""
        return self._blobs.total(f"jobs/{job_id}")

    def erase(self, job_id: str) -> None:
        """Delete all of a job, if it is there, also what was kept for training from it."""
        self._blobs.erase(f"jobs/{job_id}")
        self._blobs.erase(f"{KEPT_FOLDER}/{job_id}")

    def expire(self, job_id: str, claim: int | None) -> None:
        """Delete a job whose time is over, except for corrections that may be kept for training."""
        if self._keeps_corrections and claim is not None:
            self._keep(job_id, claim)
        self._blobs.erase(f"jobs/{job_id}")

    def erase_shared(self, job_id: str, owner: str) -> bool:
        """Erase what a job that has expired left for training; False where there is nothing of that owner's.

        Args:
            job_id: as a client named it.
        """
        if not is_ours(job_id):
            return False
        marks = (f"{_outputs(job_id)}/{MARK_NAME}", f"{KEPT_FOLDER}/{job_id}/{MARK_NAME}")
        if owner.encode() not in [self._read(mark) for mark in marks]:
            self.ensure_bound()
            return False
        self.erase(job_id)
        return True

    def contents(self) -> Iterator[tuple[str, list[str]]]:
        """The jobs of which anything is there, and the names of what is, such as `inputs/photo`."""
        return self._blobs.contents("jobs")

    # --- small things -------------------------------------------------------------------------------------

    def _keep(self, job_id: str, claim: int) -> None:
        """Copy a shared correction to where it stays; whatever prevents it is logged."""
        outputs, kept = _outputs(job_id), f"{KEPT_FOLDER}/{job_id}"
        # The mark last: what has none is no kept correction.
        names = {
            PHOTO_NAME: f"{outputs}/{claim}/{PHOTO_NAME}",
            RESULT_NAME: _result(job_id, claim),
            CORRECTIONS_NAME: f"{outputs}/{CORRECTIONS_NAME}",
            MARK_NAME: f"{outputs}/{MARK_NAME}",
        }
        if self._read(names[MARK_NAME]) is None:
            return
        if self._blobs.total(KEPT_FOLDER) + self.size(job_id) > self._max_bytes:
            log.warning("[CORRECTIONS] %s is full: export it and delete what was exported", KEPT_FOLDER)
            return
        draft = self._run(job_id, claim) / "kept"
        try:
            make_private(draft.parent)
            for name, source in names.items():
                self._blobs.fetch(source, draft)
                self._blobs.put_file(f"{kept}/{name}", draft)
        except FileNotFoundError:
            self._blobs.erase(kept)  # no copy of the photo, for one
        except (OSError, Unavailable) as error:
            log.error("a correction could not be kept: %s", error)
        finally:
            self.discard_run(job_id, claim)

    @contextmanager
    def _surely_missing(self) -> Iterator[None]:
        """That something is not there is believed of the right store only."""
        try:
            yield
        except FileNotFoundError:
            self.ensure_bound()
            raise

    def _read(self, name: str) -> bytes | None:
        try:
            with self._blobs.open(name) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def _run(self, job_id: str, claim: int) -> Path:
        return self._spool / f"{job_id}-{claim}"

    def _ensure_room(self, wanted: int) -> None:
        if self._used + wanted > self._max_bytes:
            raise StorageFull("The server keeps as much as it may (MAX_DATA_MB): try again later.", 60)

    def _add(self, size: int) -> None:
        with self._lock:
            self._used += size

    def _free_bytes(self) -> int:
        with storage_errors():
            make_private(self._spool)
            return shutil.disk_usage(self._spool).free


def _outputs(job_id: str) -> str:
    return f"jobs/{job_id}/outputs"


def _result(job_id: str, claim: int) -> str:
    return f"{_outputs(job_id)}/{claim}/{RESULT_NAME}"
