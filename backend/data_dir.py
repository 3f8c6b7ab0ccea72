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
        # A bare descriptor, which nothing closes: the lock would go with it.
        descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        self.same_boot = _note_boot(descriptor)
        """Whether everything that the last server wrote is there, also what it did not wait for."""
        make_private(self.jobs)


def _note_boot(descriptor: int) -> bool:
    """Compare the boot that the lock file names with this one, and name this one."""
    try:
        boot = _BOOT_ID.read_bytes().strip()
    except OSError:
        return False
    # Not synced: a power cut that loses it loses nothing, the next boot's name is another one.
    noted = os.pread(descriptor, 64, 0)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, boot, 0)
    return noted == boot
