"""What Prometheus sees, read with the parser of its own client library."""

import asyncio
import random
import re
import string
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from backend.app import create_app
from backend.settings import ServiceSettings
from tests.backend.conftest import StartServer
from tests.backend.server import ROOT, Server, start

FAKES = {"YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake", "ALLOW_DUMMY": "1"}
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
_LABEL = re.compile(r"`(\w+)`")


@pytest.fixture(scope="module")
def quiet_server(start_server: StartServer) -> Server:
    """One that no other module's tests talk to, so that its counts are known."""
    return start_server(CLIP_MODEL="fake", ALLOW_DUMMY="1", MAX_QUEUE="5")


def _samples(server: Server) -> list[Sample]:
    return [
        sample
        for family in text_string_to_metric_families(server.get("/metrics").text)
        for sample in family.samples
    ]


def _value(server: Server, name: str, **labels: str) -> float:
    """The sum over the samples of that name with these labels."""
    return sum(
        sample.value
        for sample in _samples(server)
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def _values(server: Server) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every series and where it stands."""
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in _samples(server)}


def test_the_table_in_the_documents_is_what_comes_out(quiet_server: Server, wall: bytes) -> None:
    quiet_server.events(wall)
    quiet_server.get("/nowhere")
    text = quiet_server.get("/metrics").text
    exposed = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    rows = _ROW.findall((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"))
    assert {name: kind for name, kind, _ in rows} == exposed
    documented = {name: set(_LABEL.findall(labels)) for name, _, labels in rows}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = re.sub(r"_(bucket|count|sum)$", "", sample.name)
            assert set(sample.labels) - {"le"} == documented[name], name


def test_it_is_the_text_format_and_every_name_has_a_type_and_a_help(quiet_server: Server) -> None:
    answer = quiet_server.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    for family in text_string_to_metric_families(answer.text):
        assert family.type in {"counter", "gauge", "histogram"}, family.name
        assert family.documentation, family.name
        units = re.search(r"(mb|ms|mib|minutes)(_|$)", family.name)
        assert units is None, family.name  # base units: bytes and seconds


def test_an_analysis_is_counted_in_all_its_parts(quiet_server: Server, wall: bytes) -> None:
    before = _values(quiet_server)
    result = quiet_server.events(wall)[-1].data["result"]
    after = _values(quiet_server)

    def added(name: str, **labels: str) -> float:
        series = (name, frozenset(labels.items()))
        return after[series] - before.get(series, 0)

    for stage, ms in result["timings_ms"].items():
        assert added("holdcheck_stage_seconds_count", stage=stage) == 1
        assert added("holdcheck_stage_seconds_sum", stage=stage) == pytest.approx(ms / 1000)
    took_s = added("holdcheck_analysis_seconds_sum")
    assert sum(result["timings_ms"].values()) / 1000 <= took_s < 30
    assert added("holdcheck_queue_wait_seconds_count") == 1
    assert added("holdcheck_photo_bytes_sum") == len(wall)
    assert added("holdcheck_photo_pixels_sum") == result["image_width"] * result["image_height"]
    assert added("holdcheck_jobs_ended_total", outcome="done", code="") == 1
    assert added("holdcheck_jobs", status="done") == 1
    assert added("holdcheck_data_bytes") > 1000
    streams = {"route": "/api/analyze-stream", "method": "POST", "status": "200"}
    assert added("holdcheck_http_requests_total", **streams) == 1
    assert added("holdcheck_http_request_seconds_sum", route="/api/analyze-stream") >= took_s


def test_every_refusal_is_counted_by_its_code(quiet_server: Server) -> None:
    def refused(code: str) -> float:
        return _value(quiet_server, "holdcheck_refusals_total", code=code)

    before = {code: refused(code) for code in ("photo_type_unsupported", "job_not_found", "not_found")}
    quiet_server.post(b"not a photo")
    quiet_server.get("/api/jobs/unknown")
    httpx.head(f"{quiet_server.url}/api/jobs/unknown")
    quiet_server.get("/nowhere")
    assert {code: refused(code) - before[code] for code in before} == {
        "photo_type_unsupported": 1,
        "job_not_found": 2,
        "not_found": 1,
    }
    jobs = {"route": "/api/jobs/{job_id}", "status": "404"}
    assert _value(quiet_server, "holdcheck_http_requests_total", **jobs, method="HEAD") == 1


def test_a_cancelled_job_is_counted_as_such(slow_server: Server, wall: bytes) -> None:
    before = _value(slow_server, "holdcheck_jobs_ended_total", outcome="cancelled")
    job_id = slow_server.post(wall, "/api/jobs").json()["job_id"]
    assert httpx.delete(f"{slow_server.url}/api/jobs/{job_id}", timeout=30).status_code == 204
    counted = {"outcome": "cancelled", "code": "cancelled"}
    assert _value(slow_server, "holdcheck_jobs_ended_total", **counted) == before + 1


def test_whatever_is_asked_no_series_are_added(quiet_server: Server) -> None:
    dice = random.Random(7)

    def ask(client: httpx.Client) -> None:
        word = "".join(dice.choices(string.ascii_letters + "/%.", k=12))
        for path in (f"/{word}", f"/api/jobs/{word}", f"/api/jobs/{word}/events", f"/livez?{word}"):
            client.get(path)
        client.request(word[:4].upper().translate(str.maketrans("/%.", "XYZ")), "/api/health")
        client.post("/api/jobs", content=b"x", headers={"Content-Type": word, "X-Request-ID": word})

    with httpx.Client(base_url=quiet_server.url, timeout=30) as client:
        ask(client)
        before = _values(quiet_server).keys()
        for _ in range(30):
            ask(client)
    assert _values(quiet_server).keys() == before
    assert len(before) < 500


def test_the_gauges_say_what_health_says(quiet_server: Server) -> None:
    health = quiet_server.get("/api/health").json()
    samples = _samples(quiet_server)
    by_name: Mapping[str, float] = {sample.name: sample.value for sample in samples}
    assert by_name["holdcheck_memory_limit_bytes"] == health["memory"]["limit_mb"] * 2**20
    assert by_name["holdcheck_memory_rss_bytes"] == pytest.approx(health["memory"]["rss_mb"] * 2**20, rel=0.1)
    assert by_name["holdcheck_memory_peak_bytes"] >= by_name["holdcheck_memory_rss_bytes"]
    began_to_listen = time.time() - health["uptime_s"]
    assert -1 < began_to_listen - by_name["process_start_time_seconds"] < 60
    assert by_name["holdcheck_ready"] == health["ready"] == 1
    assert by_name["holdcheck_queue_limit"] == 5
    assert by_name["holdcheck_data_limit_bytes"] == 1024 * 2**20
    models = [sample.labels for sample in samples if sample.name == "holdcheck_model_info"]
    assert [model["component"] for model in models] == ["detector", "classifier"]
    for told, model in zip(health["models"], models, strict=True):
        expected = {name: str(value) for name, value in told.items()}
        assert {name: model[name] for name in told} == expected | {"is_dummy": expected["is_dummy"].lower()}
    (build,) = (sample.labels for sample in samples if sample.name == "holdcheck_build_info")
    assert build == {"version": health["version"]}


def test_scrapes_and_health_do_not_wait_for_an_analysis(slow_server: Server, wall: bytes) -> None:
    accepted = [slow_server.post(wall, "/api/jobs").json()["job_id"] for _ in range(2)]
    took: list[float] = []
    seen_running = False
    with httpx.Client(base_url=slow_server.url, timeout=30) as client:
        for _ in range(10):
            for path in ("/metrics", "/api/health", "/readyz"):
                begin = time.perf_counter()
                answer = client.get(path)
                took.append(time.perf_counter() - begin)
                seen_running |= "holdcheck_analyses_running 1.0" in answer.text
        assert "holdcheck_queue_length" in client.get("/metrics").text
        for job_id in accepted:
            client.delete(f"/api/jobs/{job_id}")
    assert seen_running
    assert sorted(took)[len(took) // 2] < 0.1  # on a machine that does much else


_SLOW_DISK = """
import os, pathlib, time
import backend.store as store
def slow(*_):
    time.sleep(2 if pathlib.Path("slow").exists() else 0)
os.fsync = os.fdatasync = slow
guarded = store.SqliteStore._guarded
store.SqliteStore._guarded = lambda self, action: (slow(), guarded(self, action))[1]
"""


def _post(server: Server, photo: bytes) -> None:
    with suppress(httpx.TransportError):  # the test ends before the disk does
        server.post(photo, "/api/jobs")


def test_they_do_not_wait_for_a_slow_disk_either(tmp_path: Path, wall: bytes) -> None:
    server = start(tmp_path, FAKES, prelude=_SLOW_DISK)
    (tmp_path / "slow").touch()
    try:
        posting = [threading.Thread(target=_post, args=(server, wall)) for _ in range(5)]
        for thread in posting:  # more than there are threads for the disk
            thread.start()
        while _value(server, "holdcheck_uploads") < len(posting):
            pass
        took = []
        for path in ("/metrics", "/api/health", "/readyz", "/livez") * 3:
            begin = time.perf_counter()
            assert server.get(path).status_code == 200
            took.append(time.perf_counter() - begin)
        assert _value(server, "holdcheck_uploads") == len(posting)  # all of them still wait for it
        assert max(took) < 1
    finally:
        server.process.kill()
        server.process.wait()
        for thread in posting:
            thread.join()


def test_two_applications_share_no_count(tmp_path: Path) -> None:
    async def count() -> list[float]:
        counts = []
        for name in ("first", "second"):
            settings = ServiceSettings(_env_file=None, data_dir=tmp_path / name)
            app = create_app(settings)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                await client.get("/livez")
                text = (await client.get("/metrics")).text
            await app.state.service.jobs.stop()
            families = text_string_to_metric_families(text)
            counts += [
                sample.value
                for family in families
                for sample in family.samples
                if sample.name == "holdcheck_http_requests_total"
            ]
        return counts

    assert asyncio.run(count()) == [1, 1]
