"""What surrounds every request: its id, its line in the log, and an answer even where something broke."""

import logging
import re
import time
import uuid
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import respond_internal, respond_with_status
from backend.logs import request_id_var
from backend.metrics import Metrics

log = logging.getLogger(__name__)

MAX_HEADER_BYTES = 16 * 1024
"""Address and header fields together."""
REQUEST_ID_HEADER = "X-Request-ID"
_SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_PLAIN_PATH = re.compile(r"[\x21-\x7e]*")
_QUIET_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked every few seconds by whatever watches the container: logged at DEBUG."""


class RequestMiddleware:
    """Plain ASGI: it must not stand between a stream and its client."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        token = request_id_var.set(request_id)
        start = time.perf_counter()
        status = 0

        async def stamped_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, stamped_send)
        except Exception:
            log.exception("unexpected error")
            if not status:
                await respond_internal(request_id)(scope, receive, stamped_send)
        finally:
            _log_request(scope, status, time.perf_counter() - start)
            self._metrics.request_ended(scope, status, time.perf_counter() - start)
            request_id_var.reset(token)


class PlainPaths:
    """Answers 404 to a path with characters that none of ours has, before anything compares it.

    A route's pattern ends with `$`, which matches before a line break too: `/metrics` and a line break would
    be another path to who asks for keys, and the same to the router.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _PLAIN_PATH.fullmatch(scope["path"]):
            await self.app(scope, receive, send)
            return
        status = HTTPStatus.NOT_FOUND
        answer = respond_with_status(status, status.phrase, scope["state"]["request_id"])
        await answer(scope, receive, send)


class ShortHeaders:
    """Refuses a header longer than MAX_HEADER_BYTES with 431.

    The server stops reading one that does not end; one that comes whole at once it hands on, however long.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _header_bytes(scope) <= MAX_HEADER_BYTES:
            await self.app(scope, receive, send)
            return
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        detail = f"The request's header is longer than {MAX_HEADER_BYTES // 1024} KiB."
        answer = respond_with_status(status, detail, scope["state"]["request_id"], {"Connection": "close"})
        await answer(scope, receive, send)


class HeadAsGet:
    """HEAD wherever GET is (RFC 9110, section 9.3.2): monitors ask so. The server drops the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            # A copy: the server looks at its own to see that it was HEAD.
            as_get = {**scope, "method": "GET"}

            async def send_headers(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await send(message)
                    # Ended here: a stream would go on for as long as its job does.
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

            try:
                await self.app(as_get, receive, send_headers)
            finally:
                scope["route"] = as_get.get("route")
            return
        await self.app(scope, receive, send)


def _request_id(scope: Scope) -> str:
    """The client's own id where it is one that cannot hurt a log; else a new one."""
    offered = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    return offered if _SANE_ID.fullmatch(offered) else uuid.uuid4().hex


def _header_bytes(scope: Scope) -> int:
    fields = sum(len(name) + len(value) + len(": \r\n") for name, value in scope["headers"])
    return len(scope.get("raw_path", b"")) + len(scope["query_string"]) + fields


def _log_request(scope: Scope, status: int, took_s: float) -> None:
    level = logging.DEBUG if scope["path"] in _QUIET_PATHS and status < 400 else logging.INFO
    # The raw path is percent-encoded: no line break gets into the log. The query may hold anything: left out.
    path = scope.get("raw_path", b"").decode("ascii", "replace")[:200]
    extra = {
        "method": scope["method"],
        "path": path,
        "status": status or "gone",
        "took_ms": round(took_s * 1000),
    }
    log.log(level, "request", extra=extra)
