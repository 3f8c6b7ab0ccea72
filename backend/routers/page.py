"""The front door. The phone's app, once it is built, is mounted here instead."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>holdcheck</title>
<p>holdcheck finds, colours and groups the holds on a photo of a climbing wall:
see <a href="docs">how to call it</a> and <a href="api/health">how it is</a>.</p>
</html>
"""


@router.get("/", response_class=HTMLResponse)
async def page() -> str:
    return _PAGE
