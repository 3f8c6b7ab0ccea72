"""CORS_ORIGINS: which pages of other origins may call the service, as starlette has it.

In two parts, because they belong at two places: every answer is stamped, an internal error too; and a
preflight is answered where requests have an id and the server's name has been looked at.
"""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backend.errors import OriginNotAllowed, respond


class StampedForOrigins(CORSMiddleware):
    """Tells browsers which page may read an answer. It answers nothing itself."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        await self.simple_response(scope, receive, send, request_headers=Headers(scope=scope))


class Preflights(CORSMiddleware):
    """Answers them; what it refuses is a problem like all others."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_preflight(scope):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer: Response = self.preflight_response(headers)
        if answer.status_code != Response().status_code:
            # It says which of origin, method and headers.
            said = bytes(answer.body).decode()
            error = OriginNotAllowed(f"{said}: pages of this origin may not ask so (CORS_ORIGINS).")
            refusal = respond(error, scope["state"]["request_id"])
            for name, value in answer.headers.items():
                if name not in ("content-type", "content-length"):
                    refusal.headers[name] = value
            answer = refusal
        await answer(scope, receive, send)


def _is_preflight(scope: Scope) -> bool:
    if scope["type"] != "http" or scope["method"] != "OPTIONS":
        return False
    headers = Headers(scope=scope)
    return "origin" in headers and "access-control-request-method" in headers
