"""A server's part in running and following jobs, as a process of its own that a test may kill.

`run URL LEASE_S`: claim jobs, tell five events of each, end it, for ever.
`follow URL JOB AFTER`: print each event's number and size, until the job ends.
"""

import asyncio
import sys
import time
import uuid
from contextlib import suppress

from backend.errors import Unavailable
from backend.events import Event, Narrator, failure
from backend.shared.claims import Claim, ClaimLost, Claims
from backend.shared.database import EVENTS, Bell, Database
from backend.shared.events import EventRows
from backend.shared.feed import SharedFeed
from backend.store import Outcome
from holdcheck import memory

STEPS = 5
"""Events of a whole run; the last one ends it."""
MAX_ATTEMPTS = 2
_STEP_S = 0.02
_RESULT = {"statistics": {"holds_kept": 1, "total_problems": 1}}


async def run(url: str, lease_s: float) -> None:
    database = Database(url)
    claims = Claims(database, str(uuid.uuid4()), lease_s)
    rows = EventRows(database, Bell(url, EVENTS))
    held: set[tuple[str, int]] = set()
    renewing = asyncio.create_task(_renew(claims, held, lease_s / 4))
    print("ready", flush=True)
    while not renewing.done():
        with suppress(Unavailable, ClaimLost):
            claim = await claims.claim(time.time())
            if claim is not None:
                key = (claim.record.id, claim.number)
                held.add(key)
                try:
                    await _work(rows, claim, lease_s)
                finally:
                    held.remove(key)
                continue
        await asyncio.sleep(_STEP_S)


async def _renew(claims: Claims, held: set[tuple[str, int]], every_s: float) -> None:
    while True:
        with suppress(Unavailable):
            await claims.renew(held)
        await asyncio.sleep(every_s)


async def _work(rows: EventRows, claim: Claim, lease_s: float) -> None:
    record, now = claim.record, time.time()
    narrator = Narrator(record.id, record.language, record.created_at)
    narrator.resume(await rows.last(record.id), gap=False)
    feed = SharedFeed(rows, claim, narrator, lease_s)
    if record.attempts > MAX_ATTEMPTS:
        crashed = failure("job_crashed", "twice", memory.snapshot())
        await feed.end(crashed, Outcome("failed", now, now + 3600, "job_crashed", "twice"))
        return
    told = {"attempt": record.attempts}
    for number in range(1, STEPS):
        feed.tell(Event("detection", 10 * number, told, memory.snapshot()))
        await asyncio.sleep(_STEP_S)
        if feed.error is not None:
            raise feed.error
    last = Event("complete", 100, {**told, "result": _RESULT}, memory.snapshot())
    await feed.end(last, Outcome("done", now, now + 3600))


async def follow(url: str, job_id: str, after: int) -> None:
    database = Database(url)
    bell = Bell(url, EVENTS)
    print("ready", flush=True)
    async for part in await EventRows(database, bell).read(job_id, after):
        print(part.seq, len(part.json), int(part.begins), int(part.ends), flush=True)
    await bell.close()
    await database.close()


if __name__ == "__main__":
    what, arguments = sys.argv[1], sys.argv[2:]
    if what == "run":
        asyncio.run(run(arguments[0], float(arguments[1])))
    else:
        asyncio.run(follow(arguments[0], arguments[1], int(arguments[2])))
