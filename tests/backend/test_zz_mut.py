"""One dashboard for both engines: with ENGINE=ray, /metrics has the embedded one's series and meanings."""

import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.util import find_spec

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.backend.conftest import StartServer
from tests.backend.server import ROOT, Server, start

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None,
    reason="NOT CHECKED: ENGINE=ray. Install: pip install -c constraints.txt -e '.[ray]'",
)
_FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake"}
_PHOTOS = 3
BREAK = """
from holdcheck import pipeline
analyze = pipeline.analyze
def broken(*a, **k):
    for event in analyze(*a, **k):
        if event.step == "complete":
            event.data["result"]["timings_ms"].pop("masks")
        yield event
pipeline.analyze = broken
"""
_NO_PHOTO = b"not a photo"

Series = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start(tmp_path_factory.mktemp("ray"), {**_FAKES, "ENGINE": "ray"}, prelude=BREAK)
    yield server
    server.stop(60)


@pytest.fixture(scope="module")
def embedded(start_server: StartServer) -> Server:
    return start_server(**_FAKES, ENGINE="embedded", JOB_TTL_S="3599")


def _series(server: Server) -> dict[Series, float]:
    text = server.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _after_photos(server: Server, wall: bytes) -> tuple[dict[Series, float], float]:
    """The metrics after photos that came together, and the sum of what their stages took, seconds."""
    with ThreadPoolExecutor(_PHOTOS) as phones:
        streams = list(phones.map(lambda _: server.events(wall), range(_PHOTOS)))
    server.post(_NO_PHOTO)
    stages_s = sum(sum(events[-1].data["result"]["timings_ms"].values()) for events in streams) / 1000
    return _series(server), stages_s


def _total(series: Mapping[Series, float], name: str, **labels: str) -> float:
    return sum(
        value
        for (known, with_), value in series.items()
        if known == name and labels.items() <= dict(with_).items()
    )


def _observations(series: Mapping[Series, float]) -> dict[Series, float]:
    """How often each histogram observed something; not those of requests, for the start asks, too."""
    return {
        known: value
        for known, value in series.items()
        if known[0].endswith("_count") and not known[0].startswith("holdcheck_http")
    }


def test_both_engines_have_the_same_series_and_they_say_the_same(
    on_ray: Server, embedded: Server, wall: bytes
) -> None:
    (ray, stages_s), (here, _) = (_after_photos(server, wall) for server in (on_ray, embedded))
    assert ray.keys() == here.keys()
    for series in (ray, here):
        assert _total(series, "holdcheck_jobs_ended_total", outcome="done") == _PHOTOS
        assert _total(series, "holdcheck_jobs", status="done") == _PHOTOS
        assert _total(series, "holdcheck_analysis_seconds_count") == _PHOTOS
        assert _total(series, "holdcheck_queue_wait_seconds_count") == _PHOTOS
        assert _total(series, "holdcheck_photo_bytes_sum") == _PHOTOS * len(wall) + len(_NO_PHOTO)
        assert _total(series, "holdcheck_refusals_total", code="photo_type_unsupported") == 1
        assert _total(series, "holdcheck_queue_limit") == 8
        assert _total(series, "holdcheck_queue_length") == _total(series, "holdcheck_analyses_running") == 0
        assert _total(series, "holdcheck_ready") == 1
        assert _total(series, "holdcheck_model_info", component="detector", is_dummy="true") == 1
    assert _observations(ray) == _observations(here)
    # Stages are measured where they run, and told here.
    assert _total(ray, "holdcheck_stage_seconds_sum") == pytest.approx(stages_s, abs=0.01)
    assert _total(ray, "holdcheck_analysis_seconds_sum") > stages_s
    # The second and third photo waited for the first.
    assert _total(ray, "holdcheck_queue_wait_seconds_sum") > 0
    assert _total(ray, "holdcheck_photo_pixels_sum") == _total(here, "holdcheck_photo_pixels_sum")


def test_ray_tells_of_replicas_what_the_document_says(on_ray: Server) -> None:
    document = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    promised = set(re.findall(r"^\| `(ray_\w+)` \|", document, re.MULTILINE))
    assert len(promised) > 5
    told: set[str] = set()
    deadline = time.monotonic() + 60
    while not promised <= told:  # each process sends its own every ten seconds
        assert time.monotonic() < deadline, promised - told
        time.sleep(0.5)
        told = set(re.findall(r"^(ray_\w+)\{", _of_the_node(on_ray), re.MULTILINE))


def _of_the_node(server: Server) -> str:
    """What the node's agent exports: it listens on several ports, and which is which nobody says."""
    family = psutil.Process(server.process.pid).children(recursive=True)
    for agent in (process for process in family if "DashboardAgent" in " ".join(process.cmdline())):
        for connection in agent.net_connections("tcp"):
            with suppress(httpx.HTTPError):
                if connection.status == psutil.CONN_LISTEN:
                    answer = httpx.get(f"http://127.0.0.1:{connection.laddr.port}/metrics", timeout=5)
                    if "ray_node_mem_used" in answer.text:
                        return answer.text
    return ""
