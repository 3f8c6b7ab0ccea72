"""What a cluster costs on one machine: `python -m bench.cluster [--photos N] [--models DIR]`.

The embedded server and one with ENGINE=ray and two replicas answer the same photos in turn, one at a time, so
that whatever else the machine does strikes both alike. Then the memory of every process of both, as
proportional set size: a page that replicas share counts once.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]

from bench.server import ROOT, Server, end_servers_too

_WARM_UP = 2


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
                for title, pss, rss in _processes(server.pid):
                    print(f"{pss:8.1f} {rss:8.1f}  {title}")


def _compare(embedded: Server, cluster: Server, photo: Path, photos: int) -> None:
    took: dict[str, list[float]] = {"embedded": [], "ray": []}
    computing: dict[str, list[float]] = {"embedded": [], "ray": []}
    for turn in range(photos + _WARM_UP):
        for name, server in (("embedded", embedded), ("ray", cluster)):
            start = time.perf_counter()
            with photo.open("rb") as file:
                answer = httpx.post(f"{server.url}/api/analyze", files={"image": file}, timeout=300)
            seconds = time.perf_counter() - start
            if turn >= _WARM_UP:
                took[name].append(seconds)
                computing[name].append(sum(answer.json()["timings_ms"].values()) / 1000)
    for name in took:
        beside = [whole - inner for whole, inner in zip(took[name], computing[name], strict=True)]
        print(
            f"{name:>9}: a photo {1000 * statistics.median(took[name]):.0f} ms, of which beside the analysis "
            f"{1000 * statistics.median(beside):.0f} (medians of {photos}; slowest tenth "
            f"{1000 * statistics.quantiles(beside, n=10)[-1]:.0f})"
        )


def _processes(pid: int) -> Iterator[tuple[str, float, float]]:
    """Each process of a server, its workers included: what it is, and its memory, MiB."""
    server = psutil.Process(pid)
    for process in (server, *server.children(recursive=True)):
        usage = process.memory_full_info()
        yield _title(process), usage.pss / 2**20, usage.rss / 2**20


def _title(process: "psutil.Process") -> str:
    words = process.cmdline() or [process.name()]
    scripts = [Path(word).name for word in words if word.endswith(".py")]
    return scripts[-1] if scripts else " ".join(Path(word).name for word in words[:3])[:70]


if __name__ == "__main__":
    main()
