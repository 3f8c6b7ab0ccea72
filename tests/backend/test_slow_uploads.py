"""Uploads that stop, drip, or come in crowds: each holds an open file, so none may do it for ever."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from backend import limits, service
from tests.backend.conftest import StartServer
from tests.backend.server import Server, problem, start

_HEAD = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
_TAIL = b"\r\n--x--\r\n"
_HURRY = "from backend import limits; limits.CHUNK_TIMEOUT_S, limits.UPLOAD_TIMEOUT_S = 0.6, 2.5"
"""The same server with less patience: a test need not wait twenty seconds."""
_RATED = "from backend import limits; limits._FIRST_CREDIT_S, limits._MOST_CREDIT_S = 1.0, 3.0"


@pytest.fixture(scope="module")
def hurried_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("hurried"), {}, prelude=_HURRY)
    yield server
    server.stop()


def _post(server: Server, body: Iterator[bytes]) -> httpx.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return httpx.post(f"{server.url}/api/analyze", content=body, headers=headers, timeout=30)


def _begin_upload(server: Server, client: str = "", path: str = "/api/analyze") -> socket.socket:
    """A connection on which a photo begins, and then nothing comes."""
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.sendall(
        f"POST {path} HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {client}\r\n".encode()
        + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
        + _HEAD
        + b"abc"
    )
    return connection


def test_an_upload_that_stops_is_408_and_its_file_is_gone(hurried_server: Server) -> None:
    with _begin_upload(hurried_server) as connection:
        answer = _read_to_end(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"upload_timed_out"' in answer
    assert hurried_server.photos() == []


def test_an_upload_that_drips_ends_too(hurried_server: Server) -> None:
    begin = time.monotonic()

    def dripping() -> Iterator[bytes]:
        yield _HEAD
        while time.monotonic() < begin + 10:
            time.sleep(0.2)
            yield b"x"

    answer = _post(hurried_server, dripping())
    assert (answer.status_code, problem(answer)["code"]) == (408, "upload_timed_out")
    assert time.monotonic() - begin < 8
    assert hurried_server.photos() == []


@pytest.fixture(scope="module")
def rated_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("rated"), {}, prelude=_RATED)
    yield server
    server.stop()


def _at_rate(server: Server, photo: bytes, bytes_per_s: int) -> tuple[httpx.Response, float]:
    """Post it so slowly; answers also what it took, s."""
    begin = time.monotonic()

    def body() -> Iterator[bytes]:
        yield _HEAD
        for start_at in range(0, len(photo), bytes_per_s // 10):
            time.sleep(0.1)
            yield photo[start_at : start_at + bytes_per_s // 10]
        yield _TAIL

    return _post(server, body()), time.monotonic() - begin


def test_an_upload_slower_than_any_phone_is_given_up(rated_server: Server, wall: bytes) -> None:
    answer, took_s = _at_rate(rated_server, wall, limits.LEAST_BYTES_PER_S // 4)
    assert (answer.status_code, problem(answer)["code"]) == (408, "upload_timed_out")
    assert 1 < took_s < 5


def test_one_that_begins_fast_may_not_drip_ever_after(rated_server: Server) -> None:
    begin = time.monotonic()

    def body() -> Iterator[bytes]:
        yield _HEAD + b"x" * 2**20
        while time.monotonic() < begin + 15:
            time.sleep(0.2)
            yield b"x"

    assert _post(rated_server, body()).status_code == 408
    assert time.monotonic() - begin < 10


def test_one_a_little_faster_than_the_least_arrives(rated_server: Server, wall: bytes) -> None:
    photo = wall[: 6 * limits.LEAST_BYTES_PER_S]
    answer, took_s = _at_rate(rated_server, photo, 2 * limits.LEAST_BYTES_PER_S)
    assert problem(answer)["code"] == "photo_truncated"  # all of it came, and was looked at
    assert took_s > 2


def test_a_slow_upload_with_pauses_survives(hurried_server: Server, wall: bytes) -> None:
    def pausing() -> Iterator[bytes]:
        yield _HEAD
        third = len(wall) // 3 + 1
        for start_at in range(0, len(wall), third):
            time.sleep(0.3)
            yield wall[start_at : start_at + third]
        yield _TAIL

    assert _post(hurried_server, pausing()).status_code == 200


def test_the_patience_is_a_phones_on_bad_wifi() -> None:
    assert limits.CHUNK_TIMEOUT_S >= 20
    assert limits._FIRST_CREDIT_S >= 20
    assert limits.LEAST_BYTES_PER_S <= 10_000  # two bars of EDGE
    assert limits.UPLOAD_TIMEOUT_S * 40_000 >= 20 * 2**20  # bytes: the largest photo at 40 kB/s


def test_a_crowd_of_begun_uploads_is_bounded_and_gives_way(start_server: StartServer, wall: bytes) -> None:
    server = start_server(MAX_QUEUE="3", TRUSTED_PROXIES="127.0.0.1")
    places = 1 + 3 + service._SPARE_UPLOADS
    with ExitStack() as stack:
        for number in range(places):
            stack.enter_context(_begin_upload(server, f"192.0.2.{number}"))
        _wait_for_uploads(server, places)
        rest = [stack.enter_context(_begin_upload(server)) for _ in range(40 - places)]
        answers = [_read_to_end(connection) for connection in rest]
        assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
        assert all(b'"code":"queue_full"' in answer and b"retry-after: " in answer for answer in answers)
        assert len({_retry_after(answer) for answer in answers}) > 1  # else they would all come back at once
        assert len(server.photos()) == places
    _wait_for_uploads(server, 0)
    assert server.events(wall)[-1].step == "complete"


def test_one_client_holds_half_of_the_places_at_most(start_server: StartServer, wall: bytes) -> None:
    server = start_server(MAX_QUEUE="3", TRUSTED_PROXIES="127.0.0.1")
    places = 1 + 3 + service._SPARE_UPLOADS
    with ExitStack() as stack:
        for _ in range(places // 2):
            stack.enter_context(_begin_upload(server, "192.0.2.1"))
        _wait_for_uploads(server, places // 2)
        answer = _read_to_end(stack.enter_context(_begin_upload(server, "192.0.2.1")))
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"queue_full"' in answer
        assert b"from your address" in answer
        assert server.events(wall, headers={"X-Forwarded-For": "192.0.2.2"})[-1].step == "complete"
    _wait_for_uploads(server, 0)
    assert server.events(wall, headers={"X-Forwarded-For": "192.0.2.1"})[-1].step == "complete"


def test_one_client_holds_half_of_the_places_for_corrections(start_server: StartServer, wall: bytes) -> None:
    server = start_server(MAX_QUEUE="3", TRUSTED_PROXIES="127.0.0.1")
    job_id = server.events(wall)[-1].data["job_id"]
    path = f"/api/jobs/{job_id}/corrections"
    with ExitStack() as stack:
        crowd = [stack.enter_context(_begin_upload(server, "192.0.2.1", path)) for _ in range(3)]
        answer = _read_first(crowd)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"queue_full"' in answer
        theirs = server.request("POST", path, json={}, headers={"X-Forwarded-For": "192.0.2.2"})
        assert theirs.status_code != 503


def _read_first(connections: list[socket.socket]) -> bytes:
    """The answer on whichever of them has one."""
    ready, _, _ = select.select(connections, [], [], 10)
    return _read_to_end(ready[0])


def _retry_after(answer: bytes) -> bytes:
    return answer.lower().partition(b"retry-after: ")[2].partition(b"\r\n")[0]


def _read_to_end(connection: socket.socket) -> bytes:
    answer = b""
    while received := connection.recv(65536):
        answer += received
    return answer


def _wait_for_uploads(server: Server, number: int) -> None:
    deadline = time.monotonic() + 5
    while len(server.photos()) != number:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_server_ends_though_an_upload_is_under_way(tmp_path: Path) -> None:
    server = start(tmp_path, {}, prelude="import backend.__main__; backend.__main__._GRACE_S = 1")
    with _begin_upload(server):
        while not server.photos():
            time.sleep(0.01)
        assert server.stop() == 0
    assert server.photos() == []
