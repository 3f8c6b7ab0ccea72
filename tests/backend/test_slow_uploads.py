"""Uploads that stop, drip, or come in crowds: each holds an open file, so none may do it for ever."""

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


@pytest.fixture(scope="module")
def hurried_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("hurried"), {}, prelude=_HURRY)
    yield server
    server.stop()


def _post(server: Server, body: Iterator[bytes]) -> httpx.Response:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return httpx.post(f"{server.url}/api/analyze", content=body, headers=headers, timeout=30)


def _begin_upload(server: Server) -> socket.socket:
    """A connection on which a photo begins, and then nothing comes."""
    address = urlsplit(server.url)
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    connection.sendall(
        b"POST /api/analyze HTTP/1.1\r\nHost: test\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        b"Content-Length: 100000\r\n\r\n" + _HEAD + b"abc"
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
    assert limits.UPLOAD_TIMEOUT_S * 40_000 >= 20 * 2**20  # bytes: the largest photo at 40 kB/s


def test_a_crowd_of_begun_uploads_is_bounded_and_gives_way(start_server: StartServer, wall: bytes) -> None:
    server = start_server(MAX_QUEUE="3")
    places = 1 + 3 + service._SPARE_UPLOADS
    with ExitStack() as stack:
        for _ in range(places):
            stack.enter_context(_begin_upload(server))
        _wait_for_uploads(server, places)
        rest = [stack.enter_context(_begin_upload(server)) for _ in range(40 - places)]
        answers = [_read_to_end(connection) for connection in rest]
        assert all(answer.startswith(b"HTTP/1.1 503 ") for answer in answers)
        assert all(b'"code":"queue_full"' in answer and b"retry-after: " in answer for answer in answers)
        assert len(server.photos()) == places
    _wait_for_uploads(server, 0)
    assert server.events(wall)[-1].step == "complete"


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
