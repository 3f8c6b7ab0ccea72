"""How the service is: for people, for what watches the container, and for what routes to it."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from backend import __version__, openapi
from backend.deps import ServiceDep
from backend.errors import NotReady
from backend.service import Service
from holdcheck import memory
from holdcheck.classifier import ModelInfo
from holdcheck.result import ComponentStatus, MemoryUsage

router = APIRouter(tags=["health"])


class QueueStatus(BaseModel):
    running: int
    waiting: int


class Health(BaseModel):
    """What answers, and how well."""

    model_config = ConfigDict(json_schema_extra={"examples": [openapi.HEALTH_EXAMPLE]})

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="degraded: a lesser part stands in for a missing one, or one has no real weights and "
        "`is_dummy` is true; unavailable: photos are refused"
    )
    version: str
    component_status: ComponentStatus
    models: list[ModelInfo]
    memory: MemoryUsage
    is_dummy: bool = Field(description="a model without real weights answers: its answers mean nothing")
    error_reason: str | None = Field(
        description="what is missing or has no real weights, and what to do about it"
    )
    queue: QueueStatus
    keeps_corrections: bool = Field(
        description="corrected photos are kept for training where the climber shares them (KEEP_CORRECTIONS)"
    )
    key_required: bool = Field(description="everything else under /api/ wants a key")


class Ready(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"ready": True}]})

    ready: Literal[True] = True


class Alive(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"alive": True}]})

    alive: Literal[True] = True


@router.get("/api/health", summary="What answers, from which models, in how much memory")
async def health(service: ServiceDep) -> Health:
    models = service.engine.models
    load = service.jobs.load()
    return Health(
        status=_status(service),
        version=__version__,
        component_status=models.component_status if models else ComponentStatus(yolo=False, clip=False),
        models=models.infos if models else [],
        memory=memory.snapshot(),
        is_dummy=models.is_dummy if models else False,
        error_reason=models.error_reason if models else service.load_error or "the models are loading",
        queue=QueueStatus(running=load.running, waiting=load.waiting),
        keeps_corrections=service.settings.keep_corrections,
        key_required=bool(service.settings.keys),
    )


@router.get("/livez", summary="The process answers; it says nothing of the models")
async def livez() -> Alive:
    return Alive()


@router.get(
    "/readyz",
    summary="The models are loaded: photos are taken",
    responses=openapi.problems(NotReady),
)
async def readyz(service: ServiceDep) -> Ready:
    models = service.engine.models
    if models is None:
        raise NotReady(service.load_error or "The models are loading: try again in a moment.", 1)
    if not models.ready:
        raise NotReady(models.error_reason or "There is no detector.", 60)
    return Ready()


def _status(service: Service) -> Literal["ok", "degraded", "unavailable"]:
    models = service.engine.models
    if models is None or not models.ready:
        return "unavailable"
    return "degraded" if models.degraded or models.is_dummy else "ok"
