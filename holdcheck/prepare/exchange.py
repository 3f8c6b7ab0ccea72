"""Two folders change places at once: readers, and a process that is killed, find the old or the new."""

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
# What kernels and file systems answer that cannot (renameat2(2)); NFS is one of them.
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


def exchange(first: Path, second: Path) -> None:
    """Swap the names of two folders that are there, side by side in one file system.

    Where the system cannot do it at once it takes three renames; the first two are undone if one fails.

    Raises:
        OSError: they cannot be renamed. Both are as they were.
    """
    try:
        _at_once(first, second)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        _by_three_renames(first, second)


def _at_once(first: Path, second: Path) -> None:
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(first), None, str(second))


def _by_three_renames(first: Path, second: Path) -> None:
    moving = second.with_name(second.name + ".moving")
    second.rename(moving)
    try:
        first.rename(second)
    except OSError:
        moving.rename(second)
        raise
    moving.rename(first)
