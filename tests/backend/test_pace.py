"""When a place in a full queue will be free."""

import time

import pytest

from backend import queue
from backend.queue import Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def _measured(pace: Pace, clock: list[float], took_s: float) -> None:
    pace.begin("job")
    clock[0] += took_s
    pace.end("job", measured=True)


def test_before_anything_was_measured_it_is_a_guess(clock: list[float]) -> None:
    assert Pace().retry_after_s(1) == queue._FIRST_GUESS_S


def test_the_first_measurement_replaces_the_guess_and_the_next_ones_move_it(clock: list[float]) -> None:
    pace = Pace()
    _measured(pace, clock, 2.0)
    assert pace.retry_after_s(0) == 2
    _measured(pace, clock, 12.0)
    assert pace.retry_after_s(0) == 4  # a fifth of the way


def test_what_has_run_already_need_not_be_waited_for(clock: list[float]) -> None:
    pace = Pace()
    _measured(pace, clock, 10.0)
    pace.begin("job")
    clock[0] += 7
    assert pace.retry_after_s(1) == 3
    clock[0] += 7  # longer than usual: any moment now
    assert pace.retry_after_s(0) >= 1


def test_those_who_are_refused_are_not_all_asked_back_at_once(clock: list[float]) -> None:
    pace = Pace()
    _measured(pace, clock, 10.0)
    pace.begin("job")
    assert [pace.retry_after_s(2) for _ in range(5)] == [10, 20, 30, 30, 30]
    pace.end("job", measured=False)
    pace.begin("job")
    assert pace.retry_after_s(9) == 10 + 10 * 4


def test_with_two_slots_places_come_free_twice_as_fast(clock: list[float]) -> None:
    pace = Pace(slots=2)
    _measured(pace, clock, 10.0)
    pace.begin("first")
    clock[0] += 4
    pace.begin("second")
    assert pace.running == 2
    assert [pace.retry_after_s(2) for _ in range(3)] == [6, 11, 16]  # the first is sooner done
    pace.end("first", measured=False)
    assert pace.running == 1


def test_what_did_not_run_to_its_end_says_nothing(clock: list[float]) -> None:
    pace = Pace()
    _measured(pace, clock, 10.0)
    pace.begin("job")
    clock[0] += 0.1
    pace.end("job", measured=False)
    assert pace.retry_after_s(0) == 10


def test_what_was_measured_before_a_restart_counts_by_its_age(clock: list[float]) -> None:
    pace = Pace()
    pace.learn([20.0, 10.0])  # newest first
    assert pace.retry_after_s(0) == 12
