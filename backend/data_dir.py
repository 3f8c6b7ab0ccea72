"""DATA_DIR: one server's at a time. It knows whether the machine has lost power since the last one."""

import fcntl
import os
from pathlib import Path

from backend.job_files import make_private
from holdcheck.corrections import KEPT_FOLDER

_LOCK_NAME = "lock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class DataDir:
    """The folder of a server that holds its lock.

    The lock lasts as long as the process: the kernel gives it back however that ends.

    Raises:
        BlockingIOError: another server holds it.
        OSError: it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.jobs = folder / "jobs"
        self.corrections = folder / KEPT_FOLDER
        self.store = folder / "jobs.sqlite3"
        self.spool = folder / "spool"
        """What passes through, where the jobs are kept elsewhere (DATA_URL)."""
        # A bare descriptor, which nothing closes: the lock would go with it.
        descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor
        self._boot = _boot_id()
        self.same_boot = bool(self._boot) and os.pread(descriptor, 64, 0) == self._boot
        """Whether everything that the last server wrote is there, also what it did not wait for."""
        make_private(self.jobs)

    def note_boot(self) -> None:
        """Name this boot in the lock file: after the jobs could be read, else nothing of them is taken up."""
        # Not synced: a power cut that loses it loses nothing, the next boot's name is another one.
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, self._boot, 0)


def _boot_id() -> bytes:
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""
