"""What photos and results are kept in: the same promises of a folder, fsspec and an S3 server."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from backend.blobs import Blobs, FolderBlobs, FsspecBlobs, open_blobs
from backend.errors import StorageFull, StorageUnavailable
from tests.backend.disks import small_disk
from tests.s3 import S3


@pytest.fixture(params=["folder", "fsspec", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Blobs]:
    if request.param == "folder":
        yield open_blobs((tmp_path / "blobs").as_uri(), tmp_path / "spool")
    elif request.param == "fsspec":
        # No real use: it keeps the s3 run honest, by an implementation that shares nothing with it.
        kept = FsspecBlobs("memory://blobs", tmp_path / "spool")
        yield kept
        for folder in kept.folders(""):
            kept.erase(folder)
    else:
        server: S3 = request.getfixturevalue("s3")
        yield open_blobs(server.new_folder(), tmp_path / "spool")


def _read(blobs: Blobs, name: str) -> bytes:
    with blobs.open(name) as file:
        return file.read()


def test_what_was_put_is_read_back_and_put_again_replaces_it(blobs: Blobs) -> None:
    blobs.put("job/outputs/result.json", b"first, and longer")
    blobs.put("job/outputs/result.json", b"second")
    assert _read(blobs, "job/outputs/result.json") == b"second"


def test_a_photo_goes_there_and_comes_back_byte_by_byte(blobs: Blobs, tmp_path: Path) -> None:
    photo = bytes(range(256)) * 50_000  # more than one part of a multipart upload
    (tmp_path / "photo").write_bytes(photo)
    blobs.put_file("job/inputs/photo", tmp_path / "photo")
    blobs.fetch("job/inputs/photo", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == photo


@pytest.mark.parametrize("name", ["job/nothing", "nobody/outputs/result.json"])
def test_what_is_not_there_is_not_found(blobs: Blobs, tmp_path: Path, name: str) -> None:
    blobs.put("job/outputs/result.json", b"{}")
    with pytest.raises(FileNotFoundError):
        blobs.open(name)
    with pytest.raises(FileNotFoundError):
        blobs.fetch(name, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    blobs.drop("job/nothing")
    blobs.erase("nobody")


def test_what_is_open_can_be_read_to_its_end_whatever_becomes_of_it(blobs: Blobs) -> None:
    for name in ("replaced", "dropped", "erased"):
        blobs.put(f"{name}/result", name.encode() * 10_000)
    files = {name: blobs.open(f"{name}/result") for name in ("replaced", "dropped", "erased")}
    started = {name: file.read(10) for name, file in files.items()}
    blobs.put("replaced/result", b"other")
    blobs.drop("dropped/result")
    blobs.erase("erased")
    for name, file in files.items():
        with file:
            assert started[name] + file.read() == name.encode() * 10_000


def test_of_two_that_are_put_at_once_one_is_there_whole(blobs: Blobs) -> None:
    offered = [bytes([number]) * 300_000 for number in range(8)]

    def put(data: bytes) -> None:
        # Swift refuses one that it began before another that it has.
        with suppress(StorageUnavailable):
            blobs.put("job/result", data)

    with ThreadPoolExecutor(len(offered)) as servers:
        list(servers.map(put, offered))
    assert _read(blobs, "job/result") in offered


def test_a_folders_files_are_its_owners_only_and_no_draft_stays(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    blobs.put("job/outputs/result", b"{}")
    blobs.put_file("job/inputs/photo", Path(__file__))
    paths = [tmp_path / "blobs", *(tmp_path / "blobs").rglob("*")]
    assert sorted(path.name for path in paths if path.is_file()) == ["photo", "result"]
    assert {path.stat().st_mode & 0o077 for path in paths} == {0}


def test_only_what_is_meant_is_erased(blobs: Blobs) -> None:
    for name in ("job/inputs/photo", "job/outputs/result.json", "job2/outputs/result.json"):
        blobs.put(name, name.encode())
    blobs.drop("job/inputs/photo")
    assert sorted(blobs.folders("")) == ["job", "job2"]
    blobs.erase("job")
    assert blobs.folders("") == ["job2"]
    assert _read(blobs, "job2/outputs/result.json") == b"job2/outputs/result.json"


def test_a_listing_tells_of_each_folder_what_is_in_it(blobs: Blobs) -> None:
    # More than the library hands over at a time.
    held = {f"job{number}": ["inputs/photo", f"outputs/{number}/result.json"] for number in range(40)}
    for job, names in held.items():
        for name in names:
            blobs.put(f"jobs/{job}/{name}", b"{}")
    blobs.put("jobs2/other/inputs/photo", b"")
    blobs.put("mark", b"")
    assert {job: sorted(names) for job, names in blobs.contents("jobs")} == held
    assert len(list(blobs.contents("jobs"))) == len(held)
    assert sorted(blobs.folders("")) == ["jobs", "jobs2"]
    assert list(blobs.contents("none")) == []


def test_what_is_read_passes_through_the_spool_only(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    spool = tmp_path / "spool"
    blobs = open_blobs(s3.new_folder(), spool)
    blobs.put("job/result", b"{}")
    with blobs.open("job/result") as file:
        assert os.fstat(file.fileno()).st_dev == spool.stat().st_dev
        assert list(spool.iterdir()) == []  # a server that is killed leaves nothing
        assert file.read() == b"{}"


def test_a_spool_that_is_full_or_closed_does_not_make_a_photo_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with small_disk(tmp_path / "disk", 64 * 1024):
        for spool, problem in ((tmp_path / "file", StorageUnavailable), (tmp_path / "disk", StorageFull)):
            blobs = FsspecBlobs("memory://spools", spool)
            blobs.put("job/photo", bytes(100_000))
            with pytest.raises(problem):
                blobs.open("job/photo")
            with pytest.raises(problem):
                blobs.fetch("job/photo", spool / "photo")
            with pytest.raises(FileNotFoundError):
                blobs.open("job/none")
    with pytest.raises(StorageUnavailable):
        blobs.fetch("job/photo", tmp_path / "missing" / "photo")
    blobs.erase("job")


def test_nothing_is_there_at_first(blobs: Blobs) -> None:
    assert blobs.folders("") == []


def test_two_servers_see_what_the_other_one_did(s3: S3, tmp_path: Path) -> None:
    url = s3.new_folder()
    a, b = (open_blobs(url, tmp_path / name) for name in "ab")
    assert b.folders("") == []
    a.put("job/result", b"{}")
    assert b.folders("") == ["job"]
    assert _read(b, "job/result") == b"{}"
    b.erase("job")
    assert a.folders("") == []


def test_a_server_that_refuses_is_an_error_with_a_status(s3: S3, tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable):
        open_blobs("s3://no-such-bucket", tmp_path).put("job/result", b"{}")


def test_a_server_that_is_away_is_an_error_soon(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(StorageUnavailable):
        open_blobs("s3://bucket", tmp_path).put("job/result", b"{}")
    assert time.monotonic() - start < 30


def test_a_full_or_closed_folder_is_an_error_with_a_status(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    (tmp_path / "blobs" / "job").write_bytes(b"in the way")
    with pytest.raises(StorageUnavailable):
        blobs.put("job/outputs/result", b"{}")


@pytest.mark.parametrize("url", ["", "data", "/data", "file://host/data", "file:data"])
def test_a_url_that_names_nothing_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes file:///FOLDER"):
        open_blobs(url, tmp_path)


def test_the_service_imports_no_library_of_the_cluster() -> None:
    program = (
        "import sys, backend.app, backend.serve, backend.blobs; "
        "print([m for m in ('asyncpg', 'fsspec', 'obstore', 'backend.shared') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
