"""What routes depend on. Whatever is wrong with an upload is an HTTP error here, before any stream starts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, cast, get_args

from fastapi import Depends, Request, Response

from backend.data_dir import drop_photo
from backend.errors import UnknownWallAngle
from backend.jobs import Job
from backend.messages import DEFAULT_LANGUAGE, negotiate
from backend.queue import Analysis
from backend.service import Service
from backend.settings import ServiceSettings
from backend.upload import receive_upload
from holdcheck import image, memory
from holdcheck.errors import PhotoNeedsTooMuchMemory
from holdcheck.result import WallAngle


def get_service(request: Request) -> Service:
    return cast(Service, request.app.state.service)


ServiceDep = Annotated[Service, Depends(get_service)]


async def posted_job(request: Request, service: ServiceDep) -> AsyncIterator[Job]:
    """Receive a photo and look at its header; the file is gone when the request is over, however it ends."""
    settings = service.settings
    photo = service.data_dir.new_photo()
    try:
        # Before the body: nobody uploads 20 MB to hear that there is no room.
        with service.upload():
            fields = await receive_upload(request, photo, settings.max_upload_bytes)
            wall_angle = _wall_angle(fields.get("wall_angle"))
            await asyncio.to_thread(_probe, photo, settings, service.engine.room_mb)
        yield Job(photo, wall_angle, DEFAULT_LANGUAGE)
    finally:
        drop_photo(photo)


JobDep = Annotated[Job, Depends(posted_job)]


async def streamed_analysis(
    request: Request, response: Response, service: ServiceDep, job: JobDep
) -> AsyncIterator[Analysis]:
    """The events of the posted job, worded in the client's language. A client that leaves cancels it."""
    # Joins the no-cache of FastAPI's stream. A proxy that compresses would hold events back.
    response.headers["Cache-Control"] = "no-store, no-transform"
    language = negotiate(request.headers.get("accept-language"))
    localised = Job(job.photo, job.wall_angle, language, job.id)
    async with aclosing(service.engine.analyze(localised)) as analysis:
        yield analysis


async def plain_analysis(service: ServiceDep, job: JobDep) -> AsyncIterator[Analysis]:
    """The same for an answer without messages, whose errors are in English as all HTTP errors are."""
    async with aclosing(service.engine.analyze(job)) as analysis:
        yield analysis


StreamedAnalysis = Annotated[Analysis, Depends(streamed_analysis)]
PlainAnalysis = Annotated[Analysis, Depends(plain_analysis)]


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
