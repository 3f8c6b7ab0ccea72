"""What Prometheus scrapes."""

from typing import Any

from fastapi import APIRouter, Response

from backend import openapi
from backend.deps import ServiceDep
from backend.metrics import CONTENT_TYPE

router = APIRouter(tags=["health"])

_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Prometheus' text format; docs/metrics.md explains every name",
        "content": {"text/plain": {"example": openapi.METRICS_EXAMPLE}},
    }
}


@router.get(
    "/metrics",
    summary="What Prometheus scrapes",
    response_class=Response,
    responses=_ANSWER | openapi.problems(),
)
async def metrics(service: ServiceDep) -> Response:
    return Response(service.metrics.exposition(await service.standing()), media_type=CONTENT_TYPE)
