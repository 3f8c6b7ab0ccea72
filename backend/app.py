"""The application, made by a factory: tests and __main__ build one per configuration."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from backend import __version__, errors, openapi
from backend.access import AccessMiddleware
from backend.addresses import as_sockets_name_them
from backend.cors import Preflights, StampedForOrigins
from backend.data_dir import DataDir
from backend.engine import Engine, InProcessEngine
from backend.hosts import TrustedHosts
from backend.job_files import JobFiles
from backend.jobs import Jobs
from backend.kept import KeptCorrections
from backend.limits import LingeringClose
from backend.logs import log_models
from backend.metrics import Metrics
from backend.requests import REQUEST_ID_HEADER, HeadAsGet, PlainPaths, RequestMiddleware, ShortHeaders
from backend.routers import analyze, corrections, docs, health, jobs, metrics, page
from backend.security_headers import SecurityHeaders
from backend.service import Service
from backend.settings import ServiceSettings
from backend.store import SqliteStore
from backend.threads import started_pool
from backend.watch import Watch
from holdcheck.errors import HoldcheckError, ModelTampered, SettingsError

if TYPE_CHECKING:
    from backend.shared.jobs import SharedJobs

log = logging.getLogger(__name__)

_IO_THREADS = 4
"""For disk writes and photo headers. Each thread may keep a heap of its own, so: few."""


def create_app(settings: ServiceSettings) -> FastAPI:
    """The service under these settings; models load when it starts.

    Raises:
        BlockingIOError: another server uses DATA_DIR.
        OSError: DATA_DIR cannot be used.
        StoreUnusable: the jobs that are kept in it, or in DATABASE_URL, cannot be.
        StorageUnavailable: the store of files at DATA_URL cannot be used.
    """
    engine = _engine(settings)
    watch = Watch(Metrics())
    data_dir = DataDir(settings.data_dir)
    jobs_of = _shared_jobs if settings.shared else _own_jobs
    service = Service(settings, engine, jobs_of(settings, engine, watch, data_dir), watch)
    app = FastAPI(
        title="holdcheck",
        version=__version__,
        description=openapi.DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,  # ours: backend/routers/docs.py
        redoc_url=None,
        # Such a redirect is built from the Host header, which a client chose.
        redirect_slashes=False,
        openapi_tags=openapi.TAGS,
    )
    app.state.service = service
    app.include_router(analyze.router)
    app.include_router(jobs.router)
    app.include_router(corrections.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(docs.router)
    pages = page.page_router(page.DIST)
    app.include_router(pages)
    openapi.install(app, settings)
    _add_error_handlers(app)
    _add_middleware(app, settings, [route.path for route in pages.routes if isinstance(route, APIRoute)])
    return app


def _engine(settings: ServiceSettings) -> Engine:
    if settings.engine == "embedded":
        return InProcessEngine(settings)
    # Only here: it costs as much memory as all the rest.
    from backend.ray_engine import RayEngine

    return RayEngine(settings)


def _own_jobs(settings: ServiceSettings, engine: Engine, watch: Watch, data_dir: DataDir) -> Jobs:
    kept = KeptCorrections(data_dir.corrections, settings.max_data_bytes, open_=settings.keep_corrections)
    files = JobFiles(data_dir.jobs, settings.max_data_bytes, kept)
    store = SqliteStore(data_dir.store)
    data_dir.note_boot()
    return Jobs(settings, engine, store, files, watch, same_boot=data_dir.same_boot)


def _shared_jobs(settings: ServiceSettings, engine: Engine, watch: Watch, data_dir: DataDir) -> "SharedJobs":
    # Only here: one server needs neither library.
    from backend.shared.jobs import open_shared_jobs

    return open_shared_jobs(settings, engine, watch, data_dir.spool)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Listen at once, load meanwhile: /livez answers, /readyz follows."""
    service: Service = app.state.service
    asyncio.get_running_loop().set_default_executor(started_pool(_IO_THREADS, "io"))
    # Starlette sends files by threads of its own; it would start up to forty.
    anyio.to_thread.current_default_thread_limiter().total_tokens = 1
    await service.jobs.recover()
    loading = asyncio.create_task(_load_models(service))
    yield
    loading.cancel()
    await service.jobs.stop()
    await service.engine.stop()


async def _load_models(service: Service) -> None:
    start = time.perf_counter()
    try:
        await service.engine.start()
    except (ModelTampered, SettingsError) as error:
        service.load_error = str(error)
        service.must_stop = True
        return
    except Exception:
        log.exception("the models could not be loaded")
        service.load_error = "The models could not be loaded: the log says why."
        return
    log_models(service.engine.models, time.perf_counter() - start)
    if service.engine.models is not None and service.engine.models.ready:
        service.jobs.start()


def _add_middleware(app: FastAPI, settings: ServiceSettings, app_files: Collection[str]) -> None:
    """Innermost first."""
    app.add_middleware(HeadAsGet)
    app.add_middleware(AccessMiddleware, settings=settings, app_files=app_files)
    cors = _cors(settings)
    if settings.cors_origins:
        app.add_middleware(Preflights, **cors)
    if settings.trusted_hosts:
        app.add_middleware(TrustedHosts, hosts=settings.trusted_hosts)
    app.add_middleware(PlainPaths)
    app.add_middleware(ShortHeaders)
    app.add_middleware(LingeringClose)
    app.add_middleware(RequestMiddleware, metrics=app.state.service.metrics)
    if settings.cors_origins:
        app.add_middleware(StampedForOrigins, **cors)
    app.add_middleware(SecurityHeaders)
    if settings.trusted_proxies:
        app.add_middleware(
            ProxyHeadersMiddleware, trusted_hosts=as_sockets_name_them(settings.trusted_proxies)
        )


def _cors(settings: ServiceSettings) -> dict[str, Any]:
    return {
        "allow_origins": settings.cors_origins,
        "allow_methods": ["GET", "POST", "DELETE"],
        "allow_headers": [
            "Accept-Language",
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "Last-Event-ID",
            "X-API-Key",
            REQUEST_ID_HEADER,
        ],
        "expose_headers": [REQUEST_ID_HEADER, "Location", "Retry-After"],
    }


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(HoldcheckError)
    async def on_known_error(request: Request, error: HoldcheckError) -> Response:
        log.info("refused: %s", error, extra={"code": error.code})
        return errors.respond(error, request.state.request_id)

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> Response:
        return errors.respond_with_status(
            error.status_code, error.detail, request.state.request_id, error.headers
        )

    @app.exception_handler(RequestValidationError)
    async def on_invalid_request(request: Request, error: RequestValidationError) -> Response:
        detail = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return errors.respond_with_status(422, detail, request.state.request_id)

    @app.exception_handler(ClientDisconnect)
    async def on_disconnect(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=499)
