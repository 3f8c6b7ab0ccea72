"""Jobs with a scripted engine: followed, resumed, cancelled, expired, and taken up by the next process."""

import asyncio
import json
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend import endings, event_log, jobs, relay
from backend.data_dir import DataDir
from backend.errors import (
    IdempotencyKeyReused,
    JobNotFound,
    LastEventIdInvalid,
    MemoryShort,
    QueueFull,
    ShuttingDown,
    StorageFull,
    StorageUnavailable,
)
from backend.event_log import Line
from backend.events import Event, Narrator, failure
from backend.feed import Feed
from backend.job_files import JobFiles
from backend.jobs import Jobs
from backend.kept import KeptCorrections
from backend.messages import Language
from backend.metrics import Metrics
from backend.queue import QueueLoad
from backend.settings import ServiceSettings
from backend.store import JobRecord, Outcome, SqliteStore
from backend.watch import Watch
from holdcheck import memory
from holdcheck.result import MemoryUsage
from tests.backend.disks import small_disk
from tests.backend.engines import SHORT, ScriptedEngine


def _kept(folder: Path) -> KeptCorrections:
    return KeptCorrections(folder / "corrections", 10**9, open_=False)


class House:
    """One process's jobs on a folder that may have had another's."""

    def __init__(self, folder: Path, *, held: bool = False, same_boot: bool = True, **settings: Any) -> None:
        self.settings = ServiceSettings(
            _env_file=None, allow_dummy=True, yolo_weights="fake", clip_model="fake", **settings
        )
        self.engine = ScriptedEngine(self.settings, held=held)
        self.files = JobFiles(folder / "jobs", self.settings.max_data_bytes, _kept(folder))
        self.store = SqliteStore(folder / "jobs.sqlite3")
        self.jobs = Jobs(
            self.settings, self.engine, self.store, self.files, Watch(Metrics()), same_boot=same_boot
        )

    async def open(self, *, run: bool = True) -> None:
        await self.jobs.recover()
        await self.engine.start()
        if run:
            self.jobs.start()

    async def die(self) -> None:
        """As kill -9: nothing more happens, nothing is tidied."""
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        self.store._thread.shutdown()

    async def post(self, key: str | None = None, sha: str = "sha", **fields: Any) -> JobRecord:
        job_id = str(uuid.uuid4())
        self.files.create(job_id).write_bytes(b"photo")
        record = JobRecord(job_id, time.time(), idempotency_key=key, photo_sha256=sha)
        return await self.jobs.submit(replace(record, **fields))

    async def events(self, job_id: str, after: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line.json) async for line in await self.jobs.follow(job_id, after)]

    async def until(self, job_id: str, status: str) -> JobRecord:
        async with asyncio.timeout(20):
            while (record := await self.jobs.find(job_id, "")).status != status:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        return record

    async def until_an_event_is_kept(self, job_id: str) -> None:
        lines = await self.jobs.follow(job_id, 0)
        await anext(lines)
        await lines.aclose()

    async def until_photo_is_gone(self, job_id: str) -> None:
        async with asyncio.timeout(20):
            while self.files.photo(job_id).exists():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def _house(folder: Path, *, run: bool = True, **settings: Any) -> AsyncIterator[House]:
    house = House(folder, **settings)
    await house.open(run=run)
    try:
        yield house
    finally:
        await house.jobs.stop()


def _run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def _steps(events: list[dict[str, Any]]) -> list[str]:
    return [event["step"] for event in events]


def test_a_job_runs_without_a_listener_and_its_photo_goes_with_its_end(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path) as house:
            job = await house.post()
            done = await house.until(job.id, "done")
            await house.until_photo_is_gone(job.id)
            assert json.loads(house.files.result(job.id).read_bytes())["hold_data"] == []
            assert _steps(await house.events(job.id)) == ["queued", "upload", "detection", "complete"]
            assert done.expires_at == pytest.approx(time.time() + house.settings.job_ttl_s, abs=10)
            for path in (tmp_path / "jobs").rglob("*"):
                assert path.stat().st_mode & 0o077 == 0, path

    _run(test)


def test_every_reader_gets_every_event_once_from_where_it_left(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            job = await house.post()
            live = [asyncio.create_task(house.events(job.id, 0)) for _ in range(2)]
            house.engine.go(1)
            await asyncio.sleep(0.05)
            late = [asyncio.create_task(house.events(job.id, after)) for after in (1, 2)]
            house.engine.go()
            numbers = [[event["seq"] for event in await reader] for reader in (*live, *late)]
            assert numbers == [[1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4], [3, 4]]
            assert await house.events(job.id, 4) == []
            with pytest.raises(LastEventIdInvalid):
                await house.events(job.id, 5)

    _run(test)


def test_a_reader_that_leaves_changes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            job = await house.post()
            lines = await house.jobs.follow(job.id, 0)
            await anext(lines)
            await lines.aclose()
            house.engine.go()
            assert _steps(await house.events(job.id))[-1] == "complete"

    _run(test)


def test_jobs_run_one_at_a_time_in_their_order_and_hear_their_position(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            posted = [await house.post() for _ in range(3)]
            await house.until(posted[0].id, "running")
            assert [house.jobs.position(job.id) for job in posted] == [None, 1, 2]
            assert len(house.engine.jobs) == 1
            house.engine.go()
            last = await house.events(posted[2].id)
            assert [event["position"] for event in last if event["step"] == "queued"] == [2, 1, 0]
            assert [job.id for job in house.engine.jobs] == [job.id for job in posted]

    _run(test)


def test_a_long_queue_is_told_its_positions_with_one_look_at_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    snapshot = memory.snapshot

    def counted() -> MemoryUsage:
        nonlocal looks
        looks += 1
        return snapshot()

    async def test() -> None:
        nonlocal looks
        async with _house(tmp_path, held=True, max_queue=20) as house:
            posted = [await house.post() for _ in range(12)]
            await house.until(posted[0].id, "running")
            monkeypatch.setattr(memory, "snapshot", counted)
            looks = 0
            await house.jobs.delete(posted[1])  # which moves ten
            moved_with = looks
            positions = [house.jobs._live[job.id].position for job in posted[2:]]
            assert positions == list(range(1, 11))
            assert moved_with <= 2  # one for them, one for the end of the one that goes
            house.engine.go()

    _run(test)


def test_a_failed_analysis_keeps_its_reason(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path) as house:
            house.engine.script = lambda _: ("upload", "error")
            job = await house.post(language="ko")
            failed = await house.until(job.id, "failed")
            assert (failed.error_code, failed.error_message) == ("photo_corrupt", "The photo is damaged.")
            last = (await house.events(job.id))[-1]
            assert (last["code"], last["progress"]) == ("photo_corrupt", 5)
            assert "손상" in last["message"]
            await house.until_photo_is_gone(job.id)

    _run(test)


def test_the_same_photo_with_the_same_key_is_the_same_job(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path) as house:
            first = await house.post("key")
            assert (await house.post("key")).id == first.id
            await house.until(first.id, "done")
            assert (await house.post("key")).id == first.id
            with pytest.raises(IdempotencyKeyReused):
                await house.post("key", sha="another")
            with pytest.raises(IdempotencyKeyReused):
                await house.post("key", wall_angle="slab")
            assert house.files.job_ids() == [first.id]

    _run(test)


def test_two_at_once_with_one_key_are_one_job(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path) as house:
            posted = await asyncio.gather(*(house.post("key") for _ in range(4)))
            assert len({job.id for job in posted}) == 1
            await house.until(posted[0].id, "done")
            assert house.files.job_ids() == [posted[0].id]

    _run(test)


def test_a_full_queue_refuses_for_as_long_as_was_measured(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True, max_queue=1) as house:
            house.jobs._pace.learn([30.0])
            running, waiting = await house.post("a"), await house.post("b")
            await house.until(running.id, "running")
            with pytest.raises(QueueFull) as first:
                await house.post("c")
            with pytest.raises(QueueFull) as second:
                await house.post("d")
            assert 25 <= first.value.retry_after_s <= 30
            assert 55 <= second.value.retry_after_s <= 60
            assert (await house.post("b")).id == waiting.id  # which needs no place
            assert set(house.files.job_ids()) == {running.id, waiting.id}

    _run(test)


def test_a_queued_job_is_cancelled_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            running, waiting = await house.post(), await house.post()
            await house.until(running.id, "running")
            reading = asyncio.create_task(house.events(waiting.id))
            await asyncio.sleep(0.05)
            await house.jobs.delete(waiting)
            assert (await house.jobs.find(waiting.id, "")).status == "cancelled"
            assert (await reading)[-1]["code"] == "cancelled"
            house.engine.go()
            await house.until(running.id, "done")
            assert len(house.engine.jobs) == 1
            assert house.files.job_ids() == [running.id]

    _run(test)


def test_a_running_job_is_cancelled_at_its_next_batch(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            running, waiting = await house.post("key"), await house.post()
            await house.until(running.id, "running")
            await house.jobs.delete(running)
            assert (await house.jobs.find(running.id, "")).status == "cancelled"
            house.engine.go()
            await house.until(waiting.id, "done")
            assert house.files.job_ids() == [waiting.id]
            assert (await house.post("key")).id != running.id

    _run(test)


def test_a_cancellation_that_the_disk_does_not_note_at_once_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            job = await house.post()
            finish, refusals = house.store.finish, iter([True])

            async def reluctant(job_id: str, outcome: Outcome) -> bool:
                if next(refusals, False):
                    raise StorageFull("no room")
                return await finish(job_id, outcome)

            monkeypatch.setattr(house.store, "finish", reluctant)
            with pytest.raises(StorageFull):
                await house.jobs.delete(job)
            house.engine.go()
            async with asyncio.timeout(10):
                while house.files.job_ids() or house.jobs._live:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            assert (await house.jobs.find(job.id, "")).status == "cancelled"

    _run(test)


def test_a_word_that_is_not_kept_comes_after_what_was_told_before_it(tmp_path: Path) -> None:
    async def test() -> None:
        feed = Feed(tmp_path / "events", Narrator("id", "en", time.time()), 0, lambda _: None)
        usage = memory.snapshot()
        for _ in range(3):
            feed.tell(Event("upload", 5, {}, usage))
        feed.cut(failure("shutting_down", "bye", usage))
        await feed.flush()
        feed.tell(Event("detection", 10, {}, usage))  # it goes on, unheard
        await feed.flush()
        assert [line.seq async for line in feed.read(0)] == [1, 2, 3, 3]

    _run(test)


def test_a_job_that_has_ended_is_erased(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path) as house:
            job = await house.post()
            await house.until(job.id, "done")
            await house.jobs.delete(job)
            with pytest.raises(JobNotFound):
                await house.jobs.find(job.id, "")
            assert house.files.job_ids() == []
            assert house.files.used_bytes == 0

    _run(test)


def test_another_owners_job_is_not_there(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path) as house:
            job = await house.post(owner="mine")
            with pytest.raises(JobNotFound):
                await house.jobs.find(job.id, "yours")
            assert (await house.jobs.find(job.id, "mine")).id == job.id

    _run(test)


def test_an_expired_job_vanishes_by_itself(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, job_ttl_s=1.0) as house:
            job = await house.post()
            async with asyncio.timeout(10):
                while house.files.job_ids():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            with pytest.raises(JobNotFound):
                await house.jobs.find(job.id, "")
            assert await house.store.statuses() == {}

    _run(test)


def test_a_killed_process_leaves_jobs_that_the_next_one_finishes(tmp_path: Path) -> None:
    async def test() -> None:
        killed = House(tmp_path, held=True)
        await killed.open()
        running, waiting = await killed.post(), await killed.post()
        await killed.until(running.id, "running")
        killed.engine.go(2)
        async with asyncio.timeout(10):
            seen = []
            async for line in await killed.jobs.follow(running.id, 0):
                seen.append(json.loads(line.json))
                if seen[-1]["step"] == "detection":
                    break
        await killed.die()
        async with _house(tmp_path) as house:
            rest = await house.events(running.id, seen[-1]["seq"])
            assert _steps(rest) == ["queued", "upload", "detection", "complete"]
            numbers = [event["seq"] for event in (*seen, *rest)]
            assert numbers == list(range(1, len(numbers) + 1))
            progress = [event["progress"] for event in (*seen, *rest)]
            assert progress == sorted(progress)
            assert await house.events(running.id) == [*seen, *rest]
            done = await house.until(running.id, "done")
            assert done.attempts == 2
            await house.until(waiting.id, "done")

    _run(test)


@pytest.mark.parametrize("left", [0, 10, 10_000])
def test_after_a_power_cut_no_number_comes_twice(tmp_path: Path, left: int) -> None:
    async def test() -> None:
        killed = House(tmp_path, held=True)
        await killed.open()
        job = await killed.post()
        await killed.until(job.id, "running")
        await killed.until_an_event_is_kept(job.id)
        await killed.die()
        file = killed.files.events(job.id)
        file.write_bytes(file.read_bytes()[:left] + b"\0" * 100)
        async with _house(tmp_path, same_boot=False) as house:
            rest = await house.events(job.id, 7)  # a client may have seen what the disk has lost
            assert _steps(rest) == ["queued", "upload", "detection", "complete"]
            assert rest[0]["seq"] >= 10_000

    _run(test)


def test_a_job_of_which_a_full_disk_let_only_the_files_go_is_forgotten_by_the_next_start(
    tmp_path: Path,
) -> None:
    async def test() -> None:
        killed = House(tmp_path, held=True)
        await killed.open()
        job, other = await killed.post(), await killed.post()
        await killed.until(job.id, "running")
        killed.files.erase(job.id)  # as DELETE does where the store takes nothing
        await killed.die()
        async with _house(tmp_path) as house:
            await house.until(other.id, "done")
            with pytest.raises(JobNotFound):
                await house.jobs.find(job.id, "")
            assert [run.id for run in house.engine.jobs] == [other.id]

    _run(test)


def test_a_job_that_killed_the_process_twice_is_set_aside(tmp_path: Path) -> None:
    async def test() -> None:
        job_id = ""
        for _ in range(jobs.MAX_ATTEMPTS):
            killed = House(tmp_path, held=True)
            await killed.open()
            job_id = job_id or (await killed.post()).id
            await killed.until(job_id, "running")
            await killed.die()
        async with _house(tmp_path) as house:
            failed = await house.until(job_id, "failed")
            assert failed.error_code == "job_crashed"
            await house.until_photo_is_gone(job_id)
            assert (await house.events(job_id))[-1]["code"] == "job_crashed"
            assert house.engine.jobs == []

    _run(test)


def test_a_full_disk_keeps_no_job_that_is_set_aside_from_a_start_nor_from_an_end(tmp_path: Path) -> None:
    async def test(folder: Path) -> None:
        killed = House(folder)
        await killed.open(run=False)
        job_id = (await killed.post()).id
        change = f"UPDATE jobs SET status = 'running', attempts = {jobs.MAX_ATTEMPTS}"
        await killed.store._call(lambda c: c.execute(change))
        await killed.jobs.stop()
        house = House(folder)
        (folder / "others").write_bytes(b"0" * shutil.disk_usage(folder).free)
        async with asyncio.timeout(3):
            await house.open()
            assert (await house.jobs.find(job_id, "")).status == "running"
        async with asyncio.timeout(3):
            await house.jobs.stop()
        (folder / "others").unlink()
        async with _house(folder) as house:
            assert (await house.until(job_id, "failed")).error_code == "job_crashed"

    disk = tmp_path / "disk"
    with small_disk(disk, 1024 * 1024):
        asyncio.run(test(disk))


def test_a_job_whose_end_a_full_disk_does_not_take_is_deleted_by_the_room_that_it_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_PATIENCE_S", 0.2)

    async def test(folder: Path) -> None:
        async with _house(folder, held=True) as house:
            job = await house.post()
            await house.until(job.id, "running")
            await house.until_an_event_is_kept(job.id)
            house.files.photo(job.id).write_bytes(b"0" * 200_000)
            (folder / "others").write_bytes(b"0" * shutil.disk_usage(folder).free)
            house.engine.go()
            async with asyncio.timeout(10):
                while not house.jobs._live[job.id].settling:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            async with asyncio.timeout(3):
                await house.jobs.delete(job)
            with pytest.raises(JobNotFound):
                await house.jobs.find(job.id, "")
            assert house.files.job_ids() == []

    disk = tmp_path / "disk"
    with small_disk(disk, 1024 * 1024):
        asyncio.run(test(disk))


def test_deleting_a_job_whose_end_the_disk_does_not_take_is_refused_in_time_and_done_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(endings, "_STORE_RETRY_S", 0.05)

    async def test() -> None:
        async with _house(tmp_path) as house:
            finish, full = house.store.finish, True

            async def reluctant(job_id: str, outcome: Outcome) -> bool:
                if full:
                    raise StorageFull("no room")
                return await finish(job_id, outcome)

            monkeypatch.setattr(house.store, "finish", reluctant)
            job = await house.post()
            async with asyncio.timeout(10):
                while not house.jobs._live[job.id].settling:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for _ in range(2):
                with pytest.raises(StorageFull):
                    await house.jobs.delete(job)
                assert house.files.job_ids() == []  # what it was about is gone at once
            full = False
            async with asyncio.timeout(10):
                await house.jobs.wait(job.id)
            with pytest.raises(JobNotFound):
                await house.jobs.find(job.id, "")
            assert await house.store.statuses() == {}

    _run(test)


@pytest.mark.parametrize(("step", "status"), [("complete", "done"), ("error", "failed")])
def test_an_end_that_only_the_log_knows_is_the_end(tmp_path: Path, step: str, status: str) -> None:
    async def test() -> None:
        killed = House(tmp_path, held=True)
        await killed.open()
        job = await killed.post()
        await killed.until(job.id, "running")
        await killed.until_an_event_is_kept(job.id)
        await killed.die()
        file = killed.files.events(job.id)
        told = {"step": step, "code": "photo_corrupt", "message": "It is.", "progress": 100, "elapsed_ms": 1}
        event_log.append(file, [Line(9, json.dumps(told).encode())], file.stat().st_size)
        async with _house(tmp_path) as house:
            assert (await house.jobs.find(job.id, "")).status == status
            assert house.engine.jobs == []
            assert not house.files.photo(job.id).exists()

    _run(test)


@pytest.mark.parametrize(
    ("language", "told", "kept"),
    [
        ("en", "It ends early.", "It ends early."),
        ("ko", "사진 파일이 손상되었습니다", "The photo is damaged."),
    ],
)
def test_a_reason_that_only_the_log_knows_is_kept_in_english(
    tmp_path: Path, language: Language, told: str, kept: str
) -> None:
    async def test() -> None:
        killed = House(tmp_path, held=True)
        await killed.open()
        job = await killed.post(language=language)
        await killed.until_an_event_is_kept(job.id)
        await killed.die()
        file = killed.files.events(job.id)
        line = {"step": "error", "code": "photo_corrupt", "message": told, "progress": 5, "elapsed_ms": 1}
        event_log.append(file, [Line(9, json.dumps(line).encode())], file.stat().st_size)
        async with _house(tmp_path) as house:
            failed = await house.jobs.find(job.id, "")
            assert (failed.error_code, failed.error_message) == ("photo_corrupt", kept)

    _run(test)


def test_what_a_killed_process_had_not_accepted_or_not_yet_erased_is_erased(tmp_path: Path) -> None:
    async def test() -> None:
        killed = House(tmp_path)
        await killed.open()
        killed.files.create(str(uuid.uuid4())).write_bytes(b"half a photo")
        done, cancelled = await killed.post(), await killed.post()
        await killed.until(done.id, "done")
        await killed.until(cancelled.id, "done")
        await killed.store._call(lambda c: c.execute("UPDATE jobs SET status = 'cancelled' WHERE number = 2"))
        for job in (done, cancelled):
            killed.files.photo(job.id).write_bytes(b"as if killed before it was deleted")
        await killed.die()
        async with _house(tmp_path) as house:
            assert house.files.job_ids() == [done.id]
            assert not house.files.photo(done.id).exists()
            assert house.files.result(done.id).exists()

    _run(test)


def test_a_stop_puts_the_running_job_back_and_tells_every_reader(tmp_path: Path) -> None:
    async def test() -> None:
        stopped = House(tmp_path, held=True)
        await stopped.open()
        running, waiting = await stopped.post(), await stopped.post()
        await stopped.until(running.id, "running")
        readers = [asyncio.create_task(stopped.events(job.id)) for job in (running, waiting)]
        await asyncio.sleep(0.1)
        stopped.jobs.drain(0)
        with pytest.raises(ShuttingDown):
            await stopped.post()
        await stopped.jobs.stop()
        told = [await reader for reader in readers]
        assert [events[-1]["code"] for events in told] == ["shutting_down"] * 2
        async with _house(tmp_path) as house:
            for events, job in zip(told, (running, waiting), strict=True):
                last = events[-1]["seq"]
                assert last == events[-2]["seq"]  # nothing is missed by who resumes there
                rest = await house.events(job.id, last)
                assert [event["seq"] for event in rest] == list(range(last + 1, last + 1 + len(rest)))
                done = await house.until(job.id, "done")
                assert done.attempts == 1

    _run(test)


@asynccontextmanager
async def _short_house(folder: Path, **settings: Any) -> AsyncIterator[House]:
    """One in which something else has taken the memory."""
    async with _house(folder, **settings) as house:
        house.engine.free_mib = 50
        yield house


async def _is_short(house: House) -> None:
    async with asyncio.timeout(10):
        while house.jobs._watch.problem() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_a_job_waits_at_the_head_of_the_queue_while_memory_is_short(tmp_path: Path) -> None:
    async def test() -> None:
        async with _short_house(tmp_path, run=False) as house:
            first, second = await house.post("a"), await house.post("b")
            house.jobs.start()
            await _is_short(house)
            assert (await house.jobs.find(first.id, "")).status == "queued"
            assert [house.jobs.position(job.id) for job in (first, second)] == [0, 1]
            with pytest.raises(MemoryShort):
                await house.post("c")
            assert (await house.post("a")).id == first.id  # which needs no place
            began = time.monotonic()
            house.engine.free_mib = 1e6
            done = await house.until(first.id, "done")
            assert time.monotonic() - began < 3
            assert done.attempts == 1
            await house.until(second.id, "done")
            assert [job.id for job in house.engine.jobs] == [first.id, second.id]
            assert house.jobs._watch.problem() is None
            await house.post("c")

    _run(test)


def test_a_job_that_waits_for_memory_can_be_cancelled(tmp_path: Path) -> None:
    async def test() -> None:
        async with _short_house(tmp_path) as house:
            first = await house.post()
            await _is_short(house)
            await house.jobs.delete(first)
            assert (await house.jobs.find(first.id, "")).status == "cancelled"
            async with asyncio.timeout(5):
                while house.jobs._watch.problem() is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)  # nobody waits, nothing is known to be missing
            assert house.engine.jobs == []
            house.engine.free_mib = 1e6
            second = await house.post()
            await house.until(second.id, "done")

    _run(test)


def test_a_stop_does_not_wait_for_memory_and_the_next_start_runs_the_job(tmp_path: Path) -> None:
    async def test() -> None:
        stopped = House(tmp_path)
        await stopped.open()
        stopped.engine.free_mib = 50
        job = await stopped.post()
        reading = asyncio.create_task(stopped.events(job.id))
        await _is_short(stopped)
        async with asyncio.timeout(3):
            await stopped.jobs.stop()
        assert (await reading)[-1]["code"] == "shutting_down"
        async with _house(tmp_path) as house:
            done = await house.until(job.id, "done")
            assert done.attempts == 1

    _run(test)


def test_memory_that_does_not_come_back_fails_a_job_after_the_time_that_jobs_are_kept(tmp_path: Path) -> None:
    async def test() -> None:
        async with _short_house(tmp_path, job_ttl_s=1) as house:
            job = await house.post()
            events = await house.events(job.id)
            assert events[-1]["code"] == "memory_short"
            assert events[-1]["elapsed_ms"] >= 900
            assert house.engine.jobs == []

    _run(test)


def test_the_pace_is_remembered_across_a_restart(tmp_path: Path) -> None:
    async def test() -> None:
        first = House(tmp_path)
        await first.open()
        job = await first.post()
        await first.until(job.id, "done")
        await first.store._call(lambda c: c.execute("UPDATE jobs SET started_at = finished_at - 17"))
        await first.jobs.stop()
        async with _house(tmp_path) as house:
            assert house.jobs._pace.retry_after_s(1) == 17

    _run(test)


def test_as_many_run_at_once_as_the_engine_has_slots(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True, engine="ray", ray_max_replicas=2, max_queue=1) as house:
            jobs = [await house.post() for _ in range(3)]
            for job in jobs[:2]:
                await house.until(job.id, "running")
            assert house.jobs.load() == QueueLoad(running=2, waiting=1)
            assert house.jobs.position(jobs[2].id) == 2
            with pytest.raises(QueueFull):
                house.jobs.admit()
            house.engine.go()
            for job in jobs:
                await house.until(job.id, "done")
            assert house.jobs.load() == QueueLoad(running=0, waiting=0)

    _run(test)


def test_a_retry_is_told_with_progress_that_does_not_fall(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            house.engine.script = lambda _: ("upload", "detection", "retry", *SHORT)
            job = await house.post()
            house.engine.go()
            await house.until(job.id, "done")
            told = await house.events(job.id)
            assert _steps(told) == ["queued", "upload", "detection", "retry", *SHORT]
            progress = [event["progress"] for event in told]
            assert progress == sorted(progress)
            assert "begins again" in told[3]["message"]

    _run(test)


def test_a_stuck_analysis_fails_at_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_STUCK_S", 0.05)

    async def test() -> None:
        async with _house(tmp_path, held=True, job_timeout_s=1.0) as house:
            job = await house.post()
            failed = await house.until(job.id, "failed")
            assert failed.error_code == "job_timed_out"
            stuck = house.jobs._watch.stuck
        assert not stuck  # it did return, only too late

    _run(test)


def test_a_disk_that_refuses_events_fails_the_job_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise StorageFull("The server's disk is full.")

    async def test() -> None:
        async with _house(tmp_path, held=True) as house:
            job = await house.post()
            await house.until(job.id, "running")
            await asyncio.sleep(0.05)
            reading = asyncio.create_task(house.events(job.id))
            with monkeypatch.context() as patch:
                patch.setattr(event_log, "append", full)
                house.engine.go()
                failed = await house.until(job.id, "failed")
            assert failed.error_code == "storage_full"
            assert (await reading)[-1]["code"] == "storage_full"
            again = await house.post()
            await house.until(again.id, "done")

    _run(test)


def test_an_end_that_the_store_refuses_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "_STORE_RETRY_S", 0.05)

    async def test() -> None:
        async with _house(tmp_path) as house:
            finish, refusals = house.store.finish, iter([True, True])

            async def reluctant(job_id: str, outcome: Outcome) -> bool:
                if next(refusals, False):
                    raise StorageUnavailable("not now")
                return await finish(job_id, outcome)

            monkeypatch.setattr(house.store, "finish", reluctant)
            job = await house.post()
            events = await house.events(job.id)
            assert _steps(events).count("complete") == 1
            kept = await house.store.get(job.id)
            assert kept is not None
            assert kept.status == "done"

    _run(test)


def test_the_cap_refuses_what_would_not_fit_with_its_answer(tmp_path: Path) -> None:
    files = JobFiles(tmp_path / "jobs", 10 * 2**20, _kept(tmp_path))
    two = files.reserve(2 * 2**20, 0)
    with files.reserve(5 * 2**20, 0), pytest.raises(StorageFull, match="MAX_DATA_MB"), two:
        pass
    with pytest.raises(StorageFull), files.reserve(5 * 2**20, 2):
        pass
    with files.reserve(7 * 2**20, 0):
        pass


def test_what_the_folders_hold_is_counted_and_counted_again_at_the_start(tmp_path: Path) -> None:
    async def test() -> None:
        async with _house(tmp_path) as house:
            job = await house.post()
            await house.until(job.id, "done")
            await house.until_photo_is_gone(job.id)
            await asyncio.sleep(0.05)
            used = house.files.used_bytes
            blocks = sum(path.stat().st_blocks for path in (tmp_path / "jobs").rglob("*"))
            assert used >= 512 * blocks  # as du has it
            assert used == 4096 * 6  # four folders, events, result
        assert JobFiles(tmp_path / "jobs", 2**30, _kept(tmp_path)).used_bytes == used

    _run(test)


def test_the_data_dir_notices_another_boot(tmp_path: Path) -> None:
    with _data_dir(tmp_path) as first:
        assert not first.same_boot
        first.note_boot()
    with _data_dir(tmp_path) as again:
        assert again.same_boot
    (tmp_path / "lock").write_text("another boot")
    for _ in range(2):  # a start that takes up no jobs leaves it to the next to notice
        with _data_dir(tmp_path) as after_a_cut:
            assert not after_a_cut.same_boot
    with _data_dir(tmp_path) as taken_up:
        taken_up.note_boot()
    with _data_dir(tmp_path) as again:
        assert again.same_boot


@contextmanager
def _data_dir(folder: Path) -> Iterator[DataDir]:
    """As a process has it that ends: the kernel gives the lock back."""
    opened = DataDir(folder)
    yield opened
    os.close(opened._lock)
