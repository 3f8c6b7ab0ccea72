"""The service does what /openapi.json says of it: schemathesis makes the requests and judges the answers."""

import os

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.backend.server import Server

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "8"))
"""Requests to each operation, right ones and wrong ones each; `make fuzz` takes more."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def description(server: Server) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


# Used as a library: schemathesis's own way to collect tests does not go with this version of pytest.
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_to_right_and_wrong_requests_is_as_described(
    description: BaseSchema, mode: GenerationMode
) -> None:
    wrong, tried = [], []
    for found in description.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        try:
            _try(operation, mode)
        except Unsatisfiable:
            continue  # without parameters and body no request can be wrong
        except AssertionError as error:
            wrong.append(f"{operation.label}: {error}")
        tried.append(operation.label)
    assert not wrong, "\n\n".join(wrong)
    assert {"POST /api/analyze-stream", "POST /api/analyze", "POST /api/jobs"} <= set(tried)


def _try(operation: APIOperation, mode: GenerationMode) -> None:  # type: ignore[type-arg]
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def judge(case: Case) -> None:  # type: ignore[type-arg]
        case.call_and_validate(timeout=60, checks=CHECKS)

    judge()


def test_the_answers_to_a_real_photo_are_as_described(
    server: Server, description: BaseSchema, wall: bytes
) -> None:
    def judge(path: str, method: str, answer: httpx.Response, status: int) -> None:
        assert answer.status_code == status
        answer.request.read()
        description[path][method].validate_response(answer)

    judge("/api/analyze", "POST", server.post(wall, "/api/analyze"), 200)
    judge("/api/analyze-stream", "POST", server.post(wall), 200)
    accepted = server.post(wall, "/api/jobs")
    judge("/api/jobs", "POST", accepted, 202)
    job = f"/api/jobs/{accepted.json()['job_id']}"
    judge("/api/jobs/{job_id}", "GET", server.get(job), 200)
    judge("/api/jobs/{job_id}/events", "GET", server.get(f"{job}/events"), 200)
    judge("/api/jobs/{job_id}", "GET", server.get(job), 200)
    judge("/api/jobs/{job_id}", "DELETE", httpx.delete(server.url + job, timeout=30), 204)
    judge("/api/jobs/{job_id}", "GET", server.get(job), 404)
