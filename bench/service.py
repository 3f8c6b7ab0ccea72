"""This service under measurement: the real server, real requests, memory read from outside."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from bench.process import AnonPeak, status_mib


def measure(photos: list[Path], models_dir: Path, data_dir: Path) -> dict[str, float]:
    """Start the server with default settings, analyse each photo once: the figures of bench.json."""
    with running_server(models_dir, data_dir) as (process, url, ready_s):
        ready_rss = status_mib(process.pid, "VmRSS")
        took, answers = [], []
        with AnonPeak(process.pid) as anon:
            for photo in photos:
                start = time.perf_counter()
                answers.append(_analyze(url, photo))
                took.append(time.perf_counter() - start)
        crops = sum(answer["statistics"]["holds_kept"] for answer in answers)
        return {
            "ready_rss_mib": ready_rss,
            "peak_rss_mib": status_mib(process.pid, "VmHWM"),
            "peak_anon_mib": anon.mib,
            "ready_s": ready_s,
            "seconds_per_photo": sum(took) / len(took),
            "seconds_per_crop": sum(answer["timings_ms"]["clip"] for answer in answers) / crops / 1000,
            "crops_per_photo": crops / len(photos),
        }


@contextlib.contextmanager
def running_server(models_dir: Path, data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], str, float]]:
    """The real server on a free port, with how long it took to be ready (seconds from the fork)."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "MODELS_DIR": str(models_dir),
        "DATA_DIR": str(data_dir),
        "LOG_LEVEL": "WARNING",
    }
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "backend", "--port", str(port)], env=environment)
    try:
        while not _is_ready(url):
            if process.poll() is not None:
                raise SystemExit("bench: the server stopped before it was ready")
            time.sleep(0.01)
        yield process, url, time.perf_counter() - start
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=1).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _analyze(url: str, photo: Path) -> dict[str, Any]:
    with photo.open("rb") as file:
        response = httpx.post(f"{url}/api/analyze", files={"image": file}, timeout=300)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer
