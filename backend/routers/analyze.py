"""The main job: a photo in; holds, colours and problems out, streamed or in one piece."""

import asyncio

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from backend import openapi
from backend.deps import AcceptedJob, OwnerDep, ServiceDep
from backend.errors import JobCancelled, ShuttingDown, respond_with_code
from backend.service import Service
from backend.sse import EventStream
from backend.store import JobRecord
from backend.stored_document import StoredDocument
from holdcheck.result import Result

router = APIRouter(prefix="/api", tags=["analyze"])


@router.post(
    "/analyze-stream",
    summary="Analyse a photo, stage by stage",
    description=openapi.STREAM_DESCRIPTION,
    response_class=EventStream,
    responses=openapi.stream_responses(),
    openapi_extra=openapi.UPLOAD_BODY,
)
async def analyze_stream(job: AcceptedJob, service: ServiceDep) -> EventStream:
    return EventStream(await service.jobs.follow(job.id, 0))


@router.post(
    "/analyze",
    summary="Analyse a photo, in one answer",
    description=openapi.ANALYZE_DESCRIPTION,
    response_model=Result,
    responses=openapi.analyze_responses(),
    openapi_extra=openapi.UPLOAD_BODY,
)
async def analyze(request: Request, job: AcceptedJob, service: ServiceDep, owner: OwnerDep) -> Response:
    await _wait(request, service, job.id)
    job = await service.jobs.find(job.id, owner)
    return await _answer(request, service, job)


async def _answer(request: Request, service: Service, job: JobRecord) -> Response:
    if job.status == "done":
        # Validated where it was made.
        return StoredDocument(await service.jobs.open_result(job))
    if job.status == "failed":
        assert job.error_code is not None
        return respond_with_code(job.error_code, job.error_message or "", request.state.request_id)
    if job.status == "cancelled":
        raise JobCancelled(job.error_message)
    raise ShuttingDown(f"The server is shutting down: ask /api/jobs/{job.id} when it is back.")


async def _wait(request: Request, service: Service, job_id: str) -> None:
    ending = asyncio.ensure_future(service.jobs.wait(job_id))
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((ending, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            raise ClientDisconnect
    finally:
        ending.cancel()
        leaving.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
