"""/docs: Swagger UI from our own origin: the page needs no other, and runs no inline script."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response

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
_REVALIDATE = {"Cache-Control": "no-cache"}


def _swagger_ui() -> Path:
    """Where fastapi-offline keeps Swagger UI's files. It is found, not imported: its code is not needed."""
    package = find_spec("fastapi_offline")
    assert package is not None
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "static"


_SWAGGER_UI = _swagger_ui()


@router.get("/docs", response_class=HTMLResponse)
async def docs() -> str:
    return _PAGE


@router.get("/docs/start.js")
async def start() -> Response:
    return Response(_START, media_type="text/javascript")


@router.get("/docs/swagger-ui-bundle.js")
async def script() -> Response:
    return FileResponse(
        _SWAGGER_UI / "swagger-ui-bundle.js", media_type="text/javascript", headers=_REVALIDATE
    )


@router.get("/docs/swagger-ui.css")
async def style() -> Response:
    return FileResponse(_SWAGGER_UI / "swagger-ui.css", media_type="text/css", headers=_REVALIDATE)
