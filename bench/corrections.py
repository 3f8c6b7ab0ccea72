"""What corrections cost in memory: `python -m bench.corrections` prints the table of docs/corrections.md."""

import json
import tempfile
from pathlib import Path
from typing import Any

import httpx

from backend.corrections import MAX_BYTES
from bench.inputs import random_models, wall_photos
from bench.process import AnonPeak, status_mib
from bench.service import default_server

_ROUNDS = 3


def main() -> None:
    """A fresh server without and one with KEEP_CORRECTIONS: three photos, then corrections. MiB."""
    print(
        "| KEEP_CORRECTIONS | ready, anonymous | peak RSS | peak anonymous | largest corrections, anonymous |"
    )
    print("| --- | ---: | ---: | ---: | ---: |")
    for keep in ("0", "1"):
        with (
            tempfile.TemporaryDirectory() as data,
            default_server(random_models(), Path(data), KEEP_CORRECTIONS=keep) as server,
        ):
            ready = status_mib(server.pid, "RssAnon")
            with AnonPeak(server.pid) as analysing:
                for photo in wall_photos():
                    result = _analyze(server.url, photo)
            peak_rss = status_mib(server.pid, "VmHWM")
            added = _correct(server.pid, server.url, result)
        figures = (f"{ready:.1f}", f"{peak_rss:.0f}", f"{analysing.mib:.0f}", f"+{added:.0f}")
        print(f"| {keep} | {' | '.join(figures)} |", flush=True)


def _analyze(url: str, photo: Path) -> dict[str, Any]:
    with photo.open("rb") as file:
        response = httpx.post(f"{url}/api/analyze", files={"image": file}, timeout=300)
    response.raise_for_status()
    result: dict[str, Any] = response.json()
    return result


def _correct(pid: int, url: str, result: dict[str, Any]) -> float:
    """Send as much as is accepted; answers what that took beyond what the server held before."""
    body = _largest()
    before = status_mib(pid, "RssAnon")
    with AnonPeak(pid) as peak:
        for _ in range(_ROUNDS):
            url_of_job = f"{url}/api/jobs/{result['job_id']}/corrections"
            httpx.post(url_of_job, content=body, timeout=60).raise_for_status()
    return peak.mib - before


def _largest() -> bytes:
    """Holds that were added, of 500 points each, as many as fit."""
    around = [[100 + point % 50, 9 + point // 50] for point in range(500)]
    added = {"contour": [*around[:-1], [100, 400]], "color": "red", "kind": "hold"}
    count = (MAX_BYTES - 100) // (len(json.dumps(added, separators=(",", ":"))) + 1)
    return json.dumps({"added": [added] * count}, separators=(",", ":")).encode()


if __name__ == "__main__":
    main()
