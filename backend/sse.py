"""Server-sent events on the wire: no proxy may keep them back, and silence never looks like a dead line."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse

from backend.event_log import Line

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 15.0
"""Proxies and phones give up lines that are silent for 30 to 60 seconds."""
_HEARTBEAT = b": ping\n\n"
_HEADERS = {"Cache-Control": "no-cache, no-store, no-transform", "X-Accel-Buffering": "no"}


class EventStream(StreamingResponse):
    """A job's events, until there are no more or the client goes: the job does not notice."""

    media_type = MEDIA_TYPE

    def __init__(self, lines: AsyncIterator[Line], status_code: int = 200) -> None:
        super().__init__(_frames(lines), status_code, _HEADERS)


def frame(line: Line) -> bytes:
    """An event's frame, or of a part its part."""
    begin = b"id: %d\ndata: " % line.seq if line.begins else b""
    return begin + line.json + (b"\n\n" if line.ends else b"")


async def _frames(lines: AsyncIterator[Line]) -> AsyncIterator[bytes]:
    coming: asyncio.Future[Line | None] | None = None
    between_events = True
    try:
        while True:
            coming = coming or asyncio.ensure_future(_next(lines))
            # Within an event, a comment would be a part of it.
            await asyncio.wait((coming,), timeout=HEARTBEAT_S if between_events else None)
            if not coming.done():
                yield _HEARTBEAT
                continue
            line = coming.result()
            if line is None:
                return
            between_events, wire = line.ends, frame(line)
            # A slow reader keeps us here: it has this in memory once.
            coming = line = None
            yield wire
    finally:
        if coming is not None:
            # With it, the file that it reads is closed.
            coming.cancel()
            await asyncio.wait((coming,))


async def _next(lines: AsyncIterator[Line]) -> Line | None:
    return await anext(lines, None)
