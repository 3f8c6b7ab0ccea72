"""POST /api/jobs/{id}/corrections: what is taken, what is refused, where it is kept."""

import json
from typing import Any

import httpx
import pytest

from tests.backend import photos
from tests.backend.server import Server, problem

Json = dict[str, Any]


@pytest.fixture(scope="module")
def result(server: Server) -> Json:
    answer = httpx.post(server.url + "/api/analyze", files={"image": ("photo", photos.wall())}, timeout=60)
    found: Json = answer.json()
    assert len(found["hold_data"]) > 2
    return found


def _post(server: Server, job_id: str, corrections: Any) -> httpx.Response:
    return httpx.post(
        f"{server.url}/api/jobs/{job_id}/corrections", json={"corrections": corrections}, timeout=30
    )


def _drawn(hold_id: int, **more: Any) -> Json:
    contour = [[10, 10], [60, 10], [60, 60]]
    return {
        "op": "add",
        "hold_id": hold_id,
        "contour": contour,
        "color": "mint",
        "kind": "hold",
        "problem_id": None,
    } | more


def test_corrections_are_kept_beside_the_result_and_replace_the_earlier_ones(
    server: Server, result: Json
) -> None:
    job_id, hold_id = result["job_id"], result["hold_data"][0]["id"]
    everything = [
        {"op": "set_color", "hold_id": hold_id, "color": "orange"},
        {"op": "set_kind", "hold_id": hold_id, "kind": "volume"},
        {"op": "set_problem", "hold_id": hold_id, "problem_id": None},
        {"op": "set_tag", "hold_id": hold_id, "tag": "top"},
        _drawn(900),
        {"op": "set_color", "hold_id": 900, "color": "lime"},
        {"op": "delete", "hold_id": 900},
    ]
    answer = _post(server, job_id, everything)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"job_id": job_id, "corrections": 7}
    kept = server.data_dir / "jobs" / job_id / "outputs" / "corrections.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert [correction["op"] for correction in json.loads(kept.read_text())["corrections"]] == [
        correction["op"] for correction in everything
    ]
    assert _post(server, job_id, []).json()["corrections"] == 0
    assert json.loads(kept.read_text()) == {"corrections": []}


@pytest.mark.parametrize(
    ("corrections", "named"),
    [
        ([{"op": "delete", "hold_id": 99999}], "there is no hold 99999"),
        ([{"op": "delete", "hold_id": 0}], "greater than or equal to 1"),
        ([{"op": "explode", "hold_id": 1}], "corrections.0"),
        ([{"op": "set_color", "hold_id": 1, "color": "beige"}], "corrections.0.set_color.color"),
        ([{"op": "set_problem", "hold_id": 1, "problem_id": 77}], "there is no problem 77"),
        (
            [{"op": "delete", "hold_id": 1}, {"op": "delete", "hold_id": 1}],
            "corrections.1: there is no hold 1",
        ),
        ([_drawn(1)], "was there already"),
        ([_drawn(900, contour=[[0, 0], [1e9, 0], [5, 5]])], "leaves the photo"),
        ([_drawn(900, contour=[[0, 0], [5, 5], [9, 9]])], "encloses nothing"),
        ([_drawn(900, contour=[[0, 0], [5, 5]])], "at least 3"),
        ([_drawn(900, contour=[[0, 0]] * 501)], "at most 500"),
        ([{"op": "delete", "hold_id": 1, "photo": "/etc/passwd"}], "Extra inputs"),
        ("all wrong", "valid array"),
    ],
)
def test_what_does_not_fit_the_result_is_refused_by_its_place(
    server: Server, result: Json, corrections: Any, named: str
) -> None:
    details = problem(_post(server, result["job_id"], corrections))
    assert (details["status"], details["code"]) == (422, "corrections_invalid")
    assert named in details["detail"]


def test_a_body_that_is_no_json_or_too_long_is_refused(server: Server, result: Json) -> None:
    url = f"{server.url}/api/jobs/{result['job_id']}/corrections"
    assert problem(httpx.post(url, content=b"{", timeout=30))["code"] == "corrections_invalid"
    long = httpx.post(url, content=b" " * (2**20 + 2**17), timeout=30)
    assert "at most 1 MiB" in problem(long)["detail"]


def test_corrections_go_with_their_job(server: Server) -> None:
    found = httpx.post(
        server.url + "/api/analyze", files={"image": ("photo", photos.wall(seed=2))}, timeout=60
    ).json()
    job_id = found["job_id"]
    assert _post(server, job_id, []).status_code == 200
    httpx.delete(f"{server.url}/api/jobs/{job_id}", timeout=30)
    assert not (server.data_dir / "jobs" / job_id).exists()
    assert problem(_post(server, job_id, []))["code"] == "job_not_found"


def test_an_analysis_without_a_result_cannot_be_corrected(slow_server: Server, wall: bytes) -> None:
    job_id = slow_server.post(wall, "/api/jobs").json()["job_id"]
    assert problem(_post(slow_server, job_id, []))["code"] == "job_not_done"
    httpx.delete(f"{slow_server.url}/api/jobs/{job_id}", timeout=30)
