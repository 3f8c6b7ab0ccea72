"""File descriptors: how many this process may hold, and what a write does while none is free."""

import errno
import os
import resource
import time
from pathlib import Path

_ENOUGH = 4096
"""For 512 connections with a file each, twice that many which were accepted and hear that it is too many, and
ourselves. More would let a crowd cost more."""
_OURS = 100
"""The store, the models, photos that arrive, and what is accepted for the moment of a refusal."""
_EACH = 2
"""What a connection may hold: its socket, and the log or photo behind it."""
_PATIENCE_S = 10.0
_LOOK_S = 0.05
_NONE_FREE = frozenset({errno.EMFILE, errno.ENFILE})


def raise_limit() -> None:
    """Ask for as many as there may ever be wanted; the usual limit is 1024, whatever the machine could do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections(most: int) -> int:
    """How many connections there may be, `most` where the limit allows so many."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(1, min(most, (soft - _OURS) // _EACH))


def open_file(file: Path, flags: int, mode: int = 0o600) -> int:
    """os.open, which waits a while where no descriptor is free: a crowd must not cost a job its end.

    It blocks: call it off the event loop.

    Raises:
        OSError: as os.open; after ten seconds also that there is still none.
    """
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return os.open(file, flags, mode)
        except OSError as error:
            if error.errno not in _NONE_FREE or time.monotonic() > end:
                raise
            time.sleep(_LOOK_S)
