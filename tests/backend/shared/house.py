"""Servers on one database and one folder, in this process, with an engine that does what a test tells it."""

import asyncio
import json
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from backend.blobs import FolderBlobs
from backend.metrics import Metrics
from backend.settings import ServiceSettings
from backend.shared.binding import bind
from backend.shared.database import Database
from backend.shared.files import SharedFiles
from backend.shared.jobs import SharedJobs
from backend.store import JobRecord
from backend.watch import Watch
from tests.backend.engines import ScriptedEngine


class House:
    """One server of them."""

    def __init__(self, url: str, folder: Path, *, held: bool = False, **settings: Any) -> None:
        self.settings = ServiceSettings(
            _env_file=None, allow_dummy=True, yolo_weights="fake", clip_model="fake", **settings
        )
        self.engine = ScriptedEngine(self.settings, held=held)
        self.blobs = FolderBlobs(folder / "blobs")
        spool = folder / f"spool-{uuid.uuid4()}"
        self.files = SharedFiles(
            self.blobs,
            spool,
            self.settings.max_data_bytes,
            store_id=asyncio.run(bind(url, self.blobs, "file:blobs")),
            keeps_corrections=self.settings.keep_corrections,
        )
        self.database = Database(url)
        self.jobs = SharedJobs(self.settings, self.engine, self.database, self.files, Watch(Metrics()))

    async def open(self, *, run: bool = True) -> None:
        await self.jobs.recover()
        await self.engine.start()
        if run:
            self.jobs.start()

    async def post(self, key: str | None = None, **fields: Any) -> JobRecord:
        job_id = str(uuid.uuid4())
        self.files.create(job_id).write_bytes(b"photo")
        record = JobRecord(job_id, time.time(), idempotency_key=key, photo_sha256="sha")
        return await self.jobs.submit(replace(record, **fields))

    async def events(self, job_id: str, after: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line.json) async for line in await self.jobs.follow(job_id, after)]

    async def until(self, job_id: str, status: str, within_s: float = 20) -> JobRecord:
        async with asyncio.timeout(within_s):
            while (record := await self.jobs.find(job_id, "")).status != status:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return record
