"""Everything that is refused before a stream begins, with its status and code."""

import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.backend import photos
from tests.backend.server import Server, problem

PATHS = ("/api/analyze-stream", "/api/analyze")
BOUNDARY = "b0undary"


def _post(server: Server, path: str = PATHS[0], **options: Any) -> httpx.Response:
    return httpx.post(server.url + path, timeout=30, **options)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("photo", "status", "code"),
    [
        (lambda: b"", 400, "photo_empty"),
        (lambda: b"this is a letter, not a photo", 415, "photo_type_unsupported"),
        (photos.gif, 415, "photo_type_unsupported"),
        (lambda: b"%PDF-1.7 ...", 415, "photo_type_unsupported"),
        (lambda: photos.png(12000, 11000), 413, "photo_too_many_pixels"),
        (lambda: photos.png(40, 30), 400, "photo_too_small"),
    ],
    ids=["empty", "text", "gif", "pdf", "132 megapixels", "40 x 30 pixels"],
)
def test_a_bad_photo_is_refused(
    server: Server, path: str, photo: Callable[[], bytes], status: int, code: str
) -> None:
    answer = server.post(photo(), path)
    assert (answer.status_code, problem(answer)["code"]) == (status, code)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_truncated_photo_is_refused(server: Server, wall: bytes, kept: float) -> None:
    answer = server.post(wall[: int(len(wall) * kept)])
    assert (answer.status_code, problem(answer)["code"]) == (400, "photo_truncated")


def test_a_corrupt_photo_is_refused(server: Server) -> None:
    photo = bytearray(photos.png(64, 64))
    photo[16:24] = b"\0" * 8  # width and height
    answer = server.post(bytes(photo))
    assert (answer.status_code, problem(answer)["code"]) == (400, "photo_corrupt")


def test_the_file_name_and_type_that_a_client_claims_do_not_matter(server: Server, wall: bytes) -> None:
    claimed = {"image": ("../../etc/passwd.pdf", wall, "application/pdf")}
    answer = _post(server, files=claimed)
    assert answer.status_code == 200
    assert "passwd" not in server.log()


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_photo_is_refused_with_what_is_accepted(server: Server, path: str) -> None:
    answer = _post(server, path, files={"picture": b"x"})
    assert answer.status_code == 422
    details = problem(answer)
    assert details["code"] == "photo_missing"
    assert "`image`" in details["detail"]


def test_two_photos_are_refused(server: Server, wall: bytes) -> None:
    answer = _post(server, files=[("image", wall), ("file", wall)])
    assert (answer.status_code, problem(answer)["code"]) == (400, "upload_malformed")


@pytest.mark.parametrize("second", ["ab", "slab", ""])
def test_two_wall_angles_are_refused_and_never_joined(server: Server, wall: bytes, second: str) -> None:
    files = [("wall_angle", (None, "sl")), ("wall_angle", (None, second)), ("image", ("photo", wall))]
    answer = _post(server, files=files)
    assert (answer.status_code, problem(answer)["code"]) == (400, "upload_malformed")


@pytest.mark.parametrize("wall_angle", ["roof", "SLAB", "slab overhang", "x" * 5000])
def test_an_unknown_wall_angle_is_refused(server: Server, wall: bytes, wall_angle: str) -> None:
    answer = server.post(wall, data={"wall_angle": wall_angle})
    assert answer.status_code == 422
    details = problem(answer)
    assert details["code"] == "wall_angle_unknown"
    assert "slab, face, overhang" in details["detail"]


@pytest.mark.parametrize(
    "options",
    [
        {"json": {"image": "..."}},
        {"content": b"raw", "headers": {"Content-Type": "image/jpeg"}},
        {"data": {"image": "..."}},
        {"content": b""},
    ],
    ids=["json", "raw", "urlencoded", "nothing"],
)
def test_another_body_than_multipart_is_refused(server: Server, options: dict[str, Any]) -> None:
    answer = _post(server, **options)
    assert answer.status_code == 415
    details = problem(answer)
    assert details["code"] == "content_type_unsupported"
    assert "multipart/form-data" in details["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary in it",
        b'--b0undary\r\nContent-Disposition: form-data; name="image"\r\n\r\nnever ends',
        b"--b0undary\r\nno colon\r\n\r\n--b0undary--\r\n",
        b"--b0undary\r\n" + b"X-Much: " + b"x" * 100_000,
    ],
)
def test_a_malformed_multipart_body_is_refused(server: Server, body: bytes) -> None:
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    answer = _post(server, content=body, headers={"Content-Type": content_type})
    assert (answer.status_code, problem(answer)["code"]) == (400, "upload_malformed")


def test_malformed_bodies_do_not_flood_the_log(variant_server: Server) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    for body in (b"no boundary in it", b"--b0undary\r\nno colon\r\n\r\n--b0undary--\r\n"):
        assert _post(variant_server, content=body, headers=headers).status_code == 400
    loggers = {json.loads(line)["logger"] for line in variant_server.log().splitlines()}
    assert not any(name.startswith("python_multipart") for name in loggers)


def test_multipart_without_a_boundary_is_refused(server: Server) -> None:
    answer = _post(server, content=b"x", headers={"Content-Type": "multipart/form-data"})
    assert (answer.status_code, problem(answer)["code"]) == (400, "upload_malformed")


def test_a_declared_size_over_the_limit_is_refused_unread(small_server: Server) -> None:
    connection = http.client.HTTPConnection(urlsplit(small_server.url).netloc, timeout=10)
    connection.putrequest("POST", "/api/analyze-stream")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    connection.putheader("Content-Length", str(10**9))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"photo_too_many_bytes" in answer.read()
    connection.close()


def test_an_endless_chunked_body_is_cut_off_at_the_limit(small_server: Server) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"\r\n\r\n'.encode()
        while time.monotonic() < stop:
            sent += 65536
            yield b"x" * 65536

    stop = time.monotonic() + 10
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    answer = _post(small_server, content=endless(), headers={"Content-Type": content_type})
    assert (answer.status_code, problem(answer)["code"]) == (413, "photo_too_many_bytes")
    assert time.monotonic() < stop - 5
    assert sent < 32 * 2**20
    assert small_server.photos() == []


def test_a_photo_just_over_the_limit_is_refused_with_the_limit(small_server: Server) -> None:
    answer = small_server.post(photos.noise(600, 600))
    assert answer.status_code == 413
    details = problem(answer)
    assert details["code"] == "photo_too_many_bytes"
    assert "0.25 MiB" in details["detail"]


def test_too_many_pixels_are_refused_by_the_setting(small_server: Server) -> None:
    answer = small_server.post(photos.png(1001, 1000))
    assert (answer.status_code, problem(answer)["code"]) == (413, "photo_too_many_pixels")


def test_an_analysis_that_takes_too_long_is_ended(small_server: Server) -> None:
    photo = photos.wall(320, 240)
    events = small_server.events(photo)
    assert (events[-1].step, events[-1].data["code"]) == ("error", "job_timed_out")
    assert events[-1].data["progress"] >= events[-2].data["progress"]
    answer = small_server.post(photo, "/api/analyze")
    assert (answer.status_code, problem(answer)["code"]) == (503, "job_timed_out")
    small_server.wait_until_photos_are_gone()


def test_a_failure_within_the_stream_speaks_the_clients_language(small_server: Server) -> None:
    events = small_server.events(photos.wall(320, 240), headers={"Accept-Language": "ko"})
    assert "제한 시간" in events[-1].data["message"]


def test_nothing_refused_leaves_a_file_behind(server: Server, wall: bytes) -> None:
    server.post(wall[:1000])
    server.post(b"text")
    server.post(wall, data={"wall_angle": "roof"})
    assert server.photos() == []
