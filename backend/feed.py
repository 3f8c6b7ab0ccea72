"""One job's events on their way: into its log, and from there to any number of readers.

A reader follows the file, as `tail -f` does, up to what is published. So a slow one costs nothing, one that
comes back reads from where it was, and what came before a restart is as good as what comes live.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

from backend import event_log
from backend.disk_space import occupied
from backend.errors import LastEventIdInvalid, Unavailable
from backend.event_log import Line, Reader
from backend.events import Event, Narrator

log = logging.getLogger(__name__)


class Feed:
    """The events of a job that has not ended, or whose end is being written. All calls on the event loop.

    Args:
        size: where the log ends, bytes.
        count: told what each write takes of the disk, bytes.
    """

    def __init__(self, file: Path, narrator: Narrator, size: int, count: Callable[[int], None]) -> None:
        self.error: Unavailable | None = None
        """Why the log could not be written: the job cannot go on."""
        self._file = file
        self._narrator = narrator
        self._size = size
        self._count = count
        self._told: deque[Event] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._ended = False
        self._last_word: Line | None = None
        self._cut_at = 0
        self._changed = asyncio.Event()

    def tell(self, event: Event) -> None:
        """Readers see it as soon as it is in the log."""
        self._told.append(event)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_told())

    async def flush(self) -> None:
        """Wait until everything told is in the log."""
        while self._writing is not None:
            await self._writing

    async def end(self, event: Event, commit: Callable[[], Awaitable[None]]) -> None:
        """Write the last event so that it outlives a power cut, then commit, and only then show it.

        Raises:
            StorageFull, StorageUnavailable: as the log or `commit` says; nothing is shown.
        """
        await self.flush()
        size = await asyncio.to_thread(self._append, [event], synced=True)
        await commit()
        self._publish(size)
        self._close(None)

    def cut(self, event: Event) -> None:
        """End the readers' streams with a word that is not kept, after what has been told so far."""
        if self._writing is not None:
            # Its number must be that of the last line that readers see.
            self._writing.add_done_callback(lambda _: self.cut(event))
        elif not self._ended:
            self._close(self._narrator.aside(event))

    def read(self, after: int) -> AsyncGenerator[Line, None]:
        """The events after the one numbered `after`: those that were, then those that come.

        Raises:
            LastEventIdInvalid: at once, where no event had that number; those that a power cut took did.
        """
        if after > self._narrator.seq:
            raise LastEventIdInvalid
        return self._read(after)

    async def _read(self, after: int) -> AsyncGenerator[Line, None]:
        reader = await asyncio.to_thread(Reader, self._file, after)
        try:
            while True:
                # Before the look: what changes after it wakes us.
                changed, ended, last_word = self._changed, self._ended, self._last_word
                size = self._size if last_word is None else self._cut_at
                while (line := await asyncio.to_thread(reader.next, size)) is not None:
                    yield line
                if ended:
                    break
                await changed.wait()
            if last_word is not None:
                yield last_word
        finally:
            reader.close()

    async def _write_told(self) -> None:
        try:
            while self._told and self.error is None:
                batch = list(self._told)
                self._told.clear()
                self._publish(await asyncio.to_thread(self._append, batch))
        except Unavailable as error:
            self.error = error
        except Exception:
            log.exception("an event could not be written")
            self.error = Unavailable("The events of this analysis could not be written.")
        finally:
            self._writing = None

    def _append(self, events: list[Event], *, synced: bool = False) -> int:
        """On a thread: a result is a megabyte of JSON."""
        lines = [self._narrator.tell(event) for event in events]
        size = event_log.append(self._file, lines, self._size, synced=synced)
        self._count(occupied(size) - occupied(self._size))
        return size

    def _publish(self, size: int) -> None:
        self._size = size
        self._wake()

    def _close(self, last_word: Line | None) -> None:
        self._ended = True
        self._last_word = last_word
        self._cut_at = self._size
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def replay(file: Path, after: int) -> AsyncGenerator[Line, None]:
    """The events of a job that has ended.

    Raises:
        LastEventIdInvalid: no event has had the number `after`.
    """
    reader = await asyncio.to_thread(Reader, file, after)
    try:
        while (line := await asyncio.to_thread(reader.next, None)) is not None:
            yield line
        if after > reader.last:
            raise LastEventIdInvalid
    finally:
        reader.close()
