"""DATA_DIR: one server's, tidied with care, and disks that do not take a photo."""

import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.backend import photos
from tests.backend.disks import small_disk
from tests.backend.server import LEFT_BY_A_KILLED_SERVER, Server, problem, start
from tests.backend.test_settings import start_and_end


def test_a_second_server_is_refused_and_touches_nothing(server: Server, tmp_path: Path) -> None:
    photo = server.data_dir / "jobs" / ("f" * 32) / "inputs" / "photo"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"the first server's")
    try:
        ended = start_and_end(tmp_path, "--port", "0", DATA_DIR=str(server.data_dir))
        assert ended.returncode == 1
        (line,) = ended.stderr.splitlines()
        assert f"DATA_DIR={server.data_dir}: another server uses it" in line
        assert photo.read_bytes() == b"the first server's"
    finally:
        shutil.rmtree(photo.parents[1])


def test_a_killed_server_leaves_the_folder_free(tmp_path: Path) -> None:
    killed = start(tmp_path, {})
    killed.process.send_signal(signal.SIGKILL)
    killed.process.wait()
    assert start(tmp_path, {}).stop() == 0


def test_the_start_deletes_an_upload_that_a_killed_server_left(tmp_path: Path) -> None:
    server = start(tmp_path, {})
    server.stop()
    assert not (server.data_dir / "jobs" / LEFT_BY_A_KILLED_SERVER).exists()


def test_a_missing_jobs_folder_is_made_again(tmp_path: Path, wall: bytes) -> None:
    with _started(tmp_path) as server:
        shutil.rmtree(server.data_dir / "jobs")
        assert server.events(wall)[-1].step == "complete"
        assert (server.data_dir / "jobs").stat().st_mode & 0o777 == 0o700


def test_jobs_that_cannot_be_read_stop_the_start_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "jobs.sqlite3").write_bytes(b"not a database" * 1000)
    ended = start_and_end(tmp_path, "--port", "0", DATA_DIR=str(tmp_path / "data"))
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "DATA_DIR" in line
    assert "not a database" in line


def test_a_full_disk_is_507_until_there_is_room(tmp_path: Path) -> None:
    small = photos.wall(320, 240)
    with small_disk(tmp_path / "data", 8 * 2**20), _started(tmp_path) as server:
        ballast = server.data_dir / "ballast"
        ballast.write_bytes(b"x" * (7 * 2**20))
        for _ in range(2):
            answer = server.post(small)
            assert (answer.status_code, problem(answer)["code"]) == (507, "storage_full")
        assert int(answer.headers["retry-after"]) > 0
        assert server.photos() == []
        ballast.unlink()
        assert server.events(small)[-1].step == "complete"
        assert "Traceback" not in server.log()


def test_a_disk_that_fills_up_during_an_upload_is_507_too(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", 8 * 2**20), _started(tmp_path, MAX_UPLOAD_MB="1") as server:

        def filling() -> Iterator[bytes]:
            yield b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + b"x" * 100_000
            while not server.photos():
                time.sleep(0.01)
            with (server.data_dir / "ballast").open("wb", 0) as ballast, suppress(OSError):
                while ballast.write(b"x" * 65536):
                    pass
            yield b"x" * 500_000

        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = httpx.post(f"{server.url}/api/jobs", content=filling(), headers=headers, timeout=30)
        assert (answer.status_code, problem(answer)["code"]) == (507, "storage_full")
        assert server.photos() == []
        assert "No space left on device" in server.log()


def test_a_disk_that_fails_otherwise_is_503_with_a_code_of_its_own(tmp_path: Path, wall: bytes) -> None:
    with _started(tmp_path) as server:
        jobs = server.data_dir / "jobs"
        jobs.rmdir()
        jobs.touch()  # a file where the folder was: nothing can be made in it, not even by root
        answer = server.post(wall)
        assert (answer.status_code, problem(answer)["code"]) == (503, "storage_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert "Traceback" not in server.log()
        jobs.unlink()
        assert server.post(wall).status_code == 200


@contextmanager
def _started(folder: Path, **settings: str) -> Iterator[Server]:
    server = start(folder, settings)
    try:
        yield server
    finally:
        server.stop()
