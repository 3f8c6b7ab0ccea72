"""Running a command as its user does: in a terminal of some width, or in a pipe."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHELLS = {"dash": ("dash",), "busybox": ("busybox", "sh"), "sh": ("sh",)}


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """A terminal's, with nobody's settings but these."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "TERM": "xterm", **settings}


def in_pipe(command: Sequence[str], **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(settings), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def in_terminal(columns: int, command: Sequence[str], enough: str = "", **settings: str) -> str:
    """What it writes to a terminal of so many columns, to its end; Ctrl-C when `enough` came twice."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        command,
        env=environment(settings),
        cwd=ROOT,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(inside)
    written = b""
    try:
        while block := _read(terminal):
            written += block
            if enough and written.count(enough.encode()) == 2:
                os.write(terminal, b"\x03")
        process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    return written.decode().replace("\r\n", "\n")


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the last process that had it open is gone
        return b""
