"""The in-process engine alone, for what a healthy server never does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.app import create_app
from backend.engine import InProcessEngine, Job
from backend.events import Event
from backend.settings import ServiceSettings
from holdcheck import memory, pipeline
from holdcheck.errors import AnalysisCancelled, CorruptPhoto
from holdcheck.pipeline import StageEvent
from tests.backend import photos

JOB = Job("6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11", Path(__file__).parents[2] / "samples" / "twins.jpg")


def _settings(**settings: Any) -> ServiceSettings:
    return ServiceSettings(allow_dummy=True, yolo_weights="fake", clip_model="fake", **settings)


def _with_engine(test: Callable[[InProcessEngine], Awaitable[None]]) -> None:
    async def run() -> None:
        engine = InProcessEngine(_settings())
        await engine.start()
        try:
            await test(engine)
        finally:
            await engine.stop()

    asyncio.run(run())


async def _events(engine: InProcessEngine) -> list[Event]:
    return [event async for event in engine.analyze(JOB)]


def _pipeline_that(act: Callable[[], None]) -> Callable[..., Iterator[StageEvent]]:
    def analyze(*_: object, **__: object) -> Iterator[StageEvent]:
        yield StageEvent("detection", 10, {}, memory.snapshot())
        act()

    return analyze


def _raise(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def _do_nothing() -> None: ...


def test_an_unexpected_failure_is_an_internal_error_and_its_traceback_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "analyze", _pipeline_that(_raise(ZeroDivisionError("at /secret/path"))))

    async def test(engine: InProcessEngine) -> None:
        events = await _events(engine)
        assert (events[-1].step, events[-1].data["code"]) == ("error", "internal_error")
        assert "secret" not in str(events[-1].data)

    _with_engine(test)
    assert "ZeroDivisionError" in caplog.text


def test_a_photo_that_fails_late_is_an_error_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "analyze", _pipeline_that(_raise(CorruptPhoto("It is damaged."))))

    async def test(engine: InProcessEngine) -> None:
        last = (await _events(engine))[-1]
        assert (last.data["code"], last.data["detail"]) == ("photo_corrupt", "It is damaged.")

    _with_engine(test)


def test_the_next_job_runs_after_one_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    fates = iter((_raise(RuntimeError("first")), _do_nothing))
    monkeypatch.setattr(pipeline, "analyze", _pipeline_that(lambda: next(fates)()))

    async def test(engine: InProcessEngine) -> None:
        first, second = await asyncio.gather(_events(engine), _events(engine))
        assert (first[-1].step, second[-1].step) == ("error", "detection")

    _with_engine(test)


def test_leaving_stops_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = 0

    def analyze(*_: object, should_stop: Callable[[], bool], **__: object) -> Iterator[StageEvent]:
        nonlocal batches
        while not should_stop():
            batches += 1
            yield StageEvent("detection", 10, {}, memory.snapshot())
        raise AnalysisCancelled("stopped")

    monkeypatch.setattr(pipeline, "analyze", analyze)

    async def test(engine: InProcessEngine) -> None:
        reader = engine.analyze(JOB)
        while (await anext(reader)).step != "detection":
            pass
        await reader.aclose()  # which waits until the worker is free

    _with_engine(test)
    assert batches > 0


def test_a_silent_stream_is_kept_alive_by_comments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("backend.sse.HEARTBEAT_S", 0.05)
    monkeypatch.setattr(pipeline, "analyze", _pipeline_that(lambda: time.sleep(0.3)))
    app = create_app(_settings(data_dir=tmp_path))
    photo = (
        b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + photos.png(64, 64) + b"\r\n--x--\r\n"
    )
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/analyze-stream",
        "raw_path": b"/api/analyze-stream",
        "query_string": b"",
        "headers": [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"1000")],
    }
    body = iter([{"type": "http.request", "body": photo, "more_body": False}])
    sent: list[bytes] = []

    async def receive() -> Any:
        return next(body, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def run() -> None:
        async with app.router.lifespan_context(app):
            while app.state.service.engine.models is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            await app(scope, receive, send)

    asyncio.run(run())
    assert sent.count(b": ping\n\n") >= 3
    assert b'"step":"detection"' in b"".join(sent)


def test_an_unexpected_error_outside_a_stream_is_a_bare_500(tmp_path: Path) -> None:
    app = create_app(_settings(data_dir=tmp_path))
    app.state.service = None  # every route that asks it breaks

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/api/health")

    answer = asyncio.run(ask())
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "NoneType" not in answer.text
