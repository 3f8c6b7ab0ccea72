"""1, 10, 100 and 1,000 replicas, simulated: `python -m bench.simulate [--price 0.10] [--seed 1]`.

Reads what was measured here: build/scaling.json (python -m bench.scaling), and build/notices.json
(python -m bench.notices). docs/cluster-scaling.md has the assumptions; each is an option below. No machine's
price is known here: costs come out in the unit of --price.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import notices, scaling
from bench.queueing import Outcome, Plant, Seconds, evening, poisson, simulate

_COUNTS = (1, 10, 100, 1000)
_WARM_UP = 0.1
"""The part of a steady run's waits that is left out, because the cluster began empty."""
_MOST_QUEUED = 1000
"""MAX_QUEUE takes no more."""
_INGRESS_LOAD = 0.6
"""So busy a service may be on average: it also answers who only asks."""
_LOOKS_PER_S, _WEIGH_S = 20, 5
"""How often a service looks at the queue, at most, and adds up the jobs' bytes (backend/shared/board.py)."""
_CHANGES = 3
"""Of the queue for each photo: added, claimed, ended."""
_KEPT_S = 3600
"""JOB_TTL_S: so long a job is kept."""
_HEADS = 2
"""Machines of a cluster that analyse nothing: Ray's head; database and files."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the simulation takes from this machine. Seconds and bytes, of one photo."""

    service_s: Seconds
    """What photos take of a replica, the time until it has the next one included."""
    ingress_s: float
    database_s: float
    events: float
    photo_bytes: float
    scale_up_s: float
    look_s: float
    """Of the database, for a service's look at the queue."""
    weigh_s: float
    """Of the database, for each job that is kept, whenever a service adds up their bytes."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """What it does not."""

    price: float
    cores: int
    machine_start_s: float
    mean_life_s: float
    tries: int
    queue_each: int


def read_measured(report: Mapping[str, Any], database: Mapping[str, float]) -> Measured:
    """From the reports of bench.scaling and bench.notices: of the runs with Ray the one least disturbed."""
    runs = (run for run in report["runs"] if run["engine"] == "ray")
    run = min(runs, key=lambda run: run["cpu"][scaling.OTHERS])
    return Measured(
        np.array(run["service_s"]) + run["hand_over_s"],
        run["service_cpu_s"],
        run["events"] / database["events_per_s"],
        run["events"],
        run["photo_bytes"],
        report["scale_up_s"],
        database["look_s"],
        database["weigh_s_per_job"],
    )


def plant(replicas: int, load: float, measured: Measured, assumed: Assumed) -> Plant:
    """A cluster of that size, with as many services as that load of its replicas takes."""
    rate = load * replicas / float(np.mean(measured.service_s))
    return Plant(
        replicas,
        measured.service_s,
        services=max(1, math.ceil(rate * measured.ingress_s / _INGRESS_LOAD)),
        max_queue=min(_MOST_QUEUED, assumed.queue_each * replicas),
        ingress_s=measured.ingress_s,
        start_s=measured.scale_up_s,
        mean_life_s=assumed.mean_life_s,
        tries=assumed.tries,
    )


def steady(plant: Plant, load: float, photos: int, seed: int) -> Outcome:
    """Poisson arrivals at that load of the replicas."""
    rate = load * plant.replicas / float(np.mean(plant.service_s))
    return simulate(plant, poisson(rate, photos, seed), seed)


def peak(plant: Plant, load: float, seed: int) -> Outcome:
    """A gym's evening whose peak is that load of the replicas."""
    return simulate(plant, evening(load * plant.replicas / float(np.mean(plant.service_s)), seed), seed)


def cost(outcome: Outcome, plant: Plant, assumed: Assumed) -> float:
    """Of 1,000 photos, in the unit of the price: cores for replicas and services, and the heads.

    One replica is the embedded engine: one core does all.
    """
    machine_s = outcome.provided_s / assumed.cores
    if plant.replicas > 1:
        machine_s += (plant.services / assumed.cores + _HEADS) * outcome.seconds
    return 1000 * machine_s / 3600 * assumed.price / outcome.done


def needs(replicas: int, load: float, measured: Measured, services: int) -> str:
    """A row: what a second of that load takes of everything but the replicas."""
    photos = load * replicas / float(np.mean(measured.service_s))
    looks = services * min(_LOOKS_PER_S, _CHANGES * photos) * measured.look_s
    weighing = services * photos * _KEPT_S * measured.weigh_s / _WEIGH_S
    # Once from the phone, once into the store of files, once out of it, once to the replica.
    megabits = 4 * 8 * photos * measured.photo_bytes / 1e6
    return (
        f"| {replicas:,} | {photos:.1f} | {services} | {photos * measured.ingress_s:.1f} "
        f"| {photos * measured.events:,.0f} | {100 * photos * measured.database_s:.0f}% "
        f"| {looks:.2f} | {weighing:.2f} | {megabits:,.0f} |"
    )


def _row(title: str, outcome: Outcome, plant: Plant, assumed: Assumed, skip: float = 0.0) -> str:
    waits = np.array(outcome.waits_s[int(skip * len(outcome.waits_s)) :])
    ranks = " | ".join(f"{value:.1f}" for value in np.percentile(waits, (50, 95, 99)))
    return (
        f"| {title} | {plant.services} | {60 * outcome.photos_per_s:,.0f} "
        f"| {100 * outcome.utilisation:.0f}% | {ranks} "
        f"| {100 * outcome.refused / outcome.asked:.1f}% | {100 * outcome.gave_up / outcome.asked:.2f}% "
        f"| {outcome.retried} / {outcome.crashed} | {cost(outcome, plant, assumed):.3f} |"
    )


_HEAD = (
    "| replicas | services | photos/min | utilisation | wait p50, s | p95 | p99 | answers 503, of photos "
    "| never taken | retried / crashed | cost of 1,000 |\n| ---: |" + " ---: |" * 10
)


def _print_steady(load: float, measured: Measured, assumed: Assumed, photos: int, seed: int) -> None:
    print(f"\nPoisson arrivals, {100 * load:.0f}% of what the replicas do, {photos:,} photos\n\n{_HEAD}")
    for count in _COUNTS:
        cluster = plant(count, load, measured, assumed)
        print(_row(f"{count:,}", steady(cluster, load, photos, seed), cluster, assumed, _WARM_UP), flush=True)


def _print_evening(load: float, measured: Measured, assumed: Assumed, seed: int) -> None:
    print(f"\nA gym's evening, two hours, at its peak {100 * load:.0f}% of what all replicas do")
    for scaled, title in ((False, "all replicas there"), (True, "autoscaled from a tenth")):
        print(f"\n{title}\n\n{_HEAD}")
        for count in _COUNTS:
            cluster = plant(count, load, measured, assumed)
            if scaled:
                start_s = measured.scale_up_s + assumed.machine_start_s
                cluster = replace(cluster, min_replicas=max(1, count // 10), start_s=start_s)
            print(_row(f"{count:,}", peak(cluster, load, seed), cluster, assumed), flush=True)


def _print_bounds(load: float, measured: Measured, assumed: Assumed, photos: int, seed: int) -> None:
    """The same arrivals where something does not grow with the replicas."""
    print(f"\nWhat breaks first, at {100 * load:.0f}%\n\n{_HEAD}")
    for count in _COUNTS:
        enough = plant(count, load, measured, assumed)
        shared = replace(enough, database_s=measured.database_s)
        for title, cluster in (("one service", replace(enough, services=1)), ("one database", shared)):
            outcome = steady(cluster, load, photos, seed)
            print(_row(f"{count:,}, {title}", outcome, cluster, assumed, _WARM_UP), flush=True)


def _print_against_measured(report: Mapping[str, Any], seed: int) -> None:
    """A saturated cluster, simulated from its own service times and from those of one replica."""
    runs = [run for run in report["runs"] if run["engine"] == "ray"]
    one = next(run for run in runs if run["replicas"] == 1)
    print("| replicas | measured, photos/min | simulated | simulated from one replica's times |")
    print("| ---: | ---: | ---: | ---: |")
    for run in runs:
        told = [60 * _saturated(run["replicas"], times, seed) for times in (run, one)]
        print(f"| {run['replicas']} | {run['photos_per_min']:.1f} | {told[0]:.1f} | {told[1]:.1f} |")


def _saturated(replicas: int, run: Mapping[str, Any], seed: int) -> float:
    """Photos a second of replicas that never wait for work."""
    times = np.array(run["service_s"]) + run["hand_over_s"]
    cluster = Plant(replicas, times, max_queue=math.inf)
    rate = 2 * replicas / float(times.mean())
    return simulate(cluster, poisson(rate, 20_000, seed), seed).photos_per_s


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--price", type=float, default=0.10, help="of one machine and hour (0.10)")
    parser.add_argument(
        "--cores", type=int, default=4, help="of a machine: one for each replica or service (4)"
    )
    parser.add_argument("--load", type=float, nargs="+", default=[0.7, 0.9], help="of the replicas (0.7 0.9)")
    parser.add_argument("--peak", type=float, default=1.1, help="load at an evening's peak (1.1)")
    parser.add_argument("--machine-start", type=float, default=60, help="until a new one is there, s (60)")
    parser.add_argument("--life", type=float, default=100, help="mean hours of work of a replica (100)")
    parser.add_argument("--tries", type=int, default=5, help="so often a phone asks (5)")
    parser.add_argument("--queue", type=int, default=8, help="MAX_QUEUE, for each replica; 1,000 at most (8)")
    parser.add_argument(
        "--photos", type=int, default=200_000, help="of a run with Poisson arrivals (200,000)"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    arguments = _parsed()
    began = time.perf_counter()
    report, database = (_read(path) for path in (scaling.OUTPUT, notices.OUTPUT))
    measured = read_measured(report, database)
    life_s = 3600 * arguments.life
    assumed = Assumed(
        arguments.price,
        arguments.cores,
        arguments.machine_start,
        life_s,
        arguments.tries,
        arguments.queue,
    )
    print(
        f"measured: a photo takes {np.mean(measured.service_s):.2f} s of a replica (5 to 95%: "
        f"{np.percentile(measured.service_s, 5):.2f} to {np.percentile(measured.service_s, 95):.2f}), "
        f"{1000 * measured.ingress_s:.0f} ms of a service, {1000 * measured.database_s:.0f} ms of the "
        f"database ({measured.events:.0f} events), {measured.photo_bytes / 1e6:.1f} MB; a replica more is "
        f"there after {measured.scale_up_s:.0f} s\n"
    )
    _print_against_measured(report, arguments.seed)
    for load in arguments.load:
        _print_steady(load, measured, assumed, arguments.photos, arguments.seed)
    _print_evening(arguments.peak, measured, assumed, arguments.seed)
    _print_bounds(arguments.load[0], measured, assumed, arguments.photos, arguments.seed)
    for load in arguments.load:
        _print_needs(load, measured, assumed)
    print(f"\n{time.perf_counter() - began:.0f} s", file=sys.stderr)


def _print_needs(load: float, measured: Measured, assumed: Assumed) -> None:
    print(f"\nWhat {100 * load:.0f}% takes each second, beside the replicas\n")
    print("| replicas | photos | services | their cores | events | of what one database takes", end=" ")
    print("| its cores for looks | for the jobs' bytes | Mbit |\n| ---: |" + " ---: |" * 8)
    for count in _COUNTS:
        services = plant(count, load, measured, assumed).services
        print(needs(count, load, measured, services))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"simulate: no {path}: run `python -m bench.{path.stem}` first") from None


if __name__ == "__main__":
    main()
