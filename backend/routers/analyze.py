"""The main job: a photo in; holds, colours and problems out, streamed or in one piece."""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import ClientDisconnect

from backend import openapi
from backend.deps import PlainAnalysis, StreamedAnalysis
from backend.errors import respond_with_code
from backend.events import Event
from backend.queue import Analysis
from holdcheck.result import Result

router = APIRouter(prefix="/api", tags=["analyze"])


@router.post(
    "/analyze-stream",
    summary="Analyse a photo, stage by stage",
    description=openapi.STREAM_DESCRIPTION,
    response_class=EventSourceResponse,
    responses=openapi.stream_responses(),
    openapi_extra=openapi.UPLOAD_BODY,
)
async def analyze_stream(analysis: StreamedAnalysis) -> AsyncIterator[ServerSentEvent]:
    # FastAPI adds a keep-alive comment every 15 s, which waiting streams need.
    async for event in analysis:
        yield ServerSentEvent(id=str(event.seq), raw_data=event.json)


@router.post(
    "/analyze",
    summary="Analyse a photo, in one answer",
    description="The same as `complete` carries in the stream. A client that hangs up cancels its analysis.",
    response_model=Result,
    responses=openapi.analyze_responses(),
    openapi_extra=openapi.UPLOAD_BODY,
)
async def analyze(request: Request, analysis: PlainAnalysis) -> Response:
    last = await _last_event(request, analysis)
    if last.step == "error":
        return respond_with_code(last.data["code"], last.message, request.state.request_id)
    # Up to a megabyte of contours: dumped off the loop, and validated where it was made.
    body = await asyncio.to_thread(json.dumps, last.data["result"], separators=(",", ":"))
    return Response(body, media_type="application/json")


async def _last_event(request: Request, analysis: Analysis) -> Event:
    reading = asyncio.ensure_future(_read_to_end(analysis))
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((reading, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise ClientDisconnect
        return reading.result()
    finally:
        reading.cancel()
        leaving.cancel()


async def _read_to_end(analysis: Analysis) -> Event:
    last: Event | None = None
    async for event in analysis:
        last = event
    assert last is not None
    return last


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
