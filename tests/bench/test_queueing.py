"""The simulated cluster against queues whose answers are known, and against its own promises."""

import math

import numpy as np
import pytest

from bench.queueing import EVENING_S, Outcome, Plant, Seconds, evening, poisson, simulate

_MEAN_S = 2.0


def _erlang_b(servers: int, offered: float) -> float:
    """The part that is refused where nobody may wait: whatever the service times (Erlang, 1917)."""
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked


def _erlang_c(servers: int, offered: float) -> float:
    """The part that has to wait where everybody may, exponential service times."""
    blocked = _erlang_b(servers, offered)
    return blocked / (1 - (offered / servers) * (1 - blocked))


def _exponential(count: int = 200_000) -> Seconds:
    return np.random.default_rng(5).exponential(_MEAN_S, count)


def _steady(plant: Plant, load: float, photos: int = 200_000) -> Outcome:
    rate = load * plant.replicas / float(np.mean(plant.service_s))
    return simulate(plant, poisson(rate, photos, seed=3), seed=4)


@pytest.mark.parametrize(("replicas", "load"), [(1, 0.5), (2, 0.8), (10, 0.9), (40, 0.85)])
def test_waits_are_those_of_erlang(replicas: int, load: float) -> None:
    outcome = _steady(Plant(replicas, _exponential(), max_queue=math.inf), load)
    waits = np.array(outcome.waits_s)
    wait_s = _erlang_c(replicas, load * replicas) * _MEAN_S / (replicas * (1 - load))
    assert np.mean(waits) == pytest.approx(wait_s, rel=0.1)
    assert np.mean(waits > 0) == pytest.approx(_erlang_c(replicas, load * replicas), rel=0.05)
    assert outcome.utilisation == pytest.approx(load, rel=0.02)


def test_one_replica_waits_as_pollaczek_and_khinchine_say() -> None:
    times = np.array([1.0, 2.0, 2.0, 6.0])
    waits = _steady(Plant(1, times, max_queue=math.inf), 0.7).waits_s
    rate = 0.7 / times.mean()
    assert np.mean(waits) == pytest.approx(rate * np.mean(times**2) / (2 * 0.3), rel=0.05)


@pytest.mark.parametrize("load", [0.8, 1.5])
def test_a_queue_without_places_refuses_erlangs_part(load: float) -> None:
    outcome = _steady(Plant(10, np.array([1.0, 2.0, 6.0]), max_queue=0), load)
    assert outcome.refused / outcome.asked == pytest.approx(_erlang_b(10, load * 10), rel=0.03)
    assert outcome.refused == outcome.gave_up
    assert max(outcome.waits_s) == 0


def test_who_is_refused_comes_back_and_is_taken() -> None:
    once, often = (_steady(Plant(10, _exponential(), max_queue=2, tries=tries), 0.8) for tries in (1, 8))
    assert often.gave_up < once.gave_up / 20
    assert often.done + often.gave_up == often.asked
    assert max(often.waits_s) >= 1  # Retry-After is a second at least


def test_more_photos_than_places_are_never_inside() -> None:
    outcome = _steady(Plant(2, np.array([_MEAN_S]), services=3, max_queue=12), 5.0)
    # Twelve wait ahead of the last one at most, and two replicas take turns.
    assert 5 * _MEAN_S < max(outcome.waits_s) <= 6 * _MEAN_S + 1e-6


@pytest.mark.parametrize(("ingress_s", "database_s", "bound"), [(0.05, 0, 2 / 0.05), (0, 0.02, 1 / 0.02)])
def test_what_does_not_grow_with_the_replicas_bounds_them(
    ingress_s: float, database_s: float, bound: float
) -> None:
    plant = Plant(
        1000, np.array([_MEAN_S]), services=2, ingress_s=ingress_s, database_s=database_s, max_queue=math.inf
    )
    assert _steady(plant, 0.9, 50_000).photos_per_s == pytest.approx(bound, rel=0.02)


def test_a_lost_replica_costs_a_retry_and_two_of_them_the_photo() -> None:
    plant = Plant(20, np.array([_MEAN_S]), max_queue=math.inf, mean_life_s=20, start_s=5)
    outcome = _steady(plant, 0.5)
    dies = 1 - math.exp(-_MEAN_S / 20)
    assert outcome.retried / outcome.asked == pytest.approx(dies, rel=0.05)
    assert outcome.crashed / outcome.asked == pytest.approx(dies**2, rel=0.1)
    assert outcome.done + outcome.crashed == outcome.asked


def test_replicas_come_with_the_load_and_go_after_it() -> None:
    fixed = Plant(50, np.array([_MEAN_S]), max_queue=20, start_s=30, tries=5)
    scaled = Plant(50, np.array([_MEAN_S]), max_queue=20, start_s=30, tries=5, min_replicas=5)
    arrivals = evening(0.8 * 50 / _MEAN_S, seed=2)
    always, later = simulate(fixed, arrivals), simulate(scaled, arrivals)
    assert always.provided_s == pytest.approx(50 * always.seconds)
    assert 5 * later.seconds < later.provided_s < 0.95 * always.provided_s
    assert later.utilisation > always.utilisation
    assert np.percentile(later.waits_s, 95) > np.percentile(always.waits_s, 95)
    assert later.done + later.gave_up == later.asked


def test_replicas_that_nobody_needs_go_after_ten_minutes() -> None:
    crowd, then = np.linspace(0, 10, 200), np.arange(100.0, 10_000, 10)
    plant = Plant(50, np.array([_MEAN_S]), max_queue=math.inf, min_replicas=1, start_s=5)
    outcome = simulate(plant, np.concatenate([crowd, then]))
    assert 50 * 600 < outcome.provided_s < 50 * 700 + 10_000
    assert max(outcome.waits_s) < 20


def test_an_evening_has_a_peak() -> None:
    moments = evening(10.0)
    counts, _ = np.histogram(moments, bins=8, range=(0, EVENING_S))
    assert list(counts > 10 * EVENING_S / 8 * 0.95) == [False, False, True, True, True, True, False, False]
    assert (np.diff(moments) >= 0).all()


def test_the_same_seed_is_the_same_evening() -> None:
    plant = Plant(5, _exponential(), tries=3)
    assert simulate(plant, evening(3.0, seed=9), 9) == simulate(plant, evening(3.0, seed=9), 9)
