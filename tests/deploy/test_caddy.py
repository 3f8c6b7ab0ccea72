"""Streams, refusals and addresses through the Caddy that the profile `https` puts in front."""

import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.backend import photos
from tests.backend.server import Server, problem, start
from tests.deploy.caddy import CADDYFILE, caddy, caddy_before, environment

_LIMIT_MB = 2
_MAX_BODY = _LIMIT_MB * 2**20 + 64 * 1024
_TOO_LARGE = {413, 502}
"""Caddy before 2.7 says 502 of a body that it cuts off, later ones 413."""

_SILENT = """
import threading
import backend.__main__
from holdcheck import pipeline
backend.__main__._GRACE_S = 1
pipeline.analyze = lambda *_, **__: iter(threading.Event().wait, None)
"""
"""A server whose analyses never say anything."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One whose analyses take long enough to watch, and which takes three photos from one address."""
    server = start(
        tmp_path_factory.mktemp("server"),
        {
            "TRUSTED_PROXIES": "127.0.0.1",
            "RATE_LIMIT": "3/hour",
            "MAX_UPLOAD_MB": str(_LIMIT_MB),
            "YOLO_IMG_SIZE": "960",
            "YOLO_CONF": "0.02",
            "MAX_HOLDS": "500",
            "CLIP_BATCH_SIZE": "1",
            "CLIP_MODEL": "fake",
            "ALLOW_DUMMY": "1",
        },
    )
    yield server
    server.stop()


@pytest.fixture(scope="module")
def proxied(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, asked through Caddy."""
    with caddy_before(server.url, tmp_path_factory.mktemp("caddy"), MAX_BODY=str(_MAX_BODY)) as url:
        yield replace(server, url=url)


@pytest.fixture(scope="module")
def wall() -> bytes:
    return photos.wall()


def _client(address: str) -> httpx.Client:
    """One that comes from this address of the loopback network."""
    return httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=60)


def test_the_file_is_valid_as_it_comes_and_written_as_caddy_writes(tmp_path: Path) -> None:
    for command in (["validate", "--adapter", "caddyfile", "--config"], ["fmt", "--diff"]):
        done = subprocess.run(
            [caddy(), *command, str(CADDYFILE)],
            env=environment(tmp_path, {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert not [line for line in done.stdout.splitlines() if line.startswith(("+", "-"))]


def test_a_stream_arrives_event_by_event(server: Server, proxied: Server, wall: bytes) -> None:
    with _client("127.0.9.1") as client:
        job_id = client.post(f"{server.url}/api/jobs", files={"image": ("photo", wall)}).json()["job_id"]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(each.follow, job_id, "0") for each in (server, proxied)]
        direct, through = (each.result() for each in both)
    assert [event.data for event in through] == [event.data for event in direct]
    assert direct[-1].step == "complete"
    took = direct[-1].at - direct[0].at
    assert took > 0.5, "too quick to tell a stream from a lump"
    late = [after.at - before.at for before, after in zip(direct, through, strict=True)]
    assert max(late) < min(0.3, took / 2), "Caddy kept events back"


def test_a_phone_that_hangs_up_is_noticed_at_once(tmp_path: Path, wall: bytes) -> None:
    """Long before a heartbeat, every 15 seconds, would tell."""
    fakes = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake"}
    server = start(tmp_path, fakes, prelude=_SILENT)
    try:
        with caddy_before(server.url, tmp_path) as url, _client("127.0.9.2") as client:
            photo = {"image": ("photo", wall)}
            with client.stream("POST", f"{url}/api/analyze-stream", files=photo) as answer:
                lines = answer.iter_lines()  # letting go of it would hang up
                next(lines)
                assert _followed_logs(server) == 1
            deadline = time.monotonic() + 5
            while _followed_logs(server):
                assert time.monotonic() < deadline, "the stream goes on, and nobody listens"
                time.sleep(0.02)
    finally:
        server.stop()


def _followed_logs(server: Server) -> int:
    """How many event logs its streams hold open."""
    descriptors = Path(f"/proc/{server.process.pid}/fd")
    return sum(os.path.realpath(each).endswith("/interim/events") for each in descriptors.iterdir())


def test_a_photo_just_over_the_limit_hears_our_reason(proxied: Server) -> None:
    photo = photos.gif() + bytes(_LIMIT_MB * 2**20)
    with _client("127.0.9.3") as client:
        answer = client.post(f"{proxied.url}/api/jobs", files={"image": ("photo", photo)})
    assert (answer.status_code, problem(answer)["code"]) == (413, "photo_too_many_bytes")


def test_one_far_over_it_is_refused(proxied: Server) -> None:
    """With our reason where it is there before the body's end, as on any network; else by Caddy."""
    with _client("127.0.9.3") as client:
        answer = client.post(f"{proxied.url}/api/jobs", files={"image": ("photo", bytes(8 * _MAX_BODY))})
    assert answer.status_code in _TOO_LARGE


def test_a_photo_at_the_limit_passes(proxied: Server) -> None:
    photo = (photos.gif() + bytes(_LIMIT_MB * 2**20))[: _LIMIT_MB * 2**20]
    with _client("127.0.9.4") as client:
        answer = client.post(f"{proxied.url}/api/jobs", files={"image": ("photo", photo)})
    assert (answer.status_code, problem(answer)["code"]) == (415, "photo_type_unsupported")


def test_a_body_without_a_length_is_cut_off_behind_the_limit(proxied: Server) -> None:
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\n'
    blocks = (head if at == 0 else bytes(65536) for at in range(1 + 4 * _MAX_BODY // 65536))
    with _client("127.0.9.5") as client:
        answer = client.post(f"{proxied.url}/api/jobs", content=blocks, headers=boundary)
    assert answer.status_code in _TOO_LARGE


def test_the_address_that_caddy_tells_is_believed_and_no_other(proxied: Server) -> None:
    def send(client: httpx.Client, **headers: str) -> int:
        photo = {"image": ("photo", photos.gif())}
        return client.post(f"{proxied.url}/api/jobs", files=photo, headers=headers).status_code

    with _client("127.0.9.6") as first, _client("127.0.9.7") as second:
        assert [send(first) for _ in range(4)] == [415, 415, 415, 429]
        assert send(second) == 415
        assert send(first, **{"X-Forwarded-For": "192.0.2.7"}) == 429  # what a client says of itself
