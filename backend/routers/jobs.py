"""An analysis apart from its connection: start it, ask for it, follow it, delete it."""

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from backend import openapi
from backend.deps import AcceptedJob, OwnerDep, ServiceDep
from backend.errors import JobCancelled, JobNotFound, LastEventIdInvalid, StorageFull
from backend.event_log import Line
from backend.messages import error_message, negotiate
from backend.sse import EventStream
from backend.store import JobRecord, Status
from backend.stored_document import StoredDocument
from holdcheck.result import Result

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

_EVENT_NUMBER = re.compile(r"[0-9]{1,19}")


class AcceptedAnswer(BaseModel):
    """A job that will be answered."""

    model_config = ConfigDict(json_schema_extra={"examples": [openapi.ACCEPTED_EXAMPLE]})

    job_id: str
    status: Status


class JobFailure(BaseModel):
    code: str = Field(description="stable, for programs")
    message: str = Field(description="Korean or English by Accept-Language")


class JobAnswer(BaseModel):
    """A job as it stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [openapi.JOB_EXAMPLE]})

    job_id: str
    status: Status
    created_at: datetime
    position: int | None = Field(description="analyses ahead of it while it is queued")
    result: Result | None = Field(description="once it is done")
    error: JobFailure | None = Field(description="once it has failed or was cancelled")


@router.post(
    "",
    status_code=202,
    summary="Take a photo, answer later",
    description=openapi.POST_JOB_DESCRIPTION,
    response_model=AcceptedAnswer,
    responses=openapi.post_job_responses(),
    openapi_extra=openapi.UPLOAD_BODY,
)
async def post_job(job: AcceptedJob, response: Response) -> AcceptedAnswer:
    response.headers["Location"] = f"/api/jobs/{job.id}"
    return AcceptedAnswer(job_id=job.id, status=job.status)


@router.get(
    "/{job_id}",
    summary="How it stands, with its result once it is done",
    response_model=JobAnswer,
    responses=openapi.job_problems(),
)
async def get_job(job_id: str, request: Request, service: ServiceDep, owner: OwnerDep) -> Response:
    job = await service.jobs.find(job_id, owner)
    position = service.jobs.position(job.id) if job.status == "queued" else None
    answer = _answer(job, position, _error(job, request.headers.get("accept-language")))
    if job.status != "done":
        return Response(answer + b"null}", media_type="application/json")
    return StoredDocument(await service.jobs.open_result(job), answer, b"}")


@router.get(
    "/{job_id}/events",
    summary="Its events, from the first or from Last-Event-ID on",
    description=openapi.EVENTS_DESCRIPTION,
    response_class=EventStream,
    responses=openapi.events_responses(),
)
async def get_events(
    job_id: str,
    service: ServiceDep,
    owner: OwnerDep,
    last_event_id: Annotated[str, Header(description="the `id` of the last event that arrived")] = "",
) -> Response:
    after = _event_number(last_event_id)
    job = await service.jobs.find(job_id, owner)
    if job.status == "cancelled":
        raise JobCancelled(job.error_message)
    lines = await service.jobs.follow(job.id, after)
    if not job.ended:
        return EventStream(lines)
    first = await anext(lines, None)
    # 204 tells an EventSource, which comes back whenever a stream ends, that it has everything.
    return Response(status_code=204) if first is None else EventStream(_with_first(first, lines))


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Cancel it where it has not ended, and erase its photo and results",
    description=openapi.DELETE_DESCRIPTION,
    responses=openapi.job_problems(StorageFull),
)
async def delete_job(job_id: str, service: ServiceDep, owner: OwnerDep) -> Response:
    try:
        await service.jobs.delete(await service.jobs.find(job_id, owner))
    except JobNotFound:
        if not await service.jobs.forget_shared(job_id, owner):
            raise
    return Response(status_code=204)


def _event_number(last_event_id: str) -> int:
    if not last_event_id:
        return 0
    # Its length first: Python refuses to read a number of thousands of digits.
    if not _EVENT_NUMBER.fullmatch(last_event_id):
        raise LastEventIdInvalid
    return int(last_event_id)


def _answer(job: JobRecord, position: int | None, error: dict[str, str] | None) -> bytes:
    """A JobAnswer up to its result, which goes in as it lies on the disk."""
    answer = {
        "job_id": job.id,
        "status": job.status,
        "created_at": datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="milliseconds"),
        "position": position,
        "error": error,
    }
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    return text.encode()[:-1] + b',"result":'


def _error(job: JobRecord, accept_language: str | None) -> dict[str, str] | None:
    if job.error_code is None:
        return None
    message = error_message(job.error_code, negotiate(accept_language), job.error_message or "")
    return {"code": job.error_code, "message": message}


async def _with_first(first: Line, rest: AsyncIterator[Line]) -> AsyncIterator[Line]:
    yield first
    async for line in rest:
        yield line
