"""Where memory goes, stage by stage: `python -m bench.stages` prints the table of docs/memory.md."""

import json
import tempfile
from pathlib import Path
from typing import Any

import httpx

from bench.inputs import random_models, wall_photos
from bench.process import status_mib
from bench.service import default_server

_SHOWN = {"detection", "detection_complete", "clustering_complete", "complete"}
_FIGURES = ("VmRSS", "RssAnon", "RssFile", "VmHWM")


def main() -> None:
    """Analyse two photos on a fresh server with default settings; a line after each stage."""
    print(f"| {'stage':24s} | RSS | anonymous | of files | peak so far |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with (
        tempfile.TemporaryDirectory() as folder,
        default_server(random_models(), Path(folder)) as server,
    ):
        _print_row("ready", server.pid)
        for number, photo in enumerate(wall_photos()[:2], start=1):
            for event in _stream(server.url, photo):
                if event["step"] in _SHOWN or _is_halfway(event):
                    _print_row(f"photo {number}: {event['step']}", server.pid)


def _is_halfway(event: dict[str, Any]) -> bool:
    return bool(event["step"] == "clustering" and event["done"] == event["total"] // 2)


def _stream(url: str, photo: Path) -> Any:
    with photo.open("rb") as file:
        request = httpx.stream("POST", f"{url}/api/analyze-stream", files={"image": file}, timeout=300)
        with request as response:
            for line in response.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))


def _print_row(stage: str, pid: int) -> None:
    figures = " | ".join(f"{status_mib(pid, name):.0f}" for name in _FIGURES)
    print(f"| {stage} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
