"""A job that is not over: its record as it stands, its events, and what runs it."""

import asyncio
import contextvars
from dataclasses import dataclass, field

from backend.engine import Analysis
from backend.errors import Unavailable
from backend.feed import Feed
from backend.store import JobRecord


@dataclass(eq=False, slots=True)
class Live:
    """A job that has not ended, or whose end is being written."""

    record: JobRecord
    feed: Feed
    context: contextvars.Context = field(default_factory=contextvars.copy_context)
    """Of the request that brought it: its id is in the log lines of the analysis."""
    position: int | None = None
    needed_mib: float | None = None
    """What its analysis may take; None until that is asked."""
    analysis: Analysis | None = None
    cancelled: bool = False
    settling: bool = False
    refusal: Unavailable | None = None
    """Why the store has not taken its end yet."""
    unwanted: bool = False
    """Its owner deleted it while its end was being written."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """There will be no more events from this process."""
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing of it happens any more."""
