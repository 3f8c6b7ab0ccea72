"""Readers that do not read: one piece of an answer waits for each in memory, and none may wait for ever.

The server's send buffers are as small here as a phone's line keeps them; loopback's hide what is measured.
"""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from bench.process import status_mib
from tests.backend.server import Server, in_its_own_files, start

_FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake"}
_SMALL_BUFFERS = """
import socket
from backend import serve
listen = serve._listen
def with_small_buffers(settings):
    listener = listen(settings)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    return listener
serve._listen = with_small_buffers
"""
_IMPATIENT = """
from backend import slow_readers
slow_readers.STALL_S = 0.5
"""
_LONG = b'{"padding":"' + b"0123456789abcdef" * 2**16 + b'"}'
"""As JSON, a megabyte: the largest result."""
_READERS = 40
_DOCUMENTS = ("", "/corrections", "/events")


def _server_with_long_documents(folder: Path, wall: bytes, prelude: str) -> tuple[Server, str]:
    server = start(folder, _FAKES, prelude=prelude)
    job_id = str(server.post(wall, "/api/analyze").json()["job_id"])
    job = server.data_dir / "jobs" / job_id
    (job / "outputs" / "result.json").write_bytes(_LONG)
    (job / "outputs" / "corrections.json").write_bytes(_LONG)
    (job / "interim" / "events").write_bytes(b'1 {"step":"short"}\n2 ' + _LONG + b'\n3 {"step":"last"}\n')
    return server, f"/api/jobs/{job_id}"


pytestmark = in_its_own_files


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, wall: bytes) -> Iterator[tuple[Server, str]]:
    served = _server_with_long_documents(tmp_path_factory.mktemp("patient"), wall, _SMALL_BUFFERS)
    yield served
    served[0].stop()


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory, wall: bytes) -> Iterator[tuple[Server, str]]:
    prelude = _SMALL_BUFFERS + _IMPATIENT
    served = _server_with_long_documents(tmp_path_factory.mktemp("impatient"), wall, prelude)
    yield served
    served[0].stop()


def _ask(server: Server, path: str) -> socket.socket:
    address = urlsplit(server.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10)
    connection.connect((address.hostname, address.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return connection


def _read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("document", _DOCUMENTS)
def test_a_reader_who_does_not_read_holds_a_piece_and_not_the_document(
    patient: tuple[Server, str], document: str
) -> None:
    server, job = patient
    server.get(job + document)
    before = status_mib(server.process.pid, "RssAnon")
    with ExitStack() as stack:
        for _ in range(_READERS):
            stack.enter_context(_ask(server, job + document))
        time.sleep(1)
        each_kib = (status_mib(server.process.pid, "RssAnon") - before) * 1024 / _READERS
    assert each_kib < 200


def test_in_pieces_it_is_the_same_document(patient: tuple[Server, str]) -> None:
    server, job = patient
    answer = server.get(job)
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json()["result"] == json.loads(_LONG)
    assert server.get(f"{job}/corrections").content == _LONG
    events = (
        b'id: 1\ndata: {"step":"short"}\n\nid: 2\ndata: ' + _LONG + b'\n\nid: 3\ndata: {"step":"last"}\n\n'
    )
    assert server.get(f"{job}/events").content == events
    rest = server.get(f"{job}/events", headers={"Last-Event-ID": "2"}).content
    assert rest == b'id: 3\ndata: {"step":"last"}\n\n'


def test_a_reader_who_takes_nothing_is_cut(impatient: tuple[Server, str]) -> None:
    server, job = impatient
    with ExitStack() as stack:
        connections = [stack.enter_context(_ask(server, job + document)) for document in _DOCUMENTS]
        time.sleep(2)
        for connection in connections:
            with pytest.raises(ConnectionResetError):
                _read_to_the_end(connection)


def test_one_who_takes_it_slowly_gets_all_of_it(impatient: tuple[Server, str]) -> None:
    server, job = impatient
    received = b""
    with _ask(server, f"{job}/corrections") as connection:
        begin = time.monotonic()
        while not received.endswith(_LONG[-20:]):
            if time.monotonic() < begin + 2:
                time.sleep(0.1)
            received += connection.recv(4096)
    assert received.endswith(_LONG)
    assert time.monotonic() - begin > 1.5


def test_the_job_of_a_reader_who_was_cut_goes_on(impatient: tuple[Server, str], wall: bytes) -> None:
    server, job = impatient
    with _ask(server, job):
        time.sleep(1.5)
    answer = httpx.post(f"{server.url}/api/jobs", files={"image": wall}, timeout=30)
    assert server.follow(answer.json()["job_id"], "")[-1].step == "complete"
