"""What routes depend on. Whatever is wrong with an upload is an HTTP error here, before any stream starts."""

import asyncio
import re
import time
import uuid
from pathlib import Path
from typing import Annotated, cast, get_args

from fastapi import Depends, Request

from backend.addresses import client_of
from backend.errors import IdempotencyKeyInvalid, UnknownWallAngle
from backend.limits import ENVELOPE_BYTES
from backend.messages import negotiate
from backend.service import Service
from backend.settings import ServiceSettings
from backend.store import JobRecord
from backend.upload import receive_upload
from holdcheck import image, memory
from holdcheck.errors import PhotoNeedsTooMuchMemory
from holdcheck.result import WallAngle

_IDEMPOTENCY_KEY = re.compile(r'"?([\x21\x23-\x5b\x5d-\x7e]{1,255})"?')
"""A structured string, as the draft standard has it, or the same without its quotes, as most clients send."""


# Dependencies are coroutines, these two for no other reason: FastAPI runs plain functions on threads.


async def get_service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(get_service)]


async def owner(request: Request) -> str:
    """Whose jobs a request may see: its key's, or while there are no keys those without an owner."""
    return cast(str, request.state.owner)


OwnerDep = Annotated[str, Depends(owner)]


async def accepted_job(request: Request, service: ServiceDep, owner: OwnerDep) -> JobRecord:
    """Receive a photo, look at its header, and take it as a job; or find the one that it is already."""
    key = _idempotency_key(request)
    # Who only asks again for what was accepted needs no place in the queue.
    known = key is not None and await service.jobs.by_key(owner, key) is not None
    # Before the body: nobody uploads 20 MB to hear that there is no room.
    expected = _expected_bytes(request, service.settings)
    with service.upload(expected, client(request), known=known):
        job_id = str(uuid.uuid4())
        photo = await asyncio.to_thread(service.jobs.files.create, job_id)
        handed_over = False
        try:
            upload = await receive_upload(request, photo, service.settings.max_upload_bytes)
            service.metrics.photo_arrived(upload.photo_bytes)
            wall_angle = _wall_angle(upload.fields.get("wall_angle"))
            await asyncio.to_thread(_probe, photo, service.settings, service.engine.room_mb)
            language = negotiate(request.headers.get("accept-language"))
            record = JobRecord(job_id, time.time(), language, wall_angle, owner, key, upload.sha256)
            handed_over = True
            return await service.jobs.submit(record)
        finally:
            if not handed_over:
                # Not on a thread: a request that is being cancelled does not get to wait for one.
                service.jobs.files.discard(job_id)


AcceptedJob = Annotated[JobRecord, Depends(accepted_job)]


def client(request: Request) -> str:
    """Who sends it, by address: a key may be a whole gym's."""
    return client_of(request.client.host if request.client else None)


def _idempotency_key(request: Request) -> str | None:
    offered = request.headers.get("idempotency-key")
    if offered is None:
        return None
    match = _IDEMPOTENCY_KEY.fullmatch(offered.strip())
    if match is None:
        raise IdempotencyKeyInvalid(
            "Idempotency-Key takes 1 to 255 visible ASCII characters, such as a UUID."
        )
    return match[1]


def _expected_bytes(request: Request, settings: ServiceSettings) -> int:
    declared = request.headers.get("content-length", "")
    most = settings.max_upload_bytes + ENVELOPE_BYTES
    return min(int(declared), most) if declared.isdecimal() else most


def _wall_angle(value: str | None) -> WallAngle | None:
    if not value:
        return None
    for known in get_args(WallAngle):
        if value == known:
            return cast(WallAngle, known)
    raise UnknownWallAngle(f"wall_angle takes {', '.join(get_args(WallAngle))}; leave it out if unknown.")


def _probe(photo: Path, settings: ServiceSettings, room_mb: float) -> None:
    """Refuse what can be refused from the header. What is left right then decides again at the decode."""
    header = image.probe(photo, settings.max_image_megapixels)
    needed = image.estimate_decode_mib(header, settings.max_image_size)
    room_mb = max(room_mb, memory.snapshot().available_mb)
    if needed > room_mb:
        raise PhotoNeedsTooMuchMemory(
            f"Decoding this {header.format} of {header.megapixels:.0f} megapixels needs {needed:.0f} MiB of "
            f"memory; this server has {room_mb:.0f} to spare. Send it smaller, or as a baseline JPEG."
        )
