"""/docs: Swagger UI from our own origin: the page needs no other, and runs no inline script."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from backend.stored_document import in_pieces

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>holdcheck: how to call it</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""


def _swagger_ui() -> Path:
    """Where fastapi-offline keeps Swagger UI's files. It is found, not imported: its code is not needed."""
    package = find_spec("fastapi_offline")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "static"


_SWAGGER_UI = StaticFiles(directory=_swagger_ui())


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> str:
    return _PAGE


@router.get("/docs/start.js")
async def start() -> Response:
    return Response(_START, media_type="text/javascript")


@router.get("/docs/swagger-ui-bundle.js")
async def script(request: Request) -> Response:
    return await _file("swagger-ui-bundle.js", "text/javascript; charset=utf-8", request)


@router.get("/docs/swagger-ui.css")
async def style(request: Request) -> Response:
    return await _file("swagger-ui.css", "text/css; charset=utf-8", request)


async def _file(name: str, media_type: str, request: Request) -> Response:
    """304 for who has it already."""
    answer = in_pieces(await _SWAGGER_UI.get_response(name, request.scope))
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["Content-Type"] = media_type
    return answer
