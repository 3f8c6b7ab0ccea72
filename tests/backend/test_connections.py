"""Connections that ask for nothing, or are too many: each costs memory, so none may do it for ever."""

import asyncio
import gc
import json
import socket
import time
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
import uvicorn
from uvicorn.server import ServerState

from backend import connections
from backend.connections import Connection
from tests.backend.server import Server, problem, start

_SMALL = """
from backend import connections
connections.REQUEST_TIMEOUT_S, connections.MAX_CONNECTIONS = 1.0, 20
"""


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"YOLO_WEIGHTS": "never-prepared"}
    server = start(tmp_path_factory.mktemp("small"), settings, prelude=_SMALL)
    yield server
    server.stop()


def _connect(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=10)


def _rest(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while received := connection.recv(65536):
            answer += received
    except ConnectionResetError:
        pass
    return answer


def _drip(connection: socket.socket, within_s: float) -> float:
    """Send a header without end, a byte now and then; answers after how many seconds nobody listened."""
    begin = time.monotonic()
    connection.settimeout(0.1)
    while time.monotonic() < begin + within_s:
        try:
            connection.sendall(b"x")
            if connection.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - begin


def test_a_silent_connection_is_closed(small_server: Server) -> None:
    begin = time.monotonic()
    with _connect(small_server) as connection:
        assert _rest(connection) == b""
    assert 0.8 < time.monotonic() - begin < 6


@pytest.mark.parametrize("first", [b"GET /livez HTTP/1.1\r\nX-Slow: ", b"G"])
def test_a_header_that_drips_is_given_up(small_server: Server, first: bytes) -> None:
    with _connect(small_server) as connection:
        connection.sendall(first)
        assert _drip(connection, within_s=8) < 6


def test_so_is_the_second_one_of_a_connection(small_server: Server) -> None:
    with _connect(small_server) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: test\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"GET /livez HTTP/1.1\r\nX-Slow: ")
        assert _drip(connection, within_s=8) < 6


def test_a_request_that_has_begun_has_all_its_time(small_server: Server) -> None:
    with _connect(small_server) as connection:
        for _ in range(2):
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: te")
            time.sleep(0.6)
            connection.sendall(b"st\r\n\r\n")
            answer = b""
            while not answer.endswith(b'{"alive":true}'):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_crowd_of_connections_is_bounded_and_the_rest_hears_why(small_server: Server) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(_connect(small_server)) for _ in range(25)]
        answers = [_rest(connection) for connection in crowd[20:]]
        for answer in answers:
            head, _, body = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 5" in head.lower()
            assert json.loads(body)["code"] == "service_unavailable"
    deadline = time.monotonic() + 5
    while small_server.get("/livez").status_code != 200:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000,
    ],
    ids=["TLS", "no version", "a header of 70 kB"],
)
def test_what_is_no_request_is_a_problem_as_every_error(small_server: Server, nonsense: bytes) -> None:
    with _connect(small_server) as connection:
        connection.sendall(nonsense)
        head, _, body = _rest(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-security-policy: default-src 'none'" in head.lower()
    problem = json.loads(body)
    assert (problem["code"], problem["status"]) == ("bad_request", 400)


_CHUNKED = b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_nonsense_after_an_early_answer_only_ends_the_connection(small_server: Server) -> None:
    with _connect(small_server) as connection:
        connection.sendall(_CHUNKED)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 404 ")
        connection.sendall(b"zzzz\r\n")
        assert b"HTTP/1.1" not in _rest(connection)
    assert small_server.get("/livez").status_code == 200
    assert "Traceback" not in small_server.log()


def test_nonsense_in_a_body_that_is_awaited_is_one_answer(server: Server) -> None:
    before = server.log().count("Traceback")
    head = _CHUNKED.replace(b"/nothing", b"/api/jobs")
    form = b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    with _connect(server) as connection:
        connection.sendall(head[:-2] + form + b"3\r\n--x\r\n")
        time.sleep(0.3)
        connection.sendall(b"zzzz\r\n")
        assert _rest(connection).count(b"HTTP/1.1 400 ") == 1
    server.wait_until_photos_are_gone()
    assert server.log().count("Traceback") == before


@pytest.mark.parametrize("field", ["X-Long", "Cookie"])
def test_a_header_that_is_too_long_is_refused_though_it_comes_whole(server: Server, field: str) -> None:
    answer = server.get("/livez", headers={field: "x" * 70_000})
    assert (answer.status_code, problem(answer)["code"]) == (431, "request_header_fields_too_large")
    assert server.get("/livez?" + "x" * 20_000).status_code == 431
    assert server.get("/livez", headers={field: "x" * 15_000}).status_code == 200


def test_nonsense_does_not_flood_the_log(server: Server) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert server.get("/livez", headers=upgrade).status_code == 200
    with _connect(server) as connection:
        connection.sendall(b"GET /\r\n\r\n")
        _rest(connection)
    assert "WebSocket" not in server.log()
    assert "Unsupported upgrade" not in server.log()
    assert "Invalid HTTP request" not in server.log()


def test_the_bounds_are_those_of_phones_on_bad_wifi() -> None:
    assert connections.REQUEST_TIMEOUT_S >= 10
    assert connections.MAX_CONNECTIONS >= 60 * 6  # clients, and what a browser opens at once


def test_a_connection_that_left_is_forgotten_at_once() -> None:
    made: list[weakref.ref[Connection]] = []

    def make() -> Connection:
        connection = Connection(config, ServerState(), {})
        made.append(weakref.ref(connection))
        return connection

    async def come_and_go() -> None:
        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
            await writer.wait_closed()
            for _ in range(50):
                await asyncio.sleep(0.02)
                gc.collect()
                if made and made[0]() is None:
                    return
        raise AssertionError("it waits for its time to be over")

    async def app(scope: object, receive: object, send: object) -> None: ...

    config = uvicorn.Config(app, http="h11", ws="none", log_config=None, lifespan="off")
    asyncio.run(come_and_go())
