"""/api/jobs over HTTP."""

import socket
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import pytest

from holdcheck.result import Result
from tests.backend.conftest import StartServer
from tests.backend.server import Server, problem, start

_FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake"}
_SLOWLY = """
import time
from holdcheck import pipeline
analyze = pipeline.analyze
def slowly(*arguments, should_stop, **named):
    for event in analyze(*arguments, should_stop=should_stop, **named):
        yield event
        end = time.monotonic() + 3
        while time.monotonic() < end and not should_stop():
            time.sleep(0.02)
pipeline.analyze = slowly
"""


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Server:
    """What finds the holds does not matter here."""
    return start_server(**_FAKES)


@pytest.fixture(scope="module")
def slow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("slow"), _FAKES, prelude=_SLOWLY)
    yield server
    server.stop()


@pytest.fixture
def job_id(server: Server, wall: bytes) -> str:
    return _posted(server, wall)


def _posted(server: Server, photo: bytes, **headers: str) -> str:
    answer = server.post(photo, "/api/jobs", headers=headers)
    assert answer.status_code == 202
    return str(answer.json()["job_id"])


def _ended(server: Server, job_id: str) -> httpx.Response:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = server.get(f"/api/jobs/{job_id}")
        if answer.json()["status"] not in ("queued", "running"):
            return answer
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def test_a_photo_is_accepted_with_where_to_ask_for_it(server: Server, wall: bytes) -> None:
    answer = server.post(wall, "/api/jobs")
    assert answer.status_code == 202
    assert answer.json().keys() == {"job_id", "status"}
    assert str(uuid.UUID(answer.json()["job_id"], version=4)) == answer.json()["job_id"]
    assert answer.headers["location"] == f"/api/jobs/{answer.json()['job_id']}"


def test_a_job_that_is_done_has_the_result_and_nothing_else_to_say(server: Server, job_id: str) -> None:
    answer = _ended(server, job_id).json()
    assert answer.keys() == {"job_id", "status", "created_at", "position", "result", "error"}
    assert (answer["status"], answer["position"], answer["error"]) == ("done", None, None)
    assert Result.model_validate(answer["result"]).job_id == job_id
    age = datetime.now(UTC) - datetime.fromisoformat(answer["created_at"])
    assert timedelta(0) < age < timedelta(minutes=5)


def test_its_events_are_those_of_a_stream_also_when_it_has_ended(server: Server, job_id: str) -> None:
    live = server.follow(job_id, "")
    assert [event.step for event in live][-1] == "complete"
    assert [event.data for event in server.follow(job_id, "")] == [event.data for event in live]
    assert [event.id for event in server.follow(job_id, "3")] == [event.id for event in live[3:]]


def test_a_reader_who_has_everything_is_told_not_to_come_back(server: Server, job_id: str) -> None:
    last = server.follow(job_id, "")[-1].id
    answer = server.get(f"/api/jobs/{job_id}/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("last_id", ["-1", "one", "1.5", "٣", "9" * 40, "1" * 4500])
def test_a_last_event_id_that_is_none_is_refused(server: Server, job_id: str, last_id: str) -> None:
    headers = {"Last-Event-ID": last_id.encode()}
    answer = server.get(f"/api/jobs/{job_id}/events", headers=headers)
    assert (answer.status_code, problem(answer)["code"]) == (400, "last_event_id_invalid")


def test_head_of_the_events_of_a_job_that_runs_ends_at_once(slow_server: Server, wall: bytes) -> None:
    job_id = _posted(slow_server, wall)
    address = urlsplit(slow_server.url)
    with socket.create_connection((address.hostname, address.port), timeout=2) as connection:
        connection.sendall(f"HEAD /api/jobs/{job_id}/events HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        assert b"text/event-stream" in connection.recv(65536)
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert b"HTTP/1.1 200 OK" in connection.recv(65536)
    assert slow_server.get(f"/api/jobs/{job_id}").json()["status"] in ("queued", "running")
    assert httpx.delete(f"{slow_server.url}/api/jobs/{job_id}", timeout=30).status_code == 204


@pytest.mark.parametrize("number", ["1000", "9" * 19])
def test_nor_is_one_that_no_event_has_had(
    server: Server, slow_server: Server, job_id: str, wall: bytes, number: str
) -> None:
    _ended(server, job_id)
    running = _posted(slow_server, wall)
    for asked, name in ((server, job_id), (slow_server, running)):
        answer = asked.get(f"/api/jobs/{name}/events", headers={"Last-Event-ID": number})
        assert (answer.status_code, problem(answer)["code"]) == (400, "last_event_id_invalid")
    httpx.delete(f"{slow_server.url}/api/jobs/{running}", timeout=30)


@pytest.mark.parametrize("name", [str(uuid.uuid4()), "x", "..%2f..%2fetc", "%00", "0" * 5000])
def test_an_unknown_job_is_404_whatever_is_asked_of_it(server: Server, name: str) -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        answer = httpx.request(method, f"{server.url}/api/jobs/{name}{path}", timeout=30)
        assert answer.status_code == 404
        assert problem(answer)["code"] in ("job_not_found", "not_found")


def test_a_job_that_has_ended_is_deleted_for_good(server: Server, job_id: str) -> None:
    _ended(server, job_id)
    assert httpx.delete(f"{server.url}/api/jobs/{job_id}", timeout=30).status_code == 204
    for path in ("", "/events"):
        answer = server.get(f"/api/jobs/{job_id}{path}")
        assert (answer.status_code, problem(answer)["code"]) == (404, "job_not_found")
    assert not (server.data_dir / "jobs" / job_id).exists()


def test_a_cancelled_job_says_so_in_the_readers_language(slow_server: Server, wall: bytes) -> None:
    running, waiting = _posted(slow_server, wall), _posted(slow_server, wall)
    assert slow_server.get(f"/api/jobs/{waiting}").json()["position"] in (0, 1)
    for job_id in (waiting, running):
        assert httpx.delete(f"{slow_server.url}/api/jobs/{job_id}", timeout=30).status_code == 204
        answer = slow_server.get(f"/api/jobs/{job_id}", headers={"Accept-Language": "ko"}).json()
        assert (answer["status"], answer["error"]["code"]) == ("cancelled", "cancelled")
        assert "취소" in answer["error"]["message"]
        answer = slow_server.get(f"/api/jobs/{job_id}/events")
        assert (answer.status_code, problem(answer)["code"]) == (410, "cancelled")
    slow_server.wait_until_photos_are_gone()
    assert httpx.delete(f"{slow_server.url}/api/jobs/{running}", timeout=30).status_code == 204  # again


def test_one_key_and_one_photo_are_one_job_in_every_way_to_send_it(server: Server, wall: bytes) -> None:
    key = str(uuid.uuid4())
    job_id = _posted(server, wall, **{"Idempotency-Key": key})
    assert _posted(server, wall, **{"Idempotency-Key": f'"{key}"'}) == job_id
    streamed = server.events(wall, headers={"Idempotency-Key": key})
    assert {event.data["job_id"] for event in streamed} == {job_id}
    plain = server.post(wall, "/api/analyze", headers={"Idempotency-Key": key})
    assert plain.json() == streamed[-1].data["result"]


def test_one_key_with_another_photo_is_refused(server: Server, wall: bytes) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    _posted(server, wall, **key)
    other = httpx.post(
        f"{server.url}/api/jobs", files={"image": wall}, data={"wall_angle": "slab"}, headers=key, timeout=30
    )
    assert (other.status_code, problem(other)["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", '""', "two words", "x" * 256])
def test_a_key_that_is_none_is_refused(server: Server, wall: bytes, key: str) -> None:
    answer = server.post(wall, "/api/jobs", headers={"Idempotency-Key": key})
    assert (answer.status_code, problem(answer)["code"]) == (400, "idempotency_key_invalid")
