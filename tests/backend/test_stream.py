"""POST /api/analyze-stream, as httpx-sse and curl see it."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest

from holdcheck.result import MemoryUsage, Result
from tests.backend.server import Arrival, Server

STEPS = [
    "queued",
    "upload",
    "detection",
    "detection_complete",
    "clustering",
    "clustering_complete",
    "analysis",
    "analysis_complete",
    "result_stats",
    "result_holds",
    "result_problems",
    "complete",
]
BASE_FIELDS = {"job_id", "seq", "step", "progress", "message", "elapsed_ms", "memory"}
STEP_FIELDS = {
    "queued": {"position"},
    "detection_complete": {"holds_count", "holds_kept", "truncated"},
    "clustering": {"done", "total"},
    "clustering_complete": {"problems_count"},
    "result_stats": {"statistics"},
    "result_holds": {"hold_data"},
    "result_problems": {"problems"},
    "complete": {"result"},
}


@pytest.fixture(scope="module")
def events(server: Server, wall: bytes) -> list[Arrival]:
    return server.events(wall)


def _without_repeats(events: list[Arrival]) -> list[str]:
    steps = [event.step for event in events]
    return [step for step, before in zip(steps, [None, *steps], strict=False) if step != before]


def test_the_steps_come_in_their_order(events: list[Arrival]) -> None:
    assert _without_repeats(events) == STEPS


def test_each_step_has_its_fields_and_no_others(events: list[Arrival]) -> None:
    for event in events:
        assert event.data.keys() == BASE_FIELDS | STEP_FIELDS.get(event.step, set()), event.step


def test_ids_count_from_one_without_gaps_and_no_event_is_named(events: list[Arrival]) -> None:
    assert [event.id for event in events] == [str(number) for number in range(1, len(events) + 1)]
    assert [str(event.data["seq"]) for event in events] == [event.id for event in events]
    assert {event.name for event in events} == {"message"}


def test_progress_never_falls_and_reaches_100_once(events: list[Arrival]) -> None:
    progress = [event.data["progress"] for event in events]
    assert progress == sorted(progress)
    assert progress[0] == 0
    assert progress.count(100) == 1
    assert events[-1].data["progress"] == 100


def test_time_passes_and_one_job_speaks(events: list[Arrival]) -> None:
    elapsed = [event.data["elapsed_ms"] for event in events]
    assert elapsed == sorted(elapsed)
    assert len({event.data["job_id"] for event in events}) == 1


def test_every_event_carries_the_memory_block(events: list[Arrival]) -> None:
    for event in events:
        assert MemoryUsage.model_validate(event.data["memory"]).rss_mb > 20


def test_complete_carries_the_whole_result(events: list[Arrival]) -> None:
    by_step = {event.step: event.data for event in events}
    result = Result.model_validate(by_step["complete"]["result"])
    whole = by_step["complete"]["result"]
    assert (result.image_width, result.image_height) == (1200, 900)
    assert result.job_id == by_step["complete"]["job_id"]
    assert whole["statistics"] == by_step["result_stats"]["statistics"]
    assert whole["hold_data"] == by_step["result_holds"]["hold_data"]
    assert whole["problems"] == by_step["result_problems"]["problems"]
    assert result.statistics.holds_kept == by_step["detection_complete"]["holds_kept"] > 0


def test_each_event_arrives_when_its_stage_ends(slow_server: Server, wall: bytes) -> None:
    events = slow_server.events(wall)
    first = events[0]
    for event in events:
        made = (event.data["elapsed_ms"] - first.data["elapsed_ms"]) / 1000
        assert event.at - first.at == pytest.approx(made, abs=0.25), event.step
    came = {event.step: event.at - first.at for event in events}
    assert came["complete"] > 0.3
    assert came["detection"] < 0.5 * came["complete"], "all came at the end"
    assert came["detection_complete"] < came["clustering"] < came["complete"]


def test_curl_reads_the_stream_as_it_is(server: Server, wall: bytes, tmp_path: Path) -> None:
    photo = tmp_path / "wall.jpg"
    photo.write_bytes(wall)
    command = ["curl", "-sSN", "-F", f"image=@{photo}", f"{server.url}/api/analyze-stream"]
    text = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    blocks = [block.splitlines() for block in text.strip().split("\n\n")]
    for number, lines in enumerate(blocks, start=1):
        assert len(lines) == 2
        assert f"id: {number}" in lines
        data = next(line for line in lines if line.startswith("data: "))
        assert json.loads(data.removeprefix("data: "))["seq"] == number
    assert '"step":"complete"' in text


def test_proxies_are_told_to_keep_their_hands_off(server: Server, wall: bytes) -> None:
    answer = server.post(wall)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert {"no-store", "no-transform"} <= set(answer.headers["cache-control"].split(", "))
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (None, "Looking for holds"),
        ("ko", "홀드를 찾고 있습니다"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "홀드를 찾고 있습니다"),
        ("en;q=0.5, ko;q=0.4", "Looking for holds"),
        ("fr, de;q=0.8", "Looking for holds"),
    ],
)
def test_messages_follow_accept_language(
    server: Server, wall: bytes, header: str | None, sentence: str
) -> None:
    events = server.events(wall, headers={"Accept-Language": header} if header else {})
    assert next(event for event in events if event.step == "detection").data["message"] == sentence


def test_a_language_changes_nothing_but_the_messages(server: Server, wall: bytes) -> None:
    english, korean = (server.events(wall, headers={"Accept-Language": tag}) for tag in ("en", "ko"))
    holds = [
        next(event for event in events if event.step == "result_holds").data["hold_data"]
        for events in (english, korean)
    ]
    assert holds[0] == holds[1]


@pytest.mark.parametrize("wall_angle", ["slab", "face", "overhang"])
def test_a_known_wall_angle_is_taken(server: Server, wall: bytes, wall_angle: str) -> None:
    answer = server.post(wall, data={"wall_angle": wall_angle})
    assert '"step":"complete"' in answer.text


def test_the_photo_may_come_in_the_field_file(server: Server, wall: bytes) -> None:
    answer = httpx.post(f"{server.url}/api/analyze-stream", files={"file": wall}, timeout=60)
    assert '"step":"complete"' in answer.text


def test_a_second_analysis_loads_no_model(server: Server, wall: bytes) -> None:
    server.events(wall)
    server.events(wall)
    assert server.log().count("yolo loaded") == 1
