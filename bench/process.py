"""The memory of a process as /proc tells it, read from inside or outside. MiB."""

import contextlib
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_SAMPLE_EVERY_S = 0.002


def status_mib(pid: int | str, name: str) -> float:
    """A figure of /proc/PID/status: VmRSS, VmHWM (the peak of VmRSS) or RssAnon; `pid` may be `self`."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


class AnonPeak:
    """The largest RssAnon while the block runs, sampled on a thread: the kernel keeps a peak of RSS alone."""

    def __init__(self, pid: int | str) -> None:
        self.mib = 0.0
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(_SAMPLE_EVERY_S):
            with contextlib.suppress(OSError, KeyError):  # it ended between two samples, or was killed
                self.mib = max(self.mib, status_mib(self._pid, "RssAnon"))
