"""POST /api/analyze: the same result as one answer."""

import httpx

from holdcheck.result import Result
from tests.backend.server import Server, problem

VARYING = {"job_id", "timings_ms", "memory"}


def test_it_answers_what_the_stream_completes_with(server: Server, wall: bytes) -> None:
    answer = server.post(wall, "/api/analyze")
    assert answer.headers["content-type"] == "application/json"
    plain = answer.json()
    Result.model_validate(plain)
    streamed = server.events(wall)[-1].data["result"]
    assert {name: value for name, value in plain.items() if name not in VARYING} == {
        name: value for name, value in streamed.items() if name not in VARYING
    }


def test_a_refused_photo_is_a_problem_here_too(server: Server) -> None:
    answer = server.post(b"no photo at all", "/api/analyze")
    assert answer.status_code == 415
    assert problem(answer)["code"] == "photo_type_unsupported"


def test_no_photo_is_left_on_disk(server: Server, wall: bytes) -> None:
    assert server.post(wall, "/api/analyze").status_code == 200
    assert server.photos() == []


def test_other_methods_are_405_with_what_is_allowed(server: Server) -> None:
    answer = httpx.put(f"{server.url}/api/analyze")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"
    assert problem(answer)["code"] == "method_not_allowed"
