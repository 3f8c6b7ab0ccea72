"""The front door: the phone's app, as it lies built in frontend/dist, or where a wheel brought it."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import Headers
from starlette.staticfiles import StaticFiles

from backend.stored_document import in_pieces

_IN_WHEEL = Path(__file__).parents[1] / "page"
"""Where deploy/bundle.py puts the build, so that the wheel that it makes carries it."""
_IN_CHECKOUT = Path(__file__).parents[2] / "frontend" / "dist"
DIST = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_CHECKOUT

_NOT_BUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>holdcheck</title>
<p>The service runs; its app is not built: install npm and start it with <code>make run</code>, or see
<a href="docs">how to call it</a> and <a href="api/health">how it is</a>.</p>
</html>
"""

_FOREVER = "public, max-age=31536000, immutable"
"""For names that carry a hash of what is in them."""
_ASK_FIRST = "no-cache"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}
"""Said here, because the machine's own table of types may say otherwise."""


def page_router(dist: Path) -> APIRouter:
    """A route for each file of the build, and for nothing else: no path that a client sends is ever opened.

    Where there is no build, `/` says how to make it.
    """
    router = APIRouter(include_in_schema=False)
    if not (dist / "index.html").is_file():
        router.add_api_route("/", _not_built, response_class=HTMLResponse)
        return router
    folder = StaticFiles(directory=dist)
    for file in _files(dist):
        router.add_api_route(file.route, file.endpoint(folder), response_class=Response)
    return router


async def _not_built() -> str:
    return _NOT_BUILT


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    """Relative to the build's folder, with slashes."""
    zipped: bool
    """A .gz lies beside it."""

    @property
    def route(self) -> str:
        return "/" if self.name == "index.html" else f"/{self.name}"

    def endpoint(self, folder: StaticFiles) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            zipped = self.zipped and _takes_gzip(request.headers)
            answer = in_pieces(await folder.get_response(self.name + ".gz" * zipped, request.scope))
            headers = answer.headers
            headers["Cache-Control"] = _FOREVER if self.name.startswith("assets/") else _ASK_FIRST
            if kind := _TYPES.get(Path(self.name).suffix):
                headers["Content-Type"] = kind
            if self.zipped:
                headers["Vary"] = "Accept-Encoding"
            if zipped:
                headers["Content-Encoding"] = "gzip"
            return answer

        return serve


def _files(dist: Path) -> Iterator[_File]:
    names = {path.relative_to(dist).as_posix() for path in dist.rglob("*") if path.is_file()}
    for name in sorted(names):
        if not name.endswith(".gz"):
            yield _File(name, f"{name}.gz" in names)


def _takes_gzip(headers: Headers) -> bool:
    """RFC 9110, section 12.5.3, as far as browsers use it: gzip named, and not with a weight of nothing."""
    for item in headers.get("accept-encoding", "").split(","):
        coding, _, weight = item.partition(";")
        if coding.strip().lower() == "gzip":
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
