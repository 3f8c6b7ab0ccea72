"""What several servers make of a DATA_URL that is not where their database's jobs are kept."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backend.blobs import FolderBlobs
from backend.errors import JobNotFound, StorageUnavailable
from backend.shared import jobs
from backend.shared.binding import MARK_NAME, bind, read_mark
from backend.shared.database import prepare
from backend.store import StoreUnusable
from tests.backend.server import ROOT, environment
from tests.backend.shared.house import House
from tests.postgres import Postgres


def _bind(url: str, folder: Path) -> str:
    return asyncio.run(bind(url, FolderBlobs(folder), folder.as_uri()))


def _with_house(house: House, test: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        try:
            await test(house)
        finally:
            await house.jobs.stop()

    asyncio.run(run())


def _unmount(folder: Path) -> Callable[[], None]:
    """What servers see where a share is not mounted: its mount point. Answers what mounts it again."""
    blobs, share = folder / "blobs", folder / "share"
    blobs.rename(share)
    blobs.mkdir()

    def mount() -> None:
        assert not any(blobs.rglob("*")), "something was put below the mount point"
        blobs.rmdir()
        share.rename(blobs)

    return mount


def _photo(folder: Path, job_id: str) -> Path:
    return folder / "blobs" / "jobs" / job_id / "inputs" / "photo"


def test_a_database_refuses_another_folder_and_leaves_it_as_it_is(url: str, tmp_path: Path) -> None:
    store_id = _bind(url, tmp_path / "right")
    assert (tmp_path / "right" / MARK_NAME).read_text() == store_id
    with pytest.raises(StoreUnusable, match=f"wrong is not the store .* it has no {MARK_NAME}.*not mounted"):
        _bind(url, tmp_path / "wrong")
    assert not any((tmp_path / "wrong").iterdir())
    assert _bind(url, tmp_path / "right") == store_id


def test_a_second_database_refuses_the_folder_of_the_first(
    url: str, postgres: Postgres, tmp_path: Path
) -> None:
    other = postgres.new_database()
    asyncio.run(prepare(other))
    store_id = _bind(url, tmp_path / "right")
    with pytest.raises(StoreUnusable, match="it is another database's"):
        _bind(other, tmp_path / "right")
    assert read_mark(FolderBlobs(tmp_path / "right")) == store_id
    assert _bind(other, tmp_path / "its own") != store_id


def test_servers_that_start_at_once_agree(url: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as servers:
        store_ids = set(servers.map(lambda _: _bind(url, tmp_path / "blobs"), range(6)))
    assert store_ids == {read_mark(FolderBlobs(tmp_path / "blobs"))}


def test_of_two_folders_at_once_one_is_refused(url: str, tmp_path: Path) -> None:
    def start(name: str) -> bool:
        try:
            return bool(_bind(url, tmp_path / name))
        except StoreUnusable:
            return False

    with ThreadPoolExecutor(4) as servers:
        started = dict(zip("abcd", servers.map(start, "abcd"), strict=True))
    assert list(started.values()).count(True) == 1
    marked = [name for name in "abcd" if (tmp_path / name / MARK_NAME).exists()]
    assert marked == [name for name in "abcd" if started[name]]


def test_a_start_that_died_between_file_and_row_is_repeated(url: str, tmp_path: Path) -> None:
    class Dies(FolderBlobs):
        def put(self, name: str, data: bytes) -> None:
            super().put(name, data)
            raise StorageUnavailable("the server died")

    with pytest.raises(StorageUnavailable):
        asyncio.run(bind(url, Dies(tmp_path), ""))
    left = (tmp_path / MARK_NAME).read_text()
    assert _bind(url, tmp_path) == left


def test_a_server_with_a_wrong_data_url_ends_with_a_word(url: str, tmp_path: Path) -> None:
    _bind(url, tmp_path / "right")
    wrong = (tmp_path / "wrong").as_uri()
    settings = {
        "DATABASE_URL": url,
        "DATA_URL": wrong,
        "DATA_DIR": str(tmp_path / "data"),
        "ALLOW_DUMMY": "1",
    }
    command = [sys.executable, "-m", "backend", "--port", "0"]
    ended = subprocess.run(
        command, env=environment(settings), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 2
    assert f"DATA_URL={wrong} is not the store that this database's jobs are kept in" in ended.stderr


def test_jobs_wait_while_their_share_is_not_mounted(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(house: House) -> None:
        await house.open(run=False)
        waiting = [await house.post() for _ in range(3)]
        mount = _unmount(tmp_path)
        with caplog.at_level(logging.ERROR):
            house.jobs.start()
            async with asyncio.timeout(20):
                while "DATA_URL is not the store" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        with pytest.raises(StorageUnavailable):
            await house.post()
        mount()
        for job in waiting:
            done = await house.until(job.id, "done")
            assert done.attempts == 1

    _with_house(House(url, tmp_path), test)


def test_what_is_done_is_not_denied_and_not_forgotten_while_the_share_is_not_mounted(
    url: str, tmp_path: Path
) -> None:
    async def test(house: House) -> None:
        await house.open()
        done = await house.until((await house.post()).id, "done")
        mount = _unmount(tmp_path)
        for ask in (house.jobs.open_result, house.jobs.open_corrections):
            with pytest.raises(StorageUnavailable):
                await ask(done)
        with pytest.raises(StorageUnavailable):
            await house.jobs.write_corrections(done, b"{}", share=False)
        with pytest.raises(StorageUnavailable):
            house.files.erase_shared(done.id, "")
        house.jobs._store.expired = _answering([done.id])  # type: ignore[assignment, method-assign]
        with pytest.raises(StorageUnavailable):
            await house.jobs._housekeeping.sweep()
        mount()
        (await house.jobs.open_result(done)).close()
        with pytest.raises(FileNotFoundError):
            await house.jobs.open_corrections(done)
        await house.jobs._housekeeping.sweep()
        with pytest.raises(JobNotFound):
            await house.jobs.find(done.id, "")

    _with_house(House(url, tmp_path), test)


def _answering(ids: list[str]) -> Callable[[float], Awaitable[list[str]]]:
    async def answer(_: float) -> list[str]:
        return ids

    return answer


def test_a_result_is_not_put_below_a_mount_point(url: str, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        await house.open()
        job = await house.post()
        async with asyncio.timeout(20):
            while not house.engine.jobs:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        mount = _unmount(tmp_path)
        house.engine.go()
        failed = await house.until(job.id, "failed")
        assert failed.error_code == "storage_unavailable"
        mount()

    _with_house(House(url, tmp_path, held=True), test)


def test_tidying_erases_nothing_of_a_store_that_became_another_ones(
    url: str, postgres: Postgres, tmp_path: Path
) -> None:
    other = postgres.new_database()
    asyncio.run(prepare(other))

    async def test(house: House) -> None:
        (tmp_path / "blobs").rename(tmp_path / "ours")
        (tmp_path / "theirs").rename(tmp_path / "blobs")
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await house.jobs._housekeeping.tidy()
        assert _photo(tmp_path, "theirs").exists()

    _bind(other, tmp_path / "theirs")
    FolderBlobs(tmp_path / "theirs").put("jobs/theirs/inputs/photo", b"photo")
    _with_house(House(url, tmp_path), test)


def test_tidying_deletes_what_lies_there_and_is_of_no_use(url: str, tmp_path: Path) -> None:
    async def test(house: House) -> None:
        dropped: list[str] = []
        await house.open()
        done = await house.until((await house.post()).id, "done")
        plain = await house.until((await house.post()).id, "done")
        await house.jobs._housekeeping.tidy()
        house.jobs._runner.drain()
        waiting = await house.post()
        for name in ("inputs/photo", "outputs/0/result.json", "outputs/9/result.json"):
            house.blobs.put(f"jobs/{done.id}/{name}", b"left by a server that died")
        house.blobs.put("jobs/nobody's/inputs/photo", b"left by a server that died")
        house.blobs.drop = dropped.append  # type: ignore[assignment, method-assign]
        await house.jobs._housekeeping.tidy()
        assert dropped == [f"jobs/{done.id}/inputs/photo"]
        assert house.blobs.folders(f"jobs/{done.id}/outputs") == ["1"]
        assert _photo(tmp_path, "nobody's").exists()
        await house.jobs._housekeeping.tidy()
        assert not _photo(tmp_path, "nobody's").exists()
        assert _photo(tmp_path, waiting.id).exists()
        for job in (done, plain):
            (await house.jobs.open_result(job)).close()

    _with_house(House(url, tmp_path), test)


def test_a_photo_that_may_have_been_tidied_away_gets_no_row(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "ROW_WITHIN_S", 0.2)
    frozen = threading.Event()

    async def test(house: House) -> None:
        seal = house.files.seal

        def seal_and_freeze(job_id: str) -> int:
            size = seal(job_id)
            if not frozen.is_set():
                frozen.set()
                time.sleep(0.3)
            return size

        house.files.seal = seal_and_freeze  # type: ignore[method-assign]
        await house.open()
        with pytest.raises(StorageUnavailable, match="send it again"):
            await house.post()
        assert await house.jobs.counts() == {}
        await house.until((await house.post()).id, "done")

    _with_house(House(url, tmp_path), test)
