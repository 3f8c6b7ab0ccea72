"""How the service is: for people, for what watches the container, and for what routes to it."""

import time
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from backend import __version__, openapi
from backend.deps import ServiceDep
from backend.engine import LoadedModels
from backend.errors import NotReady
from backend.service import Service
from holdcheck import memory
from holdcheck.classifier import ModelInfo
from holdcheck.device import Device
from holdcheck.result import ComponentStatus, MemoryUsage

router = APIRouter(tags=["health"])


class QueueStatus(BaseModel):
    running: int
    waiting: int


class Health(BaseModel):
    """What answers, and how well."""

    model_config = ConfigDict(json_schema_extra={"examples": [openapi.HEALTH_EXAMPLE]})

    status: Literal["ok", "degraded", "unavailable"] = Field(
        description="degraded: a lesser part stands in for a missing one, one has no real weights and "
        "`is_dummy` is true, or the latest analyses failed; unavailable: photos are refused"
    )
    version: str
    component_status: ComponentStatus
    models: list[ModelInfo]
    device: Device | None = Field(description="where they compute, and why; null until they are loaded")
    memory: MemoryUsage
    is_dummy: bool = Field(description="a model without real weights answers: its answers mean nothing")
    error_reason: str | None = Field(
        description="what is missing, has no real weights or goes wrong, and what to do about it"
    )
    queue: QueueStatus
    ready: bool = Field(description="as /readyz says")
    uptime_s: float = Field(description="since the server began to listen")
    timings_ms: dict[str, float] | None = Field(
        description="what the stages of the last finished analysis took; null before the first"
    )
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
    # Nothing here asks the disk or another thread.
    models = service.engine.models
    load = service.jobs.load()
    not_ready = service.not_ready()
    return Health(
        status=_status(service),
        version=__version__,
        component_status=models.component_status if models else ComponentStatus(yolo=False, clip=False),
        models=models.infos if models else [],
        device=models.device if models else None,
        memory=memory.snapshot(),
        is_dummy=models.is_dummy if models else False,
        error_reason=_reason(not_ready, models),
        queue=QueueStatus(running=load.running, waiting=load.waiting),
        ready=not_ready is None,
        uptime_s=round(time.monotonic() - service.started_at, 1),
        timings_ms=service.watch.timings_ms,
        keeps_corrections=service.settings.keep_corrections,
        key_required=bool(service.settings.keys),
    )


@router.get("/livez", summary="The process answers; it says nothing of the models")
async def livez() -> Alive:
    return Alive()


@router.get(
    "/readyz",
    summary="Photos should be sent here: the models are loaded, and analyses go well",
    responses=openapi.problems(NotReady),
)
async def readyz(service: ServiceDep) -> Ready:
    not_ready = service.not_ready()
    if not_ready is not None:
        raise not_ready
    return Ready()


def _status(service: Service) -> Literal["ok", "degraded", "unavailable"]:
    models = service.engine.models
    if models is None or not models.ready or service.watch.stuck:
        return "unavailable"
    lesser = models.degraded or models.is_dummy or service.not_ready() is not None
    return "degraded" if lesser else "ok"


def _reason(not_ready: NotReady | None, models: LoadedModels | None) -> str | None:
    reasons = (str(not_ready) if not_ready else None, models.error_reason if models else None)
    return " ".join(dict.fromkeys(reason for reason in reasons if reason)) or None
