"""What a climber put right about a result."""

from fastapi import APIRouter, Request, Response

from backend import openapi
from backend.deps import OwnerDep, ServiceDep
from backend.errors import CorrectionsNotFound
from backend.stored_document import StoredDocument
from holdcheck.corrections import Corrections

router = APIRouter(prefix="/api/jobs/{job_id}/corrections", tags=["jobs"])


@router.post(
    "",
    summary="Put the result right",
    description=openapi.CORRECTIONS_DESCRIPTION,
    response_model=Corrections,
    responses=openapi.post_corrections_responses(),
    openapi_extra=openapi.CORRECTIONS_BODY,
)
async def post_corrections(job_id: str, request: Request, service: ServiceDep, owner: OwnerDep) -> Response:
    job = await service.jobs.find(job_id, owner)
    return StoredDocument(await service.corrections.take(request, job, service.jobs))


@router.get(
    "",
    summary="What was put right",
    response_model=Corrections,
    responses={
        **openapi.corrections_responses(),
        **openapi.job_problems(CorrectionsNotFound),
    },
)
async def get_corrections(job_id: str, service: ServiceDep, owner: OwnerDep) -> Response:
    job = await service.jobs.find(job_id, owner)
    return StoredDocument(await service.corrections.find(job, service.jobs))
