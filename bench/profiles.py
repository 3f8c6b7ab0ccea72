"""deploy/profiles, each under its limit: `python -m bench.profiles` prints the table of docs/deploy.md.

Each is a real server in a real cgroup of that size with a cold page cache, and a true-size CLIP ViT-B/32 with
random weights; it analyses one photo of each kind that phones send. Exits 1 where one is killed, or answers
anything but a result or a refusal that the limit explains. Needs root for the limit.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from dotenv import dotenv_values

from bench import mix
from bench.cgroup import NoCgroup, Usage, memory_limit
from bench.inputs import random_models
from bench.mix import Photo
from bench.process import AnonPeak, status_mib
from bench.server import ROOT, Server, end_servers_too

FOLDER = ROOT / "deploy" / "profiles"
NAMES = ("tight", "256m", "512m", "1g")
_MIB = {"m": 1, "g": 1024}
_EXPLAINED = frozenset({"photo_needs_too_much_memory", "photo_too_many_pixels", "photo_too_many_bytes"})


@dataclass(slots=True)
class Row:
    """What one profile did."""

    name: str
    ready_mib: float = 0.0
    peak_mib: float = 0.0
    anonymous_mib: float = 0.0
    usage: Usage = field(default_factory=lambda: Usage(0, 0, 0))
    answered_s: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What was refused, as the limit explains it."""
    broken: list[str] = field(default_factory=list)
    """What should not have happened."""

    def __str__(self) -> str:
        mean_s = sum(self.answered_s) / max(1, len(self.answered_s))
        return (
            f"| `{self.name}.env` | {limit_mib(self.name)} | {self.ready_mib:.0f} | {self.peak_mib:.0f} | "
            f"{self.anonymous_mib:.0f} | {self.usage.peak_mib:.0f} | {self.usage.oom_kills} | "
            f"{len(self.answered_s)} | {', '.join(self.refused) or 'none'} | {mean_s:.1f} |"
        )


def settings_of(name: str) -> dict[str, str]:
    """The settings that a profile sets."""
    return {key: value or "" for key, value in dotenv_values(FOLDER / f"{name}.env").items()}


def limit_mib(name: str) -> int:
    """The memory limit that a profile is for, as Docker Compose reads it from there. MiB."""
    text = settings_of(name)["MEM_LIMIT"]
    return int(text[:-1]) * _MIB[text[-1]]


def measure(name: str, models: Path, photos: Sequence[Photo], folder: Path, *, cold: bool = True) -> Row:
    """Send each photo once to a server under a profile and its limit; `cold`, as for `memory_limit`.

    Raises:
        NoCgroup: there is no memory limit to be had.
    """
    row = Row(name)
    settings = {"MODELS_DIR": str(models.resolve()), **settings_of(name)}
    with memory_limit(limit_mib(name), cold=cold) as cgroup, Server(folder, settings, cgroup) as server:
        row.ready_mib = status_mib(server.pid, "VmRSS")
        with AnonPeak(server.pid) as anonymous:
            for photo in photos:
                _send(photo, server, row)
        row.anonymous_mib = anonymous.mib
        if server.is_running:
            row.peak_mib = status_mib(server.pid, "VmHWM")
        else:
            row.broken.append("the server did not live to the end")
        row.usage = cgroup.usage()
    if row.usage.oom_kills:
        row.broken.append("the kernel killed it")
    return row


def _send(photo: Photo, server: Server, row: Row) -> None:
    begin = time.perf_counter()
    try:
        answer = httpx.post(
            f"{server.url}/api/analyze",
            content=photo.content(),
            headers={"Content-Type": photo.content_type},
            timeout=300,
        )
    except httpx.TransportError as error:
        row.broken.append(f"{photo.name}: {error}")
        return
    if answer.is_success and answer.json()["component_status"] == {"yolo": True, "clip": True}:
        row.answered_s.append(time.perf_counter() - begin)
    elif answer.json().get("code") in _EXPLAINED:
        row.refused.append(photo.name)
    else:
        row.broken.append(f"{photo.name}: {answer.status_code} {answer.text[:200]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profiles", description=__doc__)
    parser.add_argument("profiles", nargs="*", metavar="PROFILE", help=f"of {', '.join(NAMES)}; all of them")
    names = parser.parse_args().profiles or list(NAMES)
    end_servers_too()
    photos = [photo for photo in (*mix.small(), *mix.large(), *mix.heavy()) if not photo.fails]
    print(
        "| profile | limit, MiB | ready, RSS | peak, RSS | peak, anonymous | peak with page cache | "
        "OOM kills | photos answered | refused for their size | s a photo |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | ---: |"
    )
    broken: list[str] = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            try:
                row = measure(name, random_models(), photos, Path(folder))
            except NoCgroup as error:
                print(error, file=sys.stderr)
                return 1
        print(row, flush=True)
        broken += [f"{name}: {what}" for what in row.broken]
    for line in broken:
        print(f"BROKEN: {line}", file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
