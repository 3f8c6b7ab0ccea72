"""What /docs shows."""

import json
from typing import Any

import pytest

from backend.corrections import check
from backend.errors import Problem
from backend.openapi import (
    ACCEPTED_EXAMPLE,
    CORRECTIONS_EXAMPLE,
    HEALTH_EXAMPLE,
    JOB_EXAMPLE,
    RESULT_EXAMPLE,
)
from backend.routers.health import Health
from backend.routers.jobs import AcceptedAnswer, JobAnswer
from holdcheck.result import Result
from tests.backend.server import Server

Json = dict[str, Any]


@pytest.fixture(scope="module")
def description(server: Server) -> Json:
    answer: Json = server.get("/openapi.json").json()
    return answer


def _operations(description: Json) -> list[Json]:
    return [operation for path in description["paths"].values() for operation in path.values()]


def test_the_docs_page_is_there(server: Server) -> None:
    assert "swagger-ui" in server.get("/docs").text


@pytest.mark.parametrize("file", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_who_has_the_files_of_the_docs_page_gets_them_once(server: Server, file: str) -> None:
    first = server.get(f"/docs/{file}")
    assert (first.status_code, first.headers["cache-control"]) == (200, "no-cache")
    again = server.get(f"/docs/{file}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_every_path_of_the_contract_is_described(description: Json) -> None:
    assert description["paths"].keys() == {
        "/api/analyze-stream",
        "/api/analyze",
        "/api/jobs",
        "/api/jobs/{job_id}",
        "/api/jobs/{job_id}/events",
        "/api/jobs/{job_id}/corrections",
        "/api/health",
        "/livez",
        "/readyz",
        "/metrics",
    }


def test_every_reference_resolves(description: Json) -> None:
    def check(node: Any) -> None:
        if isinstance(node, dict):
            if reference := node.get("$ref"):
                target = description
                for part in reference.removeprefix("#/").split("/"):
                    target = target[part]
            for value in node.values():
                check(value)
        elif isinstance(node, list):
            for value in node:
                check(value)

    check(description)


def test_every_answer_has_an_example(description: Json) -> None:
    schemas = description["components"]["schemas"]
    for operation in _operations(description):
        for status, response in operation["responses"].items():
            assert response["description"], status
            for media in response.get("content", {}).values():
                name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
                shown = media.get("example") or media.get("examples") or schemas[name].get("examples")
                assert shown, (operation["summary"], status)


def test_every_example_of_an_error_is_a_problem_of_its_status(description: Json) -> None:
    for operation in _operations(description):
        for status, response in operation["responses"].items():
            examples = response.get("content", {}).get("application/problem+json", {}).get("examples", {})
            for code, example in examples.items():
                problem = Problem.model_validate(example["value"])
                assert (problem.code, str(problem.status)) == (code, status)


def test_the_examples_are_true_to_their_models() -> None:
    Result.model_validate(RESULT_EXAMPLE)
    Health.model_validate(HEALTH_EXAMPLE)
    AcceptedAnswer.model_validate(ACCEPTED_EXAMPLE)
    JobAnswer.model_validate(JOB_EXAMPLE)
    stored = check(json.dumps(CORRECTIONS_EXAMPLE).encode(), json.dumps(RESULT_EXAMPLE).encode()).stored
    assert json.loads(stored) == CORRECTIONS_EXAMPLE


def test_the_stream_is_shown_as_it_comes(description: Json) -> None:
    responses = description["paths"]["/api/analyze-stream"]["post"]["responses"]
    example = responses["200"]["content"]["text/event-stream"]["example"]
    shown = [line.removeprefix("data: ") for line in example.splitlines() if line.startswith("data: ")]
    assert len(shown) == 2
    for line in shown:
        assert line == json.dumps(json.loads(line), separators=(",", ":"))


def test_what_every_path_may_answer_is_said_once(description: Json) -> None:
    for code in ("not_found", "method_not_allowed"):
        assert code in description["info"]["description"]


def test_the_upload_is_described(description: Json) -> None:
    for path in ("/api/analyze-stream", "/api/analyze", "/api/jobs"):
        content = description["paths"][path]["post"]["requestBody"]["content"]
        schema = content["multipart/form-data"]["schema"]
        assert schema["properties"].keys() == {"image", "file", "wall_angle"}
        assert schema["oneOf"] == [{"required": ["image"]}, {"required": ["file"]}]


def test_whatever_looks_for_a_job_may_find_the_store_shut(description: Json) -> None:
    looked_up = [operations for path, operations in description["paths"].items() if "{job_id}" in path]
    assert len(looked_up) == 3
    for operations in looked_up:
        for operation in operations.values():
            examples = operation["responses"]["503"]["content"]["application/problem+json"]["examples"]
            assert "storage_unavailable" in examples
    assert "507" in description["paths"]["/api/jobs/{job_id}"]["delete"]["responses"]
