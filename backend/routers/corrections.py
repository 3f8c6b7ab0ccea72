"""What a person put right, sent back by the phone."""

import asyncio

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from backend import corrections, openapi
from backend.corrections import Corrections
from backend.deps import OwnerDep, ServiceDep
from backend.errors import CorrectionsInvalid, JobNotDone, JobNotFound, StorageFull, StorageUnavailable
from backend.limits import capped_body
from holdcheck.errors import PhotoTooManyBytes
from holdcheck.result import Result

router = APIRouter(prefix="/api/jobs", tags=["jobs"])

DESCRIPTION = """All corrections of a result, in order; they take the place of those that were sent before.
They are checked against the result, kept beside it, and go with it."""

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Corrections"}}},
    }
}


class CorrectionsAnswer(BaseModel):
    """What is kept now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"job_id": openapi.JOB_ID, "corrections": 1}]})

    job_id: str
    corrections: int = Field(description="how many are kept")


@router.post(
    "/{job_id}/corrections",
    summary="Put right what the machine got wrong",
    description=DESCRIPTION,
    responses=openapi.problems(CorrectionsInvalid, JobNotFound, JobNotDone, StorageFull, StorageUnavailable),
    openapi_extra=_BODY,
)
async def post_corrections(
    job_id: str, request: Request, service: ServiceDep, owner: OwnerDep
) -> CorrectionsAnswer:
    job = await service.jobs.find(job_id, owner)
    if job.status != "done":
        raise JobNotDone("Only a result can be corrected: this analysis has none, or not yet.")
    body = await _body(request)
    kept = await asyncio.to_thread(_checked, body, await service.jobs.result(job.id))
    await asyncio.to_thread(service.jobs.files.write_corrections, job.id, kept.model_dump_json().encode())
    return CorrectionsAnswer(job_id=job.id, corrections=len(kept.corrections))


async def _body(request: Request) -> bytes:
    try:
        return b"".join([chunk async for chunk in capped_body(request, corrections.MAX_BYTES)])
    except PhotoTooManyBytes:
        raise CorrectionsInvalid("A list of corrections has at most 1 MiB.") from None


def _checked(body: bytes, result: bytes) -> Corrections:
    parsed = corrections.parse(body)
    corrections.check(parsed, Result.model_validate_json(result))
    return parsed
