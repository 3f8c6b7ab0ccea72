"""How jobs end: done, failed or cancelled, exactly once, and durable before anybody hears of it."""

import asyncio
import json
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from backend.errors import JobCancelled, StorageUnavailable, Unavailable
from backend.events import Event, failure
from backend.job_files import JobFiles
from backend.live import Live
from backend.settings import ServiceSettings
from backend.store import JobRecord, JobStore, Outcome
from backend.watch import Watch
from holdcheck import memory

log = logging.getLogger(__name__)

_STORE_RETRY_S = 5.0
"""Unless something made room sooner."""
_PATIENCE_S = 3.0
"""For an end that is being written: a disk that is only slow has taken it by then."""
CANCELLED = "The analysis was cancelled, and its photo and results are erased."


class Endings:
    """Takes jobs out of `live` when they end. All calls on the event loop.

    Args:
        live: the jobs that are not over, by id.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        store: JobStore,
        files: JobFiles,
        live: dict[str, Live],
        watch: Watch,
    ) -> None:
        self._last_chance = False
        self._try_again = asyncio.Event()
        self._settings = settings
        self._store = store
        self._files = files
        self._live = live
        self._watch = watch
        self._tasks: set[asyncio.Task[None]] = set()

    def settle_soon(self, live: Live, last: Event) -> None:
        """Settle beside the next analysis: a disk may take a quarter of a second."""
        if not live.cancelled and not live.settling:
            live.settling = True
            self.background(self.settle(live, last))

    async def settle(self, live: Live, last: Event) -> None:
        """Make the end durable, then show it."""
        live.settling = True
        try:
            if last.step == "complete":
                await asyncio.to_thread(self._write_result, live.record.id, last.data["result"])
            await self._end(live, last)
        except Unavailable as error:
            # The disk does not take the result: a short line may still fit.
            last = refusal(error)
            try:
                await self._end(live, last)
            except Unavailable:
                await self._commit(live, last)
                live.feed.cut(last)
        if live.unwanted:
            with suppress(Unavailable):
                await self.forget(live.record)
        self._part_with(live)

    def hurry(self) -> None:
        """The process is about to end: what the store does not take, the next start reads from the log."""
        self._last_chance = True
        self._wake()

    async def note(self, record: JobRecord, told: Event) -> None:
        """Let the store know of an end that only the event log knew."""
        with suppress(Unavailable):
            await self._store.finish(record.id, outcome_of(told, self._settings.job_ttl_s, time.time()))
        await asyncio.to_thread(self._files.drop_photo, record.id, done=told.step == "complete")

    async def cancel(self, live: Live) -> None:
        """End a job that its owner no longer wants: at once for everybody who listens."""
        live.cancelled = True
        self._watch.cancelled(live.record)
        record = live.record
        outcome = cancellation(self._settings.job_ttl_s, time.time())
        try:
            await self._store.finish(record.id, outcome)
        finally:
            live.record = _with(record, outcome)
            live.feed.cut(failure(JobCancelled.code, CANCELLED, memory.snapshot()))
            live.over.set()
            self.background(self._erase_when_stopped(live, outcome))

    async def forget(self, record: JobRecord) -> None:
        """Delete a job that has ended. A cancelled one stays known as such until it expires."""
        if record.status == "cancelled":
            return
        try:
            await self._store.remove(record.id)
            await asyncio.to_thread(self._files.erase, record.id)
        except Unavailable:
            # A full disk cannot even be told to forget before there is room.
            await asyncio.to_thread(self._files.erase, record.id)
            await self._store.remove(record.id)

    async def forget_settling(self, live: Live) -> None:
        """Delete a job whose end is being written, also where a full disk does not take that.

        Raises:
            StorageFull, StorageUnavailable: it is not forgotten yet, only erased; the rest follows by itself.
        """
        if not await _comes(live.gone):
            live.unwanted = True
            # Its files first: that makes room.
            await asyncio.to_thread(self._files.erase, live.record.id)
            self._wake()
            if not await _comes(live.gone):
                raise live.refusal or StorageUnavailable(
                    "The server's disk is too slow: try again later.", 60
                )
        await self.forget(live.record)

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else; `finish` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for every end that is being written."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _end(self, live: Live, last: Event) -> None:
        await live.feed.end(last, lambda: self._commit(live, last))

    async def _commit(self, live: Live, last: Event) -> None:
        """Note the end in the store; from then on nobody needs the photo."""
        self._watch.ended(live.record, last)
        outcome = outcome_of(last, self._settings.job_ttl_s, time.time())
        while True:
            try:
                await self._store.finish(live.record.id, outcome)
                break
            except Unavailable as error:
                live.refusal = error
            if self._last_chance:
                return
            await _comes(self._try_again, _STORE_RETRY_S)
        live.record = _with(live.record, outcome)
        await asyncio.to_thread(self._files.drop_photo, live.record.id, done=last.step == "complete")

    async def _erase_when_stopped(self, live: Live, outcome: Outcome) -> None:
        if live.analysis is not None:
            await live.analysis.aclose()
        await live.feed.flush()
        await asyncio.to_thread(self._files.erase, live.record.id)
        with suppress(Unavailable):
            # Again, where a full disk did not take it: there is room now.
            await self._store.finish(live.record.id, outcome)
        self._part_with(live)

    def _wake(self) -> None:
        """Let every end try the store again."""
        self._try_again.set()
        self._try_again = asyncio.Event()

    def _part_with(self, live: Live) -> None:
        del self._live[live.record.id]
        live.over.set()
        live.gone.set()

    def _write_result(self, job_id: str, result: Any) -> None:
        self._files.write_result(job_id, result_json(result))
        self._files.keep_copy(job_id)


async def _comes(event: asyncio.Event, within_s: float | None = None) -> bool:
    """Whether it does, in _PATIENCE_S or the time that is given."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S if within_s is None else within_s):
            await event.wait()
    return event.is_set()


def outcome_of(last: Event, ttl_s: float, now: float) -> Outcome:
    """How a job ends now whose last event it is, and is kept for `ttl_s` seconds."""
    if last.step == "complete":
        return Outcome("done", now, now + ttl_s)
    return Outcome("failed", now, now + ttl_s, last.data["code"], last.data["detail"])


def cancellation(ttl_s: float, now: float) -> Outcome:
    """How a job ends now whose owner no longer wants it."""
    return Outcome("cancelled", now, now + ttl_s, JobCancelled.code, CANCELLED)


def result_json(result: Any) -> bytes:
    """A result as it is stored."""
    return json.dumps(result, ensure_ascii=False, separators=(",", ":")).encode()


def refusal(error: Unavailable) -> Event:
    """The end of a job that the disk does not take."""
    return failure(error.code, str(error), memory.snapshot())


def _with(record: JobRecord, outcome: Outcome) -> JobRecord:
    return replace(
        record,
        status=outcome.status,
        finished_at=outcome.at,
        expires_at=outcome.expires_at,
        error_code=outcome.error_code,
        error_message=outcome.error_message,
    )
