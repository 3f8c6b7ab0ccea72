"""Real servers that share their jobs, in a real PostgreSQL and an S3-compatible server or a folder."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.blobs import Blobs, open_blobs
from tests.backend.server import Arrival, Server, problem, start
from tests.postgres import Postgres
from tests.s3 import S3

_PRELUDE = """
import pathlib, time
import backend.__main__, backend.shared.jobs, backend.shared.housekeeping
from holdcheck import pipeline
backend.__main__._GRACE_S = 2
backend.shared.jobs._LEASE_S = 2.0
backend.shared.housekeeping._TIDY_EVERY_S = 0.5
analyze = pipeline.analyze
def gated(*arguments, should_stop, **named):
    for event in analyze(*arguments, should_stop=should_stop, **named):
        yield event
        while pathlib.Path({gate!r}).exists() and not should_stop():
            time.sleep(0.02)
pipeline.analyze = gated
"""
"""Its analyses wait between two steps while a file is there; what a dead server ran is soon others'."""
_SETTINGS = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake", "MAX_QUEUE": "2"}


@dataclass
class House:
    """Servers on one database and one store of files."""

    folder: Path
    shared: dict[str, str]
    blobs: Blobs
    servers: list[Server]

    def open(self, more: str = "", **settings: str) -> Server:
        folder = self.folder / f"server{len(self.servers)}"
        folder.mkdir()
        prelude = _PRELUDE.format(gate=str(self._gate)) + more
        self.servers.append(start(folder, {**_SETTINGS, **self.shared, **settings}, prelude=prelude))
        return self.servers[-1]

    @property
    def _gate(self) -> Path:
        return self.folder / "closed"

    def close_gate(self) -> None:
        self._gate.touch()

    def open_gate(self) -> None:
        self._gate.unlink(missing_ok=True)

    def remove(self) -> None:
        self.open_gate()
        for server in self.servers:
            server.process.kill()
            server.process.wait()


@pytest.fixture
def house(tmp_path: Path, postgres: Postgres, s3: S3) -> Iterator[House]:
    url = s3.new_folder()
    shared = {"DATABASE_URL": postgres.new_database(), "DATA_URL": url, **s3.environment}
    house = House(tmp_path, shared, open_blobs(url, tmp_path / "spool"), [])
    yield house
    house.remove()


@pytest.fixture
def pair(house: House) -> tuple[Server, Server]:
    return house.open(), house.open()


def _post(server: Server, photo: bytes, **options: Any) -> str:
    answer = server.post(photo, "/api/jobs", **options)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


def _until(told: Callable[[], bool], within_s: float = 20) -> None:
    deadline = time.monotonic() + within_s
    while not told():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def _status(server: Server, job_id: str) -> str:
    return str(server.get(f"/api/jobs/{job_id}").json()["status"])


def _first_events(server: Server, job_id: str, last: str) -> list[dict[str, Any]]:
    """Its events up to the first of the step `last`."""
    seen: list[dict[str, Any]] = []
    with httpx.stream("GET", f"{server.url}/api/jobs/{job_id}/events", timeout=30) as answer:
        for line in answer.iter_lines():
            if line.startswith("data:"):
                seen.append(json.loads(line.removeprefix("data:")))
                if seen[-1]["step"] == last:
                    break
    return seen


def _check_whole(events: list[dict[str, Any]]) -> None:
    numbers = [event["seq"] for event in events]
    assert numbers == list(range(1, len(numbers) + 1))
    progress = [event["progress"] for event in events]
    assert progress == sorted(progress)
    assert [event["step"] for event in events].count("complete") == 1


def _data(arrivals: list[Arrival]) -> list[dict[str, Any]]:
    return [each.data for each in arrivals]


def test_any_server_tells_of_a_job_takes_its_corrections_and_erases_it(
    house: House, pair: tuple[Server, Server], wall: bytes
) -> None:
    a, b = pair
    job_id = _post(a, wall)
    with ThreadPoolExecutor(2) as pool:
        told = [each.result() for each in [pool.submit(server.follow, job_id, "0") for server in pair]]
    assert _data(told[0]) == _data(told[1])
    _check_whole(_data(told[0]))
    results = [server.get(f"/api/jobs/{job_id}").json()["result"] for server in pair]
    assert results[0] == results[1] == told[0][-1].data["result"]
    assert _data(b.follow(job_id, "2")) == _data(told[0])[2:]

    path = f"/api/jobs/{job_id}/corrections"
    sent = a.request(
        "POST", path, json={"holds": [{"id": results[0]["hold_data"][0]["id"], "deleted": True}]}
    )
    assert sent.status_code == 200, sent.text
    assert b.get(path).json() == sent.json()
    assert b.request("DELETE", f"/api/jobs/{job_id}").status_code == 204
    assert a.get(path).status_code == a.get(f"/api/jobs/{job_id}").status_code == 404
    assert house.blobs.folders("jobs") == []


def test_a_killed_servers_job_goes_on_elsewhere_with_its_stream(house: House, wall: bytes) -> None:
    a = house.open()
    house.close_gate()
    job_id = _post(a, wall)
    before = _first_events(a, job_id, "upload")
    b = house.open()
    a.process.kill()
    house.open_gate()
    events = before + _data(b.follow(job_id, str(before[-1]["seq"])))
    _check_whole(events)
    assert [event["step"] for event in events].count("retry") == 1
    assert _data(b.follow(job_id, "0")) == events
    _until(lambda: house.blobs.total(f"jobs/{job_id}/inputs") == 0)
    _until(lambda: not list((b.data_dir / "spool").iterdir()))


def test_a_job_that_two_servers_died_of_is_set_aside(house: House, wall: bytes) -> None:
    house.close_gate()
    server = house.open()
    job_id = _post(server, wall)
    for step in ("upload", "retry"):
        _first_events(server, job_id, step)
        server.process.kill()
        server = house.open()
    last = server.follow(job_id, "0")[-1]
    assert (last.step, last.data["code"]) == ("error", "job_crashed")


def test_a_job_is_cancelled_from_any_server_and_its_runner_goes_on(house: House, wall: bytes) -> None:
    house.close_gate()
    a = house.open()
    job_id = _post(a, wall)
    _first_events(a, job_id, "upload")
    b = house.open(YOLO_WEIGHTS="never-prepared", ALLOW_DUMMY="0")  # it runs none
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(a.follow, job_id, "0")
        time.sleep(0.3)
        assert b.request("DELETE", f"/api/jobs/{job_id}").status_code == 204
        last = listening.result(20)[-1]
    assert (last.step, last.data["code"]) == ("error", "cancelled")
    assert _status(a, job_id) == "cancelled"
    _until(lambda: house.blobs.folders("jobs") == [])
    house.open_gate()
    assert a.follow(_post(a, wall), "0")[-1].step == "complete"  # its worker is free


def test_the_queue_has_one_length_on_all_servers(
    house: House, pair: tuple[Server, Server], wall: bytes
) -> None:
    house.close_gate()
    a, b = pair
    running = [_post(a, wall), _post(b, wall)]
    _until(lambda: [_status(a, job) for job in running] == ["running"] * 2)
    waiting = [_post(a, wall), _post(b, wall)]
    for server in pair:
        refused = server.post(wall, "/api/jobs")
        assert (refused.status_code, problem(refused)["code"]) == (503, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        _until(lambda: server.get("/api/health").json()["queue"] == {"running": 2, "waiting": 2})  # noqa: B023
        assert [server.get(f"/api/jobs/{job}").json()["position"] for job in waiting] == [2, 3]
    assert b.request("DELETE", f"/api/jobs/{waiting[0]}").status_code == 204
    _until(lambda: a.get(f"/api/jobs/{waiting[1]}").json()["position"] == 2)
    house.open_gate()
    for job in (*running, waiting[1]):
        _check_whole(_data(b.follow(job, "0")))


def test_a_server_that_is_stopped_hands_its_job_over_without_counting_it(house: House, wall: bytes) -> None:
    a = house.open()
    house.close_gate()
    job_id = _post(a, wall)
    _first_events(a, job_id, "upload")
    b = house.open()
    with ThreadPoolExecutor(1) as pool:
        listening = pool.submit(a.follow, job_id, "0")
        time.sleep(0.3)
        assert a.stop() == 0
        told = _data(listening.result(20))
    assert (told[-1]["step"], told[-1]["code"]) == ("error", "shutting_down")
    house.open_gate()
    events = told[:-1] + _data(b.follow(job_id, str(told[-1]["seq"])))
    _check_whole(events)
    assert "retry" not in [event["step"] for event in events]


def test_one_key_is_one_job_on_all_servers(pair: tuple[Server, Server], wall: bytes) -> None:
    headers = {"Idempotency-Key": "one-and-the-same"}
    with ThreadPoolExecutor(6) as pool:
        posts = [pool.submit(_post, pair[number % 2], wall, headers=headers) for number in range(6)]
        assert len({each.result() for each in posts}) == 1


def test_a_database_that_restarts_costs_no_job(
    house: House, pair: tuple[Server, Server], wall: bytes, postgres: Postgres
) -> None:
    house.close_gate()
    jobs = [_post(pair[number % 2], wall) for number in range(3)]
    _first_events(pair[0], jobs[0], "upload")
    postgres.stop(signal.SIGQUIT)
    house.open_gate()
    time.sleep(1)
    postgres.start()
    for job in jobs:
        _until(lambda: pair[0].get(f"/api/jobs/{job}").status_code == 200)  # noqa: B023
        _check_whole(_data(pair[1].follow(job, "0")))


def test_what_expires_goes_from_everywhere_but_what_was_shared_for_training(
    tmp_path: Path, postgres: Postgres, wall: bytes
) -> None:
    data = tmp_path / "data"
    shared = {"DATABASE_URL": postgres.new_database(), "DATA_URL": data.as_uri()}
    house = House(tmp_path, shared, open_blobs(data.as_uri(), tmp_path / "spool"), [])
    try:
        a, b = (house.open(KEEP_CORRECTIONS="1", JOB_TTL_S="3") for _ in range(2))
        kept, gone = _post(a, wall), _post(b, wall)
        for job in (kept, gone):
            a.follow(job, "0")
        path = f"/api/jobs/{kept}/corrections"
        assert b.request("POST", path, json={"share": True}).status_code == 200
        _until(lambda: house.blobs.folders("jobs") == [])
        assert house.blobs.folders("corrections") == [kept]
        names = sorted(file.name for file in (data / "corrections" / kept).iterdir())
        assert names == ["corrections.json", "photo.jpg", "result.json", "shared"]
        assert b.get(f"/api/jobs/{kept}").status_code == 404
        assert a.request("DELETE", f"/api/jobs/{kept}").status_code == 204
        assert house.blobs.folders("corrections") == []
    finally:
        house.remove()


def test_a_server_whose_clock_is_wrong_expires_no_job_early(house: House, wall: bytes) -> None:
    a = house.open(JOB_TTL_S="60")
    job_id = _post(a, wall)
    a.follow(job_id, "0")
    ahead = house.open(JOB_TTL_S="60", more="time.time = lambda clock=time.time: clock() + 300")
    behind = house.open(JOB_TTL_S="60", more="time.time = lambda clock=time.time: clock() - 300")
    a.process.kill()
    late = _post(behind, wall)
    behind.follow(late, "0")
    time.sleep(1)  # both have swept at their start
    for job in (job_id, late):
        assert [_status(server, job) for server in (ahead, behind)] == ["done", "done"]
