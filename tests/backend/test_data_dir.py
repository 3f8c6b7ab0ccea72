"""DATA_DIR: one server's, tidied with care, and disks that do not take a photo."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backend import photos
from tests.backend.server import LEFT_BY_A_KILLED_SERVER, Server, problem, start
from tests.backend.test_settings import start_and_end


def test_a_second_server_is_refused_and_touches_nothing(server: Server, tmp_path: Path) -> None:
    photo = server.data_dir / "uploads" / ("f" * 32)
    photo.write_bytes(b"the first server's")
    try:
        ended = start_and_end(tmp_path, "--port", "0", DATA_DIR=str(server.data_dir))
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert f"DATA_DIR={server.data_dir}: another server uses it" in line
        assert photo.read_bytes() == b"the first server's"
    finally:
        photo.unlink()


def test_a_killed_server_leaves_the_folder_free(tmp_path: Path) -> None:
    killed = start(tmp_path, {})
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()
    assert start(tmp_path, {}).stop() == 0


def test_the_start_deletes_photos_and_nothing_else(tmp_path: Path) -> None:
    uploads = tmp_path / "data" / "uploads"
    (uploads / ("a" * 32)).mkdir(parents=True)  # a photo's name, but a folder
    (uploads / "holiday").mkdir()
    (uploads / "holiday" / ("b" * 32)).write_bytes(b"somebody's")
    (uploads / "notes.txt").write_text("somebody's")
    server = start(tmp_path, {})
    server.stop()
    assert {path.name for path in server.uploads()} == {"a" * 32, "holiday", "notes.txt"}
    assert not (uploads / LEFT_BY_A_KILLED_SERVER).exists()
    assert (uploads / "holiday" / ("b" * 32)).exists()


def test_a_missing_uploads_folder_is_made_again(server: Server, wall: bytes) -> None:
    shutil.rmtree(server.data_dir / "uploads")
    assert server.events(wall)[-1].step == "complete"
    assert (server.data_dir / "uploads").stat().st_mode & 0o777 == 0o700


def test_a_full_disk_is_507_until_there_is_room(tmp_path: Path) -> None:
    big, small = photos.noise(1000, 800), photos.wall(320, 240)
    with _small_disk(tmp_path / "data", 256 * 1024), _started(tmp_path) as server:
        answer = server.post(big)
        assert (answer.status_code, problem(answer)["code"]) == (507, "storage_full")
        assert int(answer.headers["retry-after"]) > 0
        assert server.uploads() == []
        assert server.post(small).status_code == 200
        assert "No space left on device" in server.log()
        assert "Traceback" not in server.log()


def test_a_disk_that_fails_otherwise_is_503_with_a_code_of_its_own(tmp_path: Path, wall: bytes) -> None:
    with _started(tmp_path) as server:
        uploads = server.data_dir / "uploads"
        uploads.rmdir()
        uploads.touch()  # a file where the folder was: nothing can be made in it, not even by root
        answer = server.post(wall)
        assert (answer.status_code, problem(answer)["code"]) == (503, "storage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert "Traceback" not in server.log()
        uploads.unlink()
        assert server.post(wall).status_code == 200


@contextmanager
def _started(folder: Path) -> Iterator[Server]:
    server = start(folder, {})
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def _small_disk(folder: Path, size: int) -> Iterator[None]:
    """A file system of its own with so many bytes."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED: a full disk needs the right to mount a small one ({error})")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
