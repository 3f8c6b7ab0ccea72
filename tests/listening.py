"""Waiting for servers that a test starts until they listen."""

import socket
import subprocess
import time
from pathlib import Path

_START_S = 30.0


def wait_until_listening(name: str, port: int, process: "subprocess.Popen[bytes]", log_file: Path) -> None:
    """Raises AssertionError with the log where the process ended, or does not listen in time."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"{name} did not start: {log_file.read_text()}")
