"""Streams and refusals through a real nginx that nobody configured for us."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.backend import photos
from tests.backend.nginx import Nginx, nginx_before
from tests.backend.server import Arrival, Server, problem, start

_SILENT = """
import logging, threading
from starlette.datastructures import Headers
from backend import requests, sse
from holdcheck import pipeline
sse.HEARTBEAT_S = 0.3
pipeline.analyze = lambda *_, **__: iter(threading.Event().wait, None)  # it never says anything
named = requests._request_id
def name_and_tell(scope):
    forwarded = Headers(scope=scope).get("x-forwarded-for")
    logging.getLogger("backend.proxied").info("forwarded for %s", forwarded)
    return named(scope)
requests._request_id = name_and_tell
import backend.__main__
backend.__main__._GRACE_S = 1
"""
"""A server whose analyses take for ever, with quick heartbeats; it logs what proxies say of its clients."""


@pytest.fixture(scope="module")
def nginx(slow_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx_before(slow_server.url, tmp_path_factory.mktemp("nginx")) as nginx:
        yield nginx


@pytest.fixture
def proxied(slow_server: Server, nginx: Nginx) -> Server:
    """The slow server, asked through nginx."""
    return replace(slow_server, url=nginx.url)


@pytest.fixture(scope="module")
def silent_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("silent"), {"LOG_LEVEL": "debug"}, prelude=_SILENT)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def silent_nginx(silent_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with nginx_before(silent_server.url, tmp_path_factory.mktemp("nginx-silent")) as nginx:
        yield nginx


def test_events_come_through_one_by_one_when_they_happen(
    slow_server: Server, proxied: Server, wall: bytes
) -> None:
    job_id = _post(slow_server, wall)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(server.follow, job_id, "0") for server in (slow_server, proxied)]
        direct, through = (each.result() for each in both)
    assert [event.data for event in through] == [event.data for event in direct]
    took = direct[-1].at - direct[0].at
    assert took > 0.5, "too quick to tell a stream from a lump"
    late = [after.at - before.at for before, after in zip(direct, through, strict=True)]
    assert max(late) < min(0.3, took / 2), "nginx kept events back"


def _post(server: Server, photo: bytes) -> str:
    answer = server.post(photo, "/api/jobs")
    assert answer.status_code == 202
    return str(answer.json()["job_id"])


def test_a_photo_sent_through_it_is_streamed_back(proxied: Server, wall: bytes) -> None:
    events = proxied.events(wall)
    assert [event.id for event in events] == [str(number) for number in range(1, len(events) + 1)]
    assert events[-1].step == "complete"
    assert events[-1].at - events[0].at > 0.5  # not all at the end


def test_its_compression_keeps_nothing_back(nginx: Nginx, slow_server: Server, wall: bytes) -> None:
    job_id = _post(slow_server, wall)
    came: list[float] = []
    headers = {"Accept-Encoding": "gzip"}
    with httpx.stream("GET", f"{nginx.url}/api/jobs/{job_id}/events", headers=headers, timeout=60) as answer:
        assert answer.headers["content-encoding"] == "gzip"  # what we ask of proxies, this one does not hear
        assert "no-transform" in answer.headers["cache-control"]
        came.extend(time.monotonic() for text in answer.iter_text() if "data:" in text)
    assert len(came) > 10
    assert came[-1] - came[0] > 0.5


def test_a_client_that_lost_its_stream_resumes_through_it(proxied: Server, wall: bytes) -> None:
    with httpx.Client(timeout=60) as client:
        seen: list[Arrival] = []
        for event in proxied.stream(client, wall):
            seen.append(event)
            if event.step == "detection_complete":
                break
    rest = proxied.follow(seen[0].data["job_id"], seen[-1].id)
    numbers = [int(event.id) for event in (*seen, *rest)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert rest[-1].step == "complete"


def test_heartbeats_come_through_a_silence(silent_server: Server, silent_nginx: Nginx, wall: bytes) -> None:
    came: list[float] = []
    with _silent_stream(silent_server, silent_nginx, wall) as answer:
        for line in answer.iter_lines():
            if line == ": ping":
                came.append(time.monotonic())
            if len(came) == 4:
                break
    assert came[-1] - came[0] == pytest.approx(0.9, abs=0.4)


@contextmanager
def _silent_stream(server: Server, nginx: Nginx, wall: bytes) -> Iterator[httpx.Response]:
    """The stream of a job that is running and says nothing, or waits behind such a one."""
    job_id = _post(server, wall)
    with httpx.stream("GET", f"{nginx.url}/api/jobs/{job_id}/events", timeout=30) as answer:
        yield answer


def test_a_client_that_drops_its_stream_is_noticed_behind_it(
    silent_server: Server, silent_nginx: Nginx, wall: bytes
) -> None:
    with _silent_stream(silent_server, silent_nginx, wall) as answer:
        lines = answer.iter_lines()  # letting go of it would hang up
        next(lines)
        assert _followed_logs(silent_server) == 1
    deadline = time.monotonic() + 10
    while _followed_logs(silent_server):
        assert time.monotonic() < deadline, "the stream goes on, and nobody listens"
        time.sleep(0.02)


def _followed_logs(server: Server) -> int:
    """How many event logs its streams hold open."""
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    return sum(os.path.realpath(each).endswith("/interim/events") for each in descriptors.iterdir())


def test_the_address_of_the_client_reaches_us(silent_server: Server, silent_nginx: Nginx) -> None:
    transport = httpx.HTTPTransport(local_address="127.0.9.9")
    with httpx.Client(transport=transport, timeout=30) as client:
        client.get(f"{silent_nginx.url}/livez")
    assert "forwarded for 127.0.9.9" in silent_server.log()


@pytest.mark.parametrize("passing", [False, True], ids=["upload kept until whole", "upload passed on"])
@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "without"])
def test_a_photo_over_the_cap_is_413_with_our_reason(nginx: Nginx, passing: bool, chunked: bool) -> None:
    answer = _send(nginx, passing, 21, chunked=chunked)
    assert (answer.status_code, problem(answer)["code"]) == (413, "photo_too_many_bytes")
    assert "20 MiB" in answer.text


@pytest.mark.parametrize("passing", [False, True], ids=["upload kept until whole", "upload passed on"])
def test_a_full_queue_is_503_with_a_time_to_come_back(
    slow_server: Server, nginx: Nginx, wall: bytes, passing: bool
) -> None:
    taken: list[str] = []
    try:
        for _ in range(6):  # nginx loses an answer only now and then
            while (answer := slow_server.post(wall, "/api/jobs")).status_code == 202:
                taken.append(answer.json()["job_id"])
                assert len(taken) < 50
            refused = _send(nginx, passing, 12)
            assert (refused.status_code, problem(refused)["code"]) == (503, "queue_full")
            assert int(refused.headers["retry-after"]) >= 1
    finally:
        for job_id in taken:
            httpx.delete(f"{slow_server.url}/api/jobs/{job_id}", timeout=30)


def _send(nginx: Nginx, passing: bool, mib: int, *, chunked: bool = False) -> httpx.Response:
    """POST so many MiB that are no photo."""
    body = httpx.Request("POST", nginx.url, files={"image": ("photo", photos.gif() + bytes(mib << 20))})
    data = body.read()
    parts = (data[at : at + 65536] for at in range(0, len(data), 65536))
    return httpx.post(
        f"{nginx.passing_url if passing else nginx.url}/api/jobs",
        content=parts if chunked else data,
        headers={"Content-Type": body.headers["content-type"]},
        timeout=60,
    )
