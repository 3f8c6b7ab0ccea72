"""What a cluster costs on one machine: `python -m bench.cluster [--photos N] [--models DIR]`.

The embedded server and one with ENGINE=ray and two replicas answer the same photos in turn, one at a time, so
that whatever else the machine does strikes both alike. Then the memory of every process of both, as
proportional set size: a page that replicas share counts once, half for each. At last that of both replicas
while both analyse: then the weights are in memory, which are let go of in between.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]

from bench.server import ROOT, Server, end_servers_too

_WARM_UP = 2
_ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", type=int, default=30, help="for each of the two (30)")
    parser.add_argument("--models", type=Path, default=Path("models"), help="MODELS_DIR (models)")
    arguments = parser.parse_args()
    end_servers_too()
    photo = ROOT / "samples" / "twins.jpg"
    settings = {"LOG_LEVEL": "warning", "MODELS_DIR": str(arguments.models.resolve())}
    ray = {"ENGINE": "ray", "RAY_MIN_REPLICAS": "2", "RAY_MAX_REPLICAS": "2"}
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name, engine) for engine in ("embedded", "ray")]
        for folder in folders:
            folder.mkdir()
        with Server(folders[0], settings) as embedded, Server(folders[1], settings | ray) as cluster:
            print(f"ready after {embedded.ready_s:.1f} s embedded, {cluster.ready_s:.1f} s on Ray")
            _compare(embedded, cluster, photo, arguments.photos)
            for server in (embedded, cluster):
                print(f"\n{server.data.parent.name}: proportional and resident set, MiB")
                for title, usage in _processes(server.pid):
                    print(f"{usage['Pss']:8.1f} {usage['Rss']:8.1f}  {title}")
            _measure_both_busy(cluster, photo)


def _compare(embedded: Server, cluster: Server, photo: Path, photos: int) -> None:
    took: dict[str, list[float]] = {"embedded": [], "ray": []}
    computing: dict[str, list[float]] = {"embedded": [], "ray": []}
    for turn in range(photos + _WARM_UP):
        for name, server in (("embedded", embedded), ("ray", cluster)):
            start = time.perf_counter()
            answer = _analyze(server, photo)
            seconds = time.perf_counter() - start
            if turn >= _WARM_UP:
                took[name].append(seconds)
                computing[name].append(sum(answer["timings_ms"].values()) / 1000)
    for name in took:
        beside = [whole - inner for whole, inner in zip(took[name], computing[name], strict=True)]
        print(
            f"{name:>9}: a photo {1000 * statistics.median(took[name]):.0f} ms, "
            f"{1000 * min(took[name]):.0f} at best; of which beside the analysis "
            f"{1000 * statistics.median(beside):.0f}, {1000 * min(beside):.0f} at best ({photos} photos)"
        )


def _measure_both_busy(cluster: Server, photo: Path) -> None:
    """Print what two replicas hold together at the moment when that is most."""
    replicas = [process.pid for process in _family(cluster.pid) if "Replica" in _title(process)]
    most = {"Pss": 0.0}
    with ThreadPoolExecutor(2) as phones:
        answers = [phones.submit(_analyze, cluster, photo) for _ in range(2 * _ROUNDS)]
        while not all(answer.done() for answer in answers):
            usages = [_usage(pid) for pid in replicas]
            sums = {name: sum(usage[name] for usage in usages) for name in usages[0]}
            most = max(most, sums, key=lambda usage: usage["Pss"])
            time.sleep(0.02)
    shared = most["Rss"] - most["Pss"]
    print(
        f"\n{len(replicas)} replicas at their peak: {most['Rss']:.0f} MiB resident, {most['Pss']:.0f} "
        f"proportional ({most['Pss_Anon']:.0f} of them their own): sharing saves {shared:.0f}"
    )


def _analyze(server: Server, photo: Path) -> dict[str, Any]:
    with photo.open("rb") as file:
        response = httpx.post(f"{server.url}/api/analyze", files={"image": file}, timeout=300)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


def _processes(pid: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Each process of a server, its workers included: what it is, and its memory, MiB."""
    for process in _family(pid):
        yield _title(process), _usage(process.pid)


def _family(pid: int) -> "list[psutil.Process]":
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]


def _usage(pid: int) -> dict[str, float]:
    """/proc/PID/smaps_rollup, MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    words = [line.split() for line in lines]
    return {name.rstrip(":"): int(kib) / 1024 for name, kib, *_ in words}


def _title(process: "psutil.Process") -> str:
    words = process.cmdline() or [process.name()]
    scripts = [Path(word).name for word in words if word.endswith(".py")]
    return scripts[-1] if scripts else " ".join(Path(word).name for word in words[:3])[:70]


if __name__ == "__main__":
    main()
