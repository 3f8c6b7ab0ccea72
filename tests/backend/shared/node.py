"""A server's part in running and following jobs, as a process of its own that a test may kill.

`run URL LEASE_S`: claim jobs, tell five events of each, end it, until standard input closes.
`follow URL JOB AFTER`: print each event's number and size, until the job ends.
"""

import asyncio
import sys
import time
import uuid

from backend.event_log import Line
from backend.shared.claims import Claim, ClaimLost, Claims
from backend.shared.database import EVENTS, Bell, Database
from backend.shared.events import EventRows
from backend.store import Outcome

STEPS = 5
"""Events of a whole run; the last one ends it."""
MAX_ATTEMPTS = 2
_STEP_S = 0.02


def line(seq: int, step: str, attempt: int, size: int = 0) -> Line:
    filling = "x" * size
    return Line(seq, f'{{"seq":{seq},"step":"{step}","attempt":{attempt},"x":"{filling}"}}'.encode())


async def run(url: str, lease_s: float) -> None:
    database = Database(url)
    claims = Claims(database, str(uuid.uuid4()), lease_s)
    events = EventRows(database, Bell(url, EVENTS))
    renewing = asyncio.create_task(_renew(claims, lease_s / 4))
    print("ready", flush=True)
    while True:
        claim = await claims.claim(time.time())
        if claim is None:
            await asyncio.sleep(_STEP_S)
        else:
            await _work(events, claim)
        assert not renewing.done()


async def _renew(claims: Claims, every_s: float) -> None:
    while True:
        await claims.renew()
        await asyncio.sleep(every_s)


async def _work(events: EventRows, claim: Claim) -> None:
    job_id, attempt = claim.record.id, claim.record.attempts
    last = await events.last(job_id)
    seq = last.seq if last else 0
    try:
        if attempt > MAX_ATTEMPTS:
            outcome = Outcome("failed", time.time(), time.time() + 3600, "job_crashed", "twice")
            await events.end(job_id, claim.number, outcome, line(seq + 1, "error", attempt))
            return
        for _ in range(STEPS - 1):
            seq += 1
            await events.append(job_id, claim.number, [line(seq, "step", attempt)])
            await asyncio.sleep(_STEP_S)
        outcome = Outcome("done", time.time(), time.time() + 3600)
        await events.end(job_id, claim.number, outcome, line(seq + 1, "complete", attempt))
    except ClaimLost:
        print("lost", job_id, flush=True)


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
