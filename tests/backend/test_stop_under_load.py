"""SIGTERM while much is going on, seen from outside; and the start after it."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import httpx_sse

from bench.server import Server
from tests.backend.server import problem

_JOBS = 6
_GRACE_S = 8
_SETTINGS = {"YOLO_IMG_SIZE": "960", "MAX_QUEUE": "8"}

Event = tuple[int, str, str]
"""Its id, step and code."""


def test_a_stop_under_load_takes_nothing_new_says_goodbye_and_loses_nothing(
    tmp_path: Path, wall: bytes
) -> None:
    with Server(tmp_path, _SETTINGS) as server, ThreadPoolExecutor(_JOBS + 1) as pool:
        jobs = [_post(server, wall) for _ in range(_JOBS)]
        streams = [pool.submit(_follow, server, job_id, 0) for job_id in jobs]
        asked = threading.Event()
        upload = pool.submit(_upload_across, server, wall, asked)
        _wait_until_running(server)
        begin = time.monotonic()
        server.process.terminate()
        asked.set()
        refused = upload.result()
        seen = [stream.result() for stream in streams]
        assert server.process.wait(_GRACE_S + 2) == 0
        assert time.monotonic() - begin < _GRACE_S + 2
        assert (refused.status_code, problem(refused)["code"]) == (503, "shutting_down")
        assert int(refused.headers["retry-after"]) >= 1
        _check_goodbyes(seen)

        server.start()
        server.wait_until_ready()
        for job_id, before in zip(jobs, seen, strict=True):
            kept = [event for event in before if event[2] != "shutting_down"]
            rest = _follow(server, job_id, kept[-1][0] if kept else 0)
            numbers = [number for number, *_ in (*kept, *rest)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert [*kept, *rest][-1][1] == "complete"
        attempts = _attempts(server)
        assert len(attempts) == _JOBS, "the upload became a job"
        assert max(attempts) == 1, "a stop counts as a crash"


def _post(server: Server, photo: bytes) -> str:
    answer = httpx.post(f"{server.url}/api/jobs", files={"image": photo}, timeout=30)
    assert answer.status_code == 202
    return str(answer.json()["job_id"])


def _follow(server: Server, job_id: str, after: int) -> list[Event]:
    headers = {"Last-Event-ID": str(after)}
    url = f"{server.url}/api/jobs/{job_id}/events"
    with (
        httpx.Client(timeout=60) as client,
        httpx_sse.connect_sse(client, "GET", url, headers=headers) as source,
    ):
        if source.response.status_code == 204:
            return []
        told = [(int(sse.id), sse.json()) for sse in source.iter_sse()]
    return [(number, data["step"], data.get("code", "")) for number, data in told]


def _upload_across(server: Server, photo: bytes, asked: threading.Event) -> httpx.Response:
    """An upload that begins before the signal and ends after it."""
    form = httpx.Request("POST", server.url, files={"image": photo})
    body = form.read()

    def parts() -> Iterator[bytes]:
        yield body[:1000]
        assert asked.wait(60)
        time.sleep(0.3)
        yield body[1000:]

    headers = {"Content-Type": form.headers["content-type"]}
    return httpx.post(f"{server.url}/api/jobs", content=parts(), headers=headers, timeout=60)


def _wait_until_running(server: Server) -> None:
    while httpx.get(f"{server.url}/api/health", timeout=30).json()["queue"]["running"] == 0:
        time.sleep(0.01)
    while len(list((server.data / "jobs").iterdir())) <= _JOBS:  # the upload has begun, too
        time.sleep(0.01)


def _check_goodbyes(seen: list[list[Event]]) -> None:
    """Those that ended before or within the grace time are whole; the others say where to resume."""
    ends = [events[-1][1:] for events in seen]
    assert set(ends) == {("complete", ""), ("error", "shutting_down")}
    for events in seen:
        if events[-1][2] == "shutting_down":
            assert len(events) == 1 or events[-1][0] == events[-2][0]


def _attempts(server: Server) -> list[int]:
    file = server.data / "jobs.sqlite3"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return [attempts for (attempts,) in connection.execute("SELECT attempts FROM jobs")]
