"""/api/jobs/{id}/corrections over HTTP, and what of it outlives its job."""

import io
import json
import os
import socket
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from backend.corrections import MAX_BYTES
from bench.process import AnonPeak, status_mib
from holdcheck.cli import main as holdcheck
from tests.backend import photos
from tests.backend.conftest import KEYS, StartServer
from tests.backend.disks import small_disk
from tests.backend.server import Server, in_its_own_files, problem, start
from training.datasets import load_split

Json = dict[str, Any]

_FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake"}
_SQUARE = [[10, 10], [60.5, 10], [60.5, 60], [10, 60]]
_ADDED = {"contour": _SQUARE, "color": "red", "kind": "hold", "problem": 1}
_NOTHING: Json = {"holds": [], "added": [], "problems": [], "share": False}


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> Server:
    """One that keeps nothing, as by default; what finds the holds does not matter here."""
    return start_server(**_FAKES)


@pytest.fixture(scope="module")
def job(server: Server, wall: bytes) -> Json:
    """A job that is done."""
    return _analysed(server, wall)


def _analysed(server: Server, photo: bytes) -> Json:
    answer = server.post(photo, "/api/analyze")
    assert answer.status_code == 200
    result: Json = answer.json()
    return result


def _url(server: Server, job: Json | str) -> str:
    return f"{server.url}/api/jobs/{job if isinstance(job, str) else job['job_id']}/corrections"


def _correct(server: Server, job: Json | str, body: Json | bytes) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(_url(server, job), content=content, timeout=30)


def _outputs(server: Server, job: Json) -> list[str]:
    return _names(server.data_dir / "jobs" / job["job_id"] / "outputs")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_corrections_are_stored_answered_and_replaced_by_the_next(server: Server, wall: bytes) -> None:
    job = _analysed(server, wall)
    none = httpx.get(_url(server, job), timeout=30)
    assert (none.status_code, problem(none)["code"]) == (404, "corrections_not_found")
    first, second = (hold["id"] for hold in job["hold_data"][:2])
    said = {
        "holds": [{"id": first, "color": "lime", "problem": 77}, {"id": second, "deleted": True}],
        "added": [_ADDED | {"problem": 77}],
        "problems": [{"id": 77, "start": ["a0"], "top": [first]}],
    }
    whole = {
        "holds": [
            {"id": first, "color": "lime", "kind": None, "problem": 77, "deleted": False},
            {"id": second, "color": None, "kind": None, "problem": None, "deleted": True},
        ],
        "added": [_ADDED | {"problem": 77}],
        "problems": [{"id": 77, "start": ["a0"], "top": [first]}],
        "share": False,
    }
    for _ in range(2):  # again: harmless
        answer = _correct(server, job, said)
        assert (answer.status_code, answer.json()) == (200, whole)
    assert httpx.get(_url(server, job), timeout=30).json() == whole
    assert _correct(server, job, {}).json() == _NOTHING
    assert httpx.get(_url(server, job), timeout=30).json() == _NOTHING
    file = server.data_dir / "jobs" / job["job_id"] / "outputs" / "corrections.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert _analysed_again(server, job) == job  # the result itself stays what the machine found


def _analysed_again(server: Server, job: Json) -> Json:
    result: Json = server.get(f"/api/jobs/{job['job_id']}").json()["result"]
    return result


_BIG = 10**6


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "JSON"),
        (b"holds", "JSON"),
        (b"[]", "an object"),
        (b"[" * 5000, "recursion"),
        ({"holds": [{"id": 10**4}]}, "holds.0.id: takes the id of a hold of this result, 1 to"),
        ({"holds": [{"id": 1}, {"id": 1}]}, "holds.0.id: takes each hold once"),
        ({"holds": [{"id": "1"}]}, "holds.0.id: Input should be a valid integer"),
        ({"holds": [{"id": 1, "color": "teal"}]}, "holds.0.color: Input should be 'black', 'white'"),
        ({"holds": [{"id": 1, "kind": "jug"}]}, "holds.0.kind: Input should be 'hold' or 'volume'"),
        ({"holds": [{"id": 1, "problem": -1}]}, "holds.0.problem: "),
        ({"holds": [{"id": 1, "colour": "red"}]}, "holds.0: takes id, color, kind, problem, deleted"),
        ({"holds": [{"id": 1, "deleted": 1}]}, "holds.0.deleted: Input should be a valid boolean"),
        ({"holds": [{"id": 1}] * 501}, "holds: List should have at most 500 items"),
        ({"added": [_ADDED] * 501}, "added: List should have at most 500 items"),
        ({"added": [_ADDED | {"color": None}]}, "added.0.color: "),
        ({"added": [_ADDED | {"contour": _SQUARE[:2]}]}, "added.0.contour: List should have at least 3"),
        ({"added": [_ADDED | {"contour": _SQUARE * 126}]}, "added.0.contour: List should have at most 500"),
        ({"added": [_ADDED | {"contour": [[1, 2, 3]] * 3}]}, "added.0.contour.0: "),
        ({"added": [_ADDED | {"contour": [[0, 0], [1201, 0], [0, 9]]}]}, "1200 x 900 pixels"),
        ({"added": [_ADDED | {"contour": [[-0.5, 0], [90, 0], [0, 90]]}]}, "inside the photo"),
        ({"added": [_ADDED | {"contour": [[5, 5], [6, 5], [6, 6]]}]}, "encloses 0 px²; takes 16 px² to 50%"),
        ({"added": [_ADDED | {"contour": [[0, 0], [1200, 0], [1200, 900], [0, 900]]}]}, "50% of the photo"),
        ({"added": [_ADDED | {"contour": [[0, 0], [90, 90], [90, 0], [0, 90]]}]}, "without crossing itself"),
        (b'{"added":[{"contour":[[NaN,1],[2,3],[3,4]],"color":"red","kind":"hold"}]}', "a finite number"),
        (b'{"added":[{"contour":[[1e999,1],[2,3],[3,4]],"color":"red","kind":"hold"}]}', "finite"),
        ({"problems": [{"id": 0}]}, "problems.0.id: "),
        ({"problems": [{"id": 1}, {"id": 1}]}, "problems.0.id: takes each problem once"),
        (
            {"problems": [{"id": 1, "start": ["a0"]}]},
            "problems.0.start: takes holds that belong to problem 1",
        ),
        ({"problems": [{"id": 1, "top": ["b1"]}]}, "top.0: Input should be a valid integer, or String"),
        ({"problems": [{"id": 1, "top": [_BIG]}]}, f"{_BIG} is none of them"),
        ({"added": [_ADDED], "problems": [{"id": 1, "top": ["a0", "a0"]}]}, "top: takes each hold once"),
        ({"added": [_ADDED], "problems": [{"id": 2, "top": ["a0"]}]}, "belong to problem 2"),
        ({"share": "yes"}, "share: Input should be a valid boolean"),
        ({"photo": "../../etc/passwd"}, "the body: takes holds, added, problems, share, and nothing else"),
    ],
)
def test_what_does_not_fit_the_result_is_refused_by_its_field(
    server: Server, job: Json, body: Json | bytes, says: str
) -> None:
    answer = _correct(server, job, body)
    details = problem(answer)
    assert (answer.status_code, details["code"]) == (422, "corrections_invalid")
    assert says in details["detail"]
    assert len(details["detail"]) < 300
    assert httpx.get(_url(server, job), timeout=30).status_code == 404


def test_a_deleted_hold_is_no_start(server: Server, job: Json) -> None:
    mine = next(p for p in job["problems"] if p["holds"])
    body = {
        "holds": [{"id": mine["holds"][0], "deleted": True}],
        "problems": [{"id": mine["id"], "start": mine["holds"][:1]}],
    }
    assert _correct(server, job, body).status_code == 422


@pytest.mark.parametrize("name", ["6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11", "x", "..%2f..%2fetc", "%00"])
def test_an_unknown_job_has_none(server: Server, name: str) -> None:
    for answer in (_correct(server, name, {}), httpx.get(_url(server, name), timeout=30)):
        assert (answer.status_code, problem(answer)["code"]) in ((404, "job_not_found"), (404, "not_found"))


def test_only_a_job_that_is_done_can_be_corrected(small_server: Server) -> None:
    server = small_server
    failed = server.events(photos.wall(320, 240))[-1].data["job_id"]
    answer = _correct(server, failed, {})
    details = problem(answer)
    assert (answer.status_code, details["code"]) == (409, "job_not_done")
    assert "failed" in details["detail"]
    answer = httpx.get(_url(server, failed), timeout=30)
    assert (answer.status_code, problem(answer)["code"]) == (404, "corrections_not_found")


def test_a_body_that_is_too_large_is_refused_while_it_arrives(server: Server, job: Json) -> None:
    def endless() -> Iterator[bytes]:
        stop = time.monotonic() + 10
        while time.monotonic() < stop:
            yield b" " * 65536

    declared = _correct(server, job, b" " * (MAX_BYTES + 1))
    begin = time.monotonic()
    counted = httpx.post(_url(server, job), content=endless(), timeout=30)
    assert time.monotonic() < begin + 5
    for answer in (declared, counted):
        assert (answer.status_code, problem(answer)["code"]) == (413, "corrections_too_many_bytes")
        assert "256 KiB" in answer.text


def test_few_bodies_may_arrive_at_once(server: Server, job: Json) -> None:
    with ExitStack() as slow:
        for _ in range(4):
            connection = slow.enter_context(_connected(server))
            head = f"POST {urlsplit(_url(server, job)).path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            connection.sendall(head.encode() + b" ")
        deadline = time.monotonic() + 10
        while (answer := _correct(server, job, b"x")).status_code != 503:
            assert time.monotonic() < deadline
        assert problem(answer)["code"] == "queue_full"
        assert int(answer.headers["retry-after"]) > 0
    while _correct(server, job, b"x").status_code == 503:
        assert time.monotonic() < deadline


def _connected(server: Server) -> socket.socket:
    address = urlsplit(server.url)
    assert address.hostname is not None
    return socket.create_connection((address.hostname, address.port), timeout=10)


@pytest.mark.parametrize(
    ("start", "item", "end", "count"),
    [
        ("{", '"%x":1', "}", 25_000),
        ('{"added":[', '{"contour":[' + ",".join(["[]"] * 500) + "]}", "]}", 160),
        ('{"problems":[', '{"id":1,"top":[' + ",".join(['""'] * 900) + "]}", "]}", 90),
    ],
    ids=["unknown fields", "points without numbers", "names of no hold"],
)
def test_nonsense_takes_little_memory(
    server: Server, job: Json, start: str, item: str, end: str, count: int
) -> None:
    rows = [item % number if "%" in item else item for number in range(count)]
    body = (start + ",".join(rows) + end).encode()
    assert MAX_BYTES * 0.8 < len(body) <= MAX_BYTES
    _correct(server, job, body)
    before = status_mib(server.process.pid, "RssAnon")
    with AnonPeak(server.process.pid) as peak:
        assert _correct(server, job, body).status_code == 422
    assert peak.mib - before < 16


def test_deleting_the_job_erases_its_corrections(server: Server, wall: bytes) -> None:
    job = _analysed(server, wall)
    assert _correct(server, job, {"share": True}).status_code == 200
    assert httpx.delete(f"{server.url}/api/jobs/{job['job_id']}", timeout=30).status_code == 204
    assert not (server.data_dir / "jobs" / job["job_id"]).exists()
    for answer in (_correct(server, job, {}), httpx.get(_url(server, job), timeout=30)):
        assert (answer.status_code, problem(answer)["code"]) == (404, "job_not_found")


def test_no_other_key_reaches_them(closed_server: Server, wall: bytes) -> None:
    mine, others = ({"X-API-Key": key} for key in KEYS)
    job = closed_server.post(wall, "/api/analyze", headers=mine).json()
    url = _url(closed_server, job)
    assert httpx.post(url, json={}, headers=mine, timeout=30).status_code == 200
    for answer in (httpx.post(url, json={}, headers=others), httpx.get(url, headers=others)):
        assert (answer.status_code, problem(answer)["code"]) == (404, "job_not_found")
    assert httpx.get(url, timeout=30).status_code == 401


def test_by_default_no_photo_is_kept(server: Server, job: Json) -> None:
    assert server.get("/api/health").json()["keeps_corrections"] is False
    server.wait_until_photos_are_gone()
    assert "photo.jpg" not in _outputs(server, job)


def test_a_full_disk_is_507_and_leaves_what_was_there(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 8 * 2**20):
        server = start(tmp_path, _FAKES)
        try:
            job = _analysed(server, photos.wall(320, 240))
            first = _correct(server, job, {"share": True}).json()
            ballast = server.data_dir / "ballast"
            with ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, os.statvfs(file.fileno()).f_bavail * 4096)
            answer = _correct(server, job, {})
            assert (answer.status_code, problem(answer)["code"]) == (507, "storage_full")
            assert httpx.get(_url(server, job), timeout=30).json() == first
            ballast.unlink()
            assert _correct(server, job, {}).json() == _NOTHING
            assert "Traceback" not in server.log()
        finally:
            server.stop()


def _portrait_with_a_place() -> bytes:
    """1200 x 900 as stored, to be turned by a quarter; says where, when and by whose phone it was taken."""
    image = Image.open(io.BytesIO(photos.wall(900, 1200))).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    exif[Base.Make] = "SECRETPHONE"
    exif.get_ifd(IFD.GPSInfo).update({GPS.GPSLatitudeRef: "N", GPS.GPSLatitude: (37.0, 33.0, 59.0)})
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90, exif=exif, comment=b"SECRETCOMMENT", xmp=b"<x>SECRETXMP</x>")
    assert file.getvalue().count(b"SECRET") == 3
    return file.getvalue()


@in_its_own_files
def test_shared_corrections_outlive_their_job_until_they_are_exported_or_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"KEEP_CORRECTIONS": "1", "MAX_HOLDS": "200", "MAX_IMAGE_SIZE": "640"}
    photo = _portrait_with_a_place()
    server = start(tmp_path, settings)
    try:
        assert server.get("/api/health").json()["keeps_corrections"] is True
        shared, withdrawn = (_analysed(server, photo) for _ in range(2))
        server.wait_until_photos_are_gone()
        _check_copy(server.data_dir / "jobs" / shared["job_id"] / "outputs" / "photo.jpg")
        first = shared["hold_data"][0]["id"]
        said = {"holds": [{"id": first, "deleted": True}], "added": [_ADDED], "share": True}
        assert _correct(server, shared, said).status_code == 200
        assert _correct(server, withdrawn, {"share": True}).status_code == 200
        assert _correct(server, withdrawn, {}).status_code == 200
        server.stop()
        assert not (server.data_dir / "corrections").exists()  # not before the job expires
        _expire(server, shared)

        server = start(tmp_path, settings)
        assert httpx.get(_url(server, withdrawn), timeout=30).json() == _NOTHING
        assert _outputs(server, withdrawn) == ["corrections.json", "photo.jpg", "result.json"]
        kept = server.data_dir / "corrections"
        assert _names(server.data_dir / "jobs") == [withdrawn["job_id"]]
        assert _names(kept) == [shared["job_id"]]
        _check_rights(kept)
        assert httpx.get(_url(server, shared), timeout=30).status_code == 404

        command = ["export-corrections", "--data-dir", str(server.data_dir), str(tmp_path / "set")]
        assert holdcheck(command) == 0
        assert "wrote 1 corrected photos" in capsys.readouterr().out
        (labelled,) = load_split(tmp_path / "set", "train")
        assert len(labelled.outlines) == len(labelled.boxes) == len(shared["hold_data"])
        scale = labelled.pixels.shape[1] / shared["image_width"]
        assert labelled.boxes[-1] == pytest.approx(
            [10 * scale, 10 * scale, 60.5 * scale, 60 * scale], abs=0.01
        )

        url = f"{server.url}/api/jobs/{shared['job_id']}"
        assert httpx.delete(url, timeout=30).status_code == 204
        assert _names(kept) == []
        assert httpx.delete(url, timeout=30).status_code == 404
        assert "Traceback" not in server.log()
    finally:
        server.stop()


def _check_copy(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"SECRET" not in file.read_bytes()
    with Image.open(file) as copy:
        assert copy.size == (480, 640)
        assert dict(copy.getexif()) == {}
        assert copy.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def _check_rights(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def _expire(server: Server, job: Json) -> None:
    with closing(sqlite3.connect(server.data_dir / "jobs.sqlite3")) as store, store:
        store.execute("UPDATE jobs SET expires_at = 1 WHERE id = ?", (job["job_id"],))
