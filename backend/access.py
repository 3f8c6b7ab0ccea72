"""Who gets in: the key and the rate limit, asked before a byte of the body is read."""

import logging
from collections.abc import Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from backend.addresses import client_of
from backend.auth import Doorkeeper, Keys
from backend.errors import RateLimited, ServiceError, respond
from backend.rate_limit import RateLimiter
from backend.settings import ServiceSettings

log = logging.getLogger(__name__)

OPEN = frozenset(
    {
        "/",
        "/livez",
        "/readyz",
        "/api/health",
        "/docs",
        "/docs/start.js",
        "/docs/swagger-ui-bundle.js",
        "/docs/swagger-ui.css",
        "/openapi.json",
    }
)
"""What is for everybody, beside the app's files: the pages, the description and the probes. They tell of no
photo and nobody's job; /api/health, because a front page needs it before it has a key."""
WORK_PATHS = frozenset({"/api/analyze", "/api/analyze-stream", "/api/jobs"})
"""Where a POST brings a photo: what RATE_LIMIT counts. Asking for answers is cheap and is not counted."""


def needs_key(path: str) -> bool:
    """Whether a path that is none of the app's files is for key holders: what nobody opened is shut."""
    return path not in OPEN


class AccessMiddleware:
    """Puts the owner into the request's state: for whom there is none, no job can be reached.

    Args:
        app_files: paths of the phone's app, which are for everybody.
    """

    def __init__(self, app: ASGIApp, settings: ServiceSettings, app_files: Collection[str] = ()) -> None:
        self.app = app
        self._app_files = frozenset(app_files)
        keys = Keys(settings.keys)
        self._doorkeeper = Doorkeeper(keys) if keys else None
        self._limiter = RateLimiter(settings.rate_limit) if settings.rate_limit else None
        self._warns_of_proxies = not settings.trusted_proxies and bool(keys or settings.rate_limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self._warn_of_proxy(scope)
        try:
            self._admit(scope)
        except ServiceError as error:
            log.info("refused: %s", error, extra={"code": error.code})
            await respond(error, scope["state"]["request_id"])(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        peer = scope.get("client")
        client = client_of(peer[0] if peer else None)
        state = scope["state"]
        if self._doorkeeper is None:
            state["owner"] = ""
        elif needs_key(scope["path"]) and scope["path"] not in self._app_files:
            client = state["owner"] = self._doorkeeper.owner(scope["headers"], client)
        if self._limiter is not None and scope["method"] == "POST" and scope["path"] in WORK_PATHS:
            wait_s = self._limiter.take(client)
            if wait_s:
                raise RateLimited("You send photos faster than this server lets you (RATE_LIMIT).", wait_s)

    def _warn_of_proxy(self, scope: Scope) -> None:
        if self._warns_of_proxies and any(name == b"x-forwarded-for" for name, _ in scope["headers"]):
            self._warns_of_proxies = False
            log.warning(
                "a request came with X-Forwarded-For, and TRUSTED_PROXIES is empty: where a proxy stands in "
                "front, all its clients count as one"
            )
