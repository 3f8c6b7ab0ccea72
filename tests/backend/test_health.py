"""How the service says how it is."""

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdcheck.result import MemoryUsage
from tests.backend.conftest import StartServer
from tests.backend.server import LEFT_BY_A_KILLED_SERVER, Server, problem


def test_health_names_each_model_its_source_and_its_checksum(server: Server) -> None:
    health = server.get("/api/health").json()
    assert health.keys() == {
        "status",
        "version",
        "component_status",
        "models",
        "device",
        "memory",
        "is_dummy",
        "error_reason",
        "queue",
        "ready",
        "uptime_s",
        "timings_ms",
        "keeps_corrections",
        "key_required",
    }
    assert [model["name"] for model in health["models"]] == ["holds-yolo11n-seg", "holdclip"]
    for model in health["models"]:
        assert model["source"] == "bundled"
        assert len(model["sha256"]) == 64
        assert model.keys() == {"name", "source", "precision", "sha256", "is_dummy"}
    assert MemoryUsage.model_validate(health["memory"]).rss_mb > 20
    assert health["device"] == {"kind": "cpu", "reason": "RUNTIME=onnx knows nothing else"}


def test_a_default_install_is_whole_and_its_log_says_which_clip_answers(server: Server) -> None:
    health = server.get("/api/health").json()
    assert health["status"] == "ok"
    assert health["component_status"] == {"yolo": True, "clip": True}
    assert health["error_reason"] is None
    assert health["is_dummy"] is False
    assert "the bundled holdclip names colours; `make models` prepares ViT-B/32" in server.log()
    assert "[CLIP-FALLBACK]" not in server.log()


def test_without_the_clip_asked_for_the_service_is_degraded_and_says_what_to_do(
    start_server: StartServer, wall: bytes
) -> None:
    server = start_server(CLIP_MODEL="ViT-L/14", MAX_HOLDS="3")
    health, result = server.get("/api/health").json(), server.post(wall, "/api/analyze").json()
    assert health["status"] == "degraded"
    for answer in (health, result):
        assert answer["component_status"] == {"yolo": True, "clip": False}
        assert "prepare --clip ViT-L/14" in answer["error_reason"]
        assert answer["is_dummy"] is False
    assert result["degraded"] is True
    assert [model["name"] for model in health["models"]] == ["holds-yolo11n-seg", "holdclip"]
    assert "[CLIP-FALLBACK]" in server.log()


def test_probes_answer_and_are_not_cached(server: Server) -> None:
    for path in ("/livez", "/readyz"):
        answer = server.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"


def test_the_server_is_ready_in_a_second_and_a_half(server: Server) -> None:
    # Processor time: the wall clock is for `make bench`, on a quiet machine.
    assert server.start_cpu_s < 1.5


def test_without_a_detector_it_lives_but_is_not_ready(start_server: StartServer, wall: bytes) -> None:
    server = start_server(YOLO_WEIGHTS="never-prepared")
    assert server.get("/livez").status_code == 200
    refused = (server.get("/readyz"), server.post(wall), server.post(wall, "/api/analyze"))
    for answer in refused:
        assert (answer.status_code, problem(answer)["code"]) == (503, "not_ready")
        assert int(answer.headers["retry-after"]) > 0
        assert "never-prepared" in problem(answer)["detail"]
    health = server.get("/api/health").json()
    assert health["status"] == "unavailable"
    assert health["component_status"]["yolo"] is False
    assert "never-prepared" in health["error_reason"]


def test_a_dummy_says_so_everywhere(start_server: StartServer, wall: bytes) -> None:
    server = start_server(YOLO_WEIGHTS="never-prepared", ALLOW_DUMMY="1")
    assert server.get("/readyz").status_code == 200
    health = server.get("/api/health").json()
    for answer in (
        health,
        server.post(wall, "/api/analyze").json(),
        server.events(wall)[-1].data["result"],
    ):
        assert answer["is_dummy"] is True
        assert "A fake answers for YOLO_WEIGHTS=never-prepared" in answer["error_reason"]
    assert health["status"] == "degraded"


def test_random_weights_are_a_reason_though_nothing_is_missing(
    start_server: StartServer, true_size_models: Path, wall: bytes
) -> None:
    server = start_server(MODELS_DIR=str(true_size_models), MAX_HOLDS="3")
    health, result = server.get("/api/health").json(), server.post(wall, "/api/analyze").json()
    assert health["status"] == "degraded"
    assert health["component_status"] == {"yolo": True, "clip": True}
    for answer in (health, result):
        assert answer["is_dummy"] is True
        assert answer["error_reason"] == "CLIP_MODEL=ViT-B/32 has random weights: its answers mean nothing."
    assert result["degraded"] is False  # nothing lesser stood in


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/api/health", "/"])
def test_head_answers_as_get_without_a_body(server: Server, path: str) -> None:
    answer = httpx.head(server.url + path)
    assert answer.status_code == 200
    assert int(answer.headers["content-length"]) > 0
    assert answer.content == b""


def test_the_start_says_where_what_how_much_and_what_to_try(server: Server) -> None:
    log = server.log()
    detector = server.get("/api/health").json()["models"][0]
    assert f"listens on {server.url}" in log
    assert f"curl -N -F image=@PHOTO.jpg {server.url}/api/analyze-stream" in log
    assert f"model {detector['name']}" in log
    assert "computes on the CPU: RUNTIME=onnx knows nothing else" in log
    assert "[memory] yolo loaded: " in log
    assert "ready, models loaded in" in log


def test_json_logs_are_one_object_a_line_with_one_request_id(variant_server: Server, wall: bytes) -> None:
    variant_server.post(wall, headers={"X-Request-ID": "from-the-phone.1"})
    mine = _lines_of(variant_server, "from-the-phone.1")
    stages = {line["step"]: line for line in mine if "step" in line}
    assert {"detection", "detection_complete", "complete"} <= stages.keys()
    assert all(MemoryUsage.model_validate(line["memory"]) for line in stages.values())
    assert mine[-1]["message"] == "request"
    assert (mine[-1]["status"], mine[-1]["path"]) == (200, "/api/analyze-stream")


def _lines_of(server: Server, request_id: str) -> list[dict[str, Any]]:
    """A request's log lines, once its last one is there: it is written after the answer."""
    deadline = time.monotonic() + 5
    while True:
        lines = [json.loads(line) for line in server.log().splitlines()]
        mine = [line for line in lines if line["request_id"] == request_id]
        if mine[-1]["message"] == "request":
            return mine
        assert time.monotonic() < deadline


def test_text_logs_carry_the_request_id_and_the_memory(server: Server, wall: bytes) -> None:
    server.post(wall, headers={"X-Request-ID": "textline"})
    mine = [line for line in server.log().splitlines() if "[textline]" in line]
    assert any("detection_complete" in line and "rss=" in line and "holds_count=" in line for line in mine)


def test_photos_of_a_killed_server_are_gone_after_the_next_start(server: Server) -> None:
    assert not (server.data_dir / "jobs" / LEFT_BY_A_KILLED_SERVER).exists()


def test_paths_that_do_not_exist_are_problems(server: Server) -> None:
    answer = server.get("/api/nothing")
    assert answer.status_code == 404
    assert problem(answer)["code"] == "not_found"


def test_a_sane_request_id_is_kept_and_another_replaced(server: Server) -> None:
    kept = server.get("/livez", headers={"X-Request-ID": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"
    for hostile in ("a b", "x" * 65, "é", "{}"):
        replaced = server.get("/livez", headers=httpx.Headers({"X-Request-ID": hostile}, encoding="utf-8"))
        assert len(replaced.headers["x-request-id"]) == 32


def test_no_origin_may_call_unless_it_is_named(variant_server: Server, server: Server) -> None:
    origin = {"Origin": "https://wall.example"}
    assert "access-control-allow-origin" not in server.get("/livez", headers=origin).headers
    answer = variant_server.get("/livez", headers=origin)
    assert answer.headers["access-control-allow-origin"] == "https://wall.example"
    other = variant_server.get("/livez", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers
    preflight = httpx.options(
        f"{variant_server.url}/api/analyze-stream",
        headers={**origin, "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 200
