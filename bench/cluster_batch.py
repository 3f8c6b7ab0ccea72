"""Where one classifier for all replicas pays: `python -m bench.cluster_batch [--gpus N] [--crops N] ...`.

First CLIP alone, in torch: crops a second by how many it embeds at once, twice around, the best of each. Then
two servers with ENGINE=ray and RUNTIME=torch, each on a cluster of its own, answer the same photos in turn,
several at once: one whose replicas have a classifier each, and one with RAY_CLASSIFIER_BATCH. GPUs are shared
out among all replicas there, and belong to the classifier here. Their answers are compared, too.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
from ray import serve
from ray.cluster_utils import Cluster

from backend import classifier_deployment
from backend.classifier_deployment import Work
from bench.server import ROOT, Server, end_servers_too
from holdcheck import device, registry
from holdcheck.classifier import Classifier
from holdcheck.settings import Settings

_SIZES = tuple(2**power for power in range(9))
_LEAST_S = 1.0
"""A size is embedded again until it has taken so long."""
_PHOTOS = ("twins.jpg", "slab.jpg")
_OBJECT_STORE = 256 * 2**20
_APART, _SHARED = "a classifier each", "one for all"


def main() -> None:
    arguments = _arguments()
    end_servers_too()
    if arguments.only != "photos":
        _print_throughput(arguments)
    if arguments.only != "throughput":
        _print_photos(arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.cluster_batch",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--at-once", type=int, default=2, help="photos, and replicas, at once (2)")
    parser.add_argument("--crops", type=int, default=3, help="CLIP_BATCH_SIZE (3)")
    parser.add_argument("--batch", type=int, help="RAY_CLASSIFIER_BATCH (--at-once times --crops)")
    parser.add_argument("--gpus", type=float, default=0, help="of this machine, for each of the two (0)")
    parser.add_argument("--threads", type=int, default=1, help="OMP_NUM_THREADS (1)")
    parser.add_argument("--rounds", type=int, default=4, help="for each of the two, in turn (4)")
    parser.add_argument("--models", type=Path, default=Path("models"), help="MODELS_DIR (models)")
    parser.add_argument("--only", choices=("throughput", "photos"), help="one of the two parts")
    arguments = parser.parse_args()
    arguments.batch = arguments.batch or arguments.at_once * arguments.crops
    return arguments


def _print_throughput(arguments: argparse.Namespace) -> None:
    settings = Settings(
        _env_file=None,
        runtime="torch",
        models_dir=arguments.models.resolve(),
        omp_num_threads=arguments.threads,
    )
    classifier = registry.choose_classifier(settings).classifier
    assert classifier is not None
    kind = device.choose(settings).kind
    print(
        f"{classifier.info.name} in torch, {kind}, {arguments.threads} threads\n  at once  crops/s  against 1"
    )
    best = dict.fromkeys(_SIZES, 0.0)
    for _ in range(2):
        for size in _SIZES:
            best[size] = max(best[size], _crops_per_second(classifier, size))
    for size in _SIZES:
        print(f"{size:9} {best[size]:8.1f} {best[size] / best[1]:10.2f}", flush=True)


def _crops_per_second(classifier: Classifier, size: int) -> float:
    side = classifier.input_size
    crops = np.random.default_rng(0).integers(0, 256, (size, side, side, 3), dtype=np.uint8)
    classifier.embed(crops[:1])
    took: list[float] = []
    while sum(took) < _LEAST_S:
        start = time.perf_counter()
        classifier.embed(crops)
        took.append(time.perf_counter() - start)
    return size / min(took)


def _print_photos(arguments: argparse.Namespace) -> None:
    replicas = str(arguments.at_once)
    common = {
        "ENGINE": "ray",
        "RUNTIME": "torch",
        "RAY_MIN_REPLICAS": replicas,
        "RAY_MAX_REPLICAS": replicas,
        "CLIP_BATCH_SIZE": str(arguments.crops),
        "OMP_NUM_THREADS": str(arguments.threads),
        "MKL_NUM_THREADS": str(arguments.threads),
        "MODELS_DIR": str(arguments.models.resolve()),
        "LOG_LEVEL": "warning",
    }
    apart = {"RAY_GPUS": str(arguments.gpus / arguments.at_once)}
    shared = {"RAY_GPUS": str(arguments.gpus), "RAY_CLASSIFIER_BATCH": str(arguments.batch)}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        clusters: dict[str, Cluster] = {}
        servers: dict[str, Server] = {}
        for name, settings in ((_APART, apart), (_SHARED, shared)):
            clusters[name] = _start_cluster(arguments)
            stack.callback(clusters[name].shutdown)
            address = {"RAY_ADDRESS": clusters[name].address}
            (folder / name).mkdir()
            servers[name] = stack.enter_context(Server(folder / name, common | settings | address))
            print(f"{name}: ready after {servers[name].ready_s:.1f} s", file=sys.stderr)
        _compare(servers, arguments)
        _print_work(clusters[_SHARED].address)


def _start_cluster(arguments: argparse.Namespace) -> Cluster:
    cpus = (arguments.at_once + 1) * arguments.threads
    node = {"num_cpus": cpus, "num_gpus": arguments.gpus, "object_store_memory": _OBJECT_STORE}
    return Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})


def _compare(servers: Mapping[str, Server], arguments: argparse.Namespace) -> None:
    took: dict[str, list[float]] = {name: [] for name in servers}
    answers: dict[str, list[dict[str, Any]]] = {}
    photos = [ROOT / "samples" / _PHOTOS[number % len(_PHOTOS)] for number in range(arguments.at_once)]
    for number in range(arguments.rounds + 1):
        for name, server in servers.items():
            start = time.perf_counter()
            with ThreadPoolExecutor(len(photos)) as phones:
                answers[name] = list(phones.map(lambda photo, url=server.url: _analyze(url, photo), photos))
            if number:  # the first warms up
                took[name].append(time.perf_counter() - start)
    print(
        f"\n{arguments.at_once} photos at once, {arguments.rounds} times, {arguments.crops} crops a request"
    )
    rates = {name: 60 * len(photos) * len(times) / sum(times) for name, times in took.items()}
    for name, times in took.items():
        clip = [answer["timings_ms"]["clip"] for answer in answers[name]]
        print(
            f"{name:>18}: {rates[name]:6.1f} photos/min, {60 * len(photos) / min(times):6.1f} at best; "
            f"in the last round {sum(clip) / len(clip):.0f} ms of a photo for its crops"
        )
    print(f"with one for all: {rates[_SHARED] / rates[_APART]:.2f} times the photos")
    _print_difference(answers[_APART], answers[_SHARED])


def _print_difference(apart: list[dict[str, Any]], shared: list[dict[str, Any]]) -> None:
    pairs = [
        (hold, other)
        for answer, other_answer in zip(apart, shared, strict=True)
        for hold, other in zip(answer["hold_data"], other_answer["hold_data"], strict=True)
    ]
    same = sum(hold["color"] == other["color"] for hold, other in pairs)
    largest = max(
        abs(score - other["color_scores"].get(colour, 0.0))
        for hold, other in pairs
        for colour, score in hold["color_scores"].items()
    )
    print(
        f"{same} of {len(pairs)} holds have the same colour; "
        f"no probability differs by more than {largest:.1g}"
    )


def _print_work(address: str) -> None:
    ray.init(address, configure_logging=False, log_to_driver=False)
    try:
        handle = serve.get_deployment_handle(classifier_deployment.NAME, "holdcheck")
        work: Work = handle.work.remote().result(timeout_s=60)
    finally:
        ray.shutdown()
    batches = sum(work.batches.values())
    by_requests = ", ".join(f"{work.batches[size]} of {size}" for size in sorted(work.batches))
    print(f"{batches} batches, {work.crops / batches:.1f} crops each; by requests: {by_requests}")


def _analyze(url: str, photo: Path) -> dict[str, Any]:
    with photo.open("rb") as file:
        response = httpx.post(f"{url}/api/analyze", files={"image": file}, timeout=600)
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer


if __name__ == "__main__":
    main()
