"""When photos should be sent elsewhere, as what analyses come to decides it."""

import time

import pytest

from backend.errors import NotReady
from backend.events import Event, failure
from backend.metrics import Metrics
from backend.store import JobRecord
from backend.watch import FAILURES, QUIET_S, Watch
from holdcheck import memory

RECORD = JobRecord("6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11", time.time())
FAULTS = [
    "internal_error",
    "job_timed_out",
    "job_crashed",
    "storage_full",
    "storage_unavailable",
    "memory_short",
]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Story:
    """Analyses one after the other, and how much time passes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.watch = Watch(Metrics(), self.clock)

    def fail(self, code: str = "internal_error", times: int = 1) -> None:
        for _ in range(times):
            self.watch.began(RECORD)
            self.watch.ended(RECORD, failure(code, "It went wrong.", memory.snapshot()))

    def succeed(self) -> None:
        self.watch.began(RECORD)
        self.watch.ended(RECORD, _complete())

    def ready(self) -> bool:
        return self.watch.problem() is None


def _complete() -> Event:
    result = {"timings_ms": {"decode": 12.5}, "image_width": 40, "image_height": 30}
    return Event("complete", 100, {"result": result}, memory.snapshot())


@pytest.mark.parametrize("code", FAULTS)
def test_three_failures_of_our_own_in_a_row_are_enough(code: str) -> None:
    story = Story()
    story.fail(code, times=FAILURES - 1)
    assert story.ready()
    story.fail(code)
    assert not story.ready()


@pytest.mark.parametrize(
    "code", ["photo_corrupt", "photo_truncated", "photo_needs_too_much_memory", "cancelled"]
)
def test_what_is_wrong_with_photos_says_nothing_of_the_server(code: str) -> None:
    story = Story()
    story.fail(code, times=10)
    assert story.ready()
    story.fail("internal_error", times=2)
    story.fail(code)  # neither in the row nor the end of it
    story.fail("internal_error")
    assert not story.ready()


def test_one_success_makes_it_ready() -> None:
    story = Story()
    story.fail(times=7)
    story.succeed()
    assert story.ready()
    story.fail(times=FAILURES - 1)
    assert story.ready()


def test_after_a_quiet_time_it_is_ready_to_try_and_one_more_failure_is_enough() -> None:
    story = Story()
    story.fail(times=FAILURES)
    story.clock.now += QUIET_S - 1
    problem = story.watch.problem()
    assert isinstance(problem, NotReady)
    assert problem.retry_after_s == 1
    story.clock.now += 1
    assert story.ready()
    story.fail()
    assert not story.ready()
    story.clock.now += QUIET_S
    story.succeed()
    story.fail(times=FAILURES - 1)
    assert story.ready()


def test_a_stuck_worker_takes_no_photos_until_it_is_free() -> None:
    watch = Story().watch
    watch.require_free_worker()
    watch.worker_stuck()
    with pytest.raises(NotReady, match="restart the server"):
        watch.require_free_worker()
    assert "restart the server" in str(watch.problem())
    watch.worker_free()
    watch.require_free_worker()
    assert watch.problem() is None


def test_the_last_finished_analysis_tells_its_times() -> None:
    story = Story()
    before = story.watch.timings_ms
    story.succeed()
    story.fail()
    assert before is None
    assert story.watch.timings_ms == {"decode": 12.5}


def test_a_job_that_was_set_aside_before_it_ran_counts_and_breaks_nothing() -> None:
    watch = Story().watch
    for _ in range(FAILURES):
        watch.ended(RECORD, failure("job_crashed", "Twice.", memory.snapshot()))
    watch.cancelled(RECORD)
    assert watch.problem() is not None
