"""This service under measurement: the real server, real requests, memory read from outside."""

import time
from pathlib import Path
from typing import Any

import httpx

from bench.process import AnonPeak, status_mib
from bench.server import Server


def default_server(models_dir: Path, folder: Path, **settings: str) -> Server:
    """One with these models, and default settings but for those that are named."""
    return Server(folder, {"MODELS_DIR": str(models_dir.resolve()), "LOG_LEVEL": "WARNING", **settings})


def measure(photos: list[Path], models_dir: Path, folder: Path) -> dict[str, float]:
    """Start the server with default settings, analyse each photo once: the figures of bench.json."""
    with default_server(models_dir, folder) as server:
        ready_rss = status_mib(server.pid, "VmRSS")
        took, answers = [], []
        with AnonPeak(server.pid) as anon:
            for photo in photos:
                start = time.perf_counter()
                answers.append(_analyze(server.url, photo))
                took.append(time.perf_counter() - start)
        crops = sum(answer["statistics"]["holds_kept"] for answer in answers)
        return {
            "ready_rss_mib": ready_rss,
            "peak_rss_mib": status_mib(server.pid, "VmHWM"),
            "peak_anon_mib": anon.mib,
            "ready_s": server.ready_s,
            "seconds_per_photo": sum(took) / len(took),
            "seconds_per_crop": sum(answer["timings_ms"]["clip"] for answer in answers) / crops / 1000,
            "crops_per_photo": crops / len(photos),
        }


def _analyze(url: str, photo: Path) -> dict[str, Any]:
    with photo.open("rb") as file:
        response = httpx.post(f"{url}/api/analyze", files={"image": file}, timeout=300)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer
