"""What of a job outlives its analysis, and what outlives the job, whatever happens in between."""

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backend.engine import Job
from backend.errors import JobNotFound, StorageFull
from backend.job_files import JobFiles
from backend.jobs import Jobs
from backend.kept import KeptCorrections
from backend.metrics import Metrics
from backend.settings import ServiceSettings
from backend.store import JobRecord
from backend.watch import Watch
from tests.backend.engines import SHORT, ScriptedAnalysis, ScriptedEngine
from tests.backend.test_jobs import House

_COPY = b"a small photo"
_SAID = b'{"share":true}'
_OTHER_ID = "6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11"


class CopyingEngine(ScriptedEngine):
    """Leaves the copy that a job asks for, as the real one does once the photo is decoded."""

    def __init__(self, settings: ServiceSettings, *, held: bool = False) -> None:
        super().__init__(settings, held=held)
        self.script = lambda _: SHORT

    def analyze(self, job: Job) -> ScriptedAnalysis:
        if job.copy_to is not None:
            job.copy_to.write_bytes(_COPY)
        return super().analyze(job)


class Keeping(House):
    """One process's jobs where corrections are kept, or not any more."""

    def __init__(self, folder: Path, *, open_: bool = True, most: int = 10**9, **settings: Any) -> None:
        super().__init__(folder, keep_corrections=open_, **settings)
        self.kept = folder / "corrections"
        kept = KeptCorrections(self.kept, most, open_=open_)
        self.files = JobFiles(folder / "jobs", self.settings.max_data_bytes, kept)
        self.engine = CopyingEngine(self.settings)
        self.jobs = Jobs(self.settings, self.engine, self.store, self.files, Watch(Metrics()), same_boot=True)

    async def analysed(self, *, shared: bool | None = None, **fields: Any) -> JobRecord:
        """A job that is done; corrected where `shared` is not None."""
        record = await self.post(**fields)
        async with asyncio.timeout(20):
            await self.jobs.wait(record.id)
        record = await self.jobs.find(record.id, record.owner)
        if shared is not None:
            await self.jobs.write_corrections(record, _SAID, share=shared)
        return record

    def names(self) -> list[str]:
        return sorted(path.name for path in self.kept.iterdir()) if self.kept.exists() else []

    def photo(self, job_id: str) -> Path:
        return self.files.result(job_id).with_name("photo.jpg")

    def copies(self) -> list[Path]:
        return list(self.kept.parent.rglob("*.jpg"))

    def recounted(self) -> int:
        kept = KeptCorrections(self.kept, 1, open_=False)
        return JobFiles(self.files.photo("x").parents[2], 10**9, kept).used_bytes


async def _opened(folder: Path, **settings: Any) -> Keeping:
    house = Keeping(folder, **settings)
    await house.open()
    return house


def test_a_copy_is_kept_beside_the_result_and_counted(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed()
        assert house.photo(record.id).read_bytes() == _COPY
        assert list(house.files.photo(record.id).parent.iterdir()) == []
        assert house.files.used_bytes == house.recounted()
        await house.jobs.delete(record)
        assert house.files.used_bytes == house.recounted() == 0
        await house.jobs.stop()

    asyncio.run(scene())


@pytest.mark.parametrize("script", [("upload", "error"), ("upload",)], ids=["failed", "cancelled"])
def test_an_analysis_without_a_result_leaves_no_copy(tmp_path: Path, script: tuple[str, ...]) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        kept = await house.analysed()
        house.engine.script = lambda _: script
        record = await house.post()
        if "error" not in script:
            await house.until_an_event_is_kept(record.id)
            async with asyncio.timeout(20):
                while not house.files.copy(record.id).exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            await house.jobs.delete(record)
        await house.until(record.id, "failed" if "error" in script else "cancelled")
        await house.jobs.stop()
        assert house.copies() == [house.photo(kept.id)]
        assert house.files.used_bytes == house.recounted()

    asyncio.run(scene())


def test_a_result_that_the_disk_does_not_take_leaves_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)

        def full(*_: object, **__: object) -> None:
            raise StorageFull("The server's disk is full.")

        monkeypatch.setattr(house.jobs._endings, "_end", full)
        assert (await house.analysed()).status == "failed"
        await house.jobs.stop()
        assert house.copies() == []

    asyncio.run(scene())


def test_a_copy_for_which_there_is_no_room_is_not_kept_and_the_result_is(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed()
        house.files._max_bytes = house.files.used_bytes + len(_COPY)  # the next result alone takes more
        assert (await house.analysed()).status == "done"
        await house.jobs.stop()
        assert house.copies() == [house.photo(record.id)]

    asyncio.run(scene())


def test_copies_go_at_the_start_after_the_owner_changed_the_setting(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True)
        await house.die()
        house = await _opened(tmp_path, open_=False)
        assert not house.photo(record.id).exists()
        assert house.files.corrections(record.id).read_bytes() == _SAID
        assert house.files.used_bytes == house.recounted()
        await house.jobs.stop()

    asyncio.run(scene())


def test_what_expired_while_the_owner_changed_the_setting_is_not_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True)
        await house.die()
        with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as store, store:
            store.execute("UPDATE jobs SET expires_at = 1")
        house = await _opened(tmp_path, open_=False)
        assert not house.files.result(record.id).exists()
        assert house.names() == []
        await house.jobs.stop()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("shared", "settings", "kept"),
    [
        ((True,), {}, True),
        ((None,), {}, False),  # nobody corrected it
        ((False,), {}, False),
        ((True, False), {}, False),  # withdrawn
        ((False, True), {}, True),
        ((True,), {"open_": False}, False),  # the owner of the server does not want it
        ((True,), {"most": 10}, False),  # no room
    ],
)
def test_what_outlives_its_job(
    tmp_path: Path, shared: tuple[bool | None, ...], settings: dict[str, Any], kept: bool
) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path, **settings)
        record = await house.analysed()
        for share in shared:
            if share is not None:
                await house.jobs.write_corrections(record, _SAID, share=share)
        house.files.expire(record.id)
        await house.jobs.stop()
        assert house.names() == ([record.id] if kept else [])
        assert house.files.used_bytes == house.recounted() == 0
        if kept:
            assert stat.S_IMODE(house.kept.stat().st_mode) == 0o700
            assert (house.kept / record.id / "photo.jpg").read_bytes() == _COPY

    asyncio.run(scene())


def test_the_next_job_under_an_expired_ones_key_does_not_cost_what_was_shared(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True, key="key")
        await house.store._call(lambda c: c.execute("UPDATE jobs SET expires_at = 1"))
        again = await house.analysed(key="key")  # before anybody swept
        assert again.id != record.id
        await house.jobs._housekeeping.sweep()
        assert house.names() == [record.id]
        assert house.files.job_ids() == [again.id]
        await house.jobs.stop()

    asyncio.run(scene())


def test_a_folder_that_cannot_be_swept_keeps_no_other_from_it(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        stubborn, other = await house.analysed(shared=True), await house.analysed(shared=True)
        loop = house.photo(stubborn.id).with_name("loop")
        loop.symlink_to("loop")  # whose size nothing can tell
        await house.store._call(lambda c: c.execute("UPDATE jobs SET expires_at = number"))
        await house.die()
        house = await _opened(tmp_path, job_ttl_s=1)  # the start sweeps too
        assert house.files.job_ids() == [stubborn.id]
        loop.unlink()
        async with asyncio.timeout(10):
            while house.files.job_ids():  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert house.names() == sorted([stubborn.id, other.id])
        assert await house.store.statuses() == {}
        await house.jobs.stop()

    asyncio.run(scene())


def test_no_other_owner_reaches_or_erases_them(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True, owner="mine")
        with pytest.raises(JobNotFound):
            await house.jobs.find(record.id, "other")
        assert not await house.jobs.forget_shared(record.id, "other")
        house.files.expire(record.id)
        assert house.names() == [record.id]
        assert not await house.jobs.forget_shared(record.id, "other")
        assert await house.jobs.forget_shared(record.id, "mine")
        assert house.names() == []
        await house.jobs.stop()

    asyncio.run(scene())


def test_a_job_that_expired_and_is_not_swept_is_erased_when_its_owner_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True)
        await house.store.remove(record.id)  # as if expired
        assert await house.jobs.forget_shared(record.id, "")
        assert not house.files.result(record.id).exists()
        assert house.files.used_bytes == house.recounted() == 0
        await house.jobs.stop()

    asyncio.run(scene())


def test_deleting_a_job_in_the_moment_of_its_expiry_erases_what_was_kept(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True)
        house.files.expire(record.id)
        await house.jobs.delete(record)  # found just before
        assert house.names() == []
        await house.jobs.stop()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../corrections", "/etc", "x\0y", _OTHER_ID, _OTHER_ID.upper()]
)
def test_no_folder_is_reached_by_a_name_that_a_client_chose(tmp_path: Path, name: str) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True)
        for folder in (tmp_path / "jobs", tmp_path / "corrections"):
            folder.mkdir(exist_ok=True)
            (folder / "shared").write_text("")  # what a name that leads out of a job's folder would find
        assert not await house.jobs.forget_shared(name, "")
        assert house.files.result(record.id).exists()
        await house.jobs.stop()

    asyncio.run(scene())


def test_corrections_of_a_job_that_is_gone_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed()
        await house.jobs.delete(record)
        with pytest.raises(JobNotFound):
            await house.jobs.write_corrections(record, _SAID, share=True)
        assert not house.files.result(record.id).parent.exists()
        await house.jobs.stop()

    asyncio.run(scene())


def test_corrections_count_and_are_refused_where_there_is_no_room(tmp_path: Path) -> None:
    async def scene() -> None:
        house = await _opened(tmp_path)
        record = await house.analysed(shared=True)
        assert house.files.used_bytes == house.recounted()
        house.files._max_bytes = house.files.used_bytes + 3
        with pytest.raises(StorageFull):
            await house.jobs.write_corrections(record, b"x" * 10, share=True)
        assert house.files.corrections(record.id).read_bytes() == _SAID
        await house.jobs.stop()

    asyncio.run(scene())
