"""API_KEYS: who gets in, and who sees which job."""

import hmac
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from backend.access import WORK_PATHS, needs_key
from backend.app import create_app
from backend.auth import Doorkeeper, Keys, parse_keys
from backend.errors import ApiKeyInvalid, ApiKeyMissing, RateLimited
from backend.settings import ServiceSettings
from tests.backend.conftest import KEYS
from tests.backend.server import Server, in_its_own_files, problem
from tests.backend.test_settings import start_and_end

FIRST, SECOND = ({"Authorization": f"Bearer {key}"} for key in KEYS)
_NETWORKS = itertools.count()
_DOCS = {"/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"}
OPEN = {"/", "/livez", "/readyz", "/api/health", *_DOCS}


def _from(client: str) -> dict[str, str]:
    return {"X-Forwarded-For": client}


# --- which keys ---


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("s3cret", "16 or more"),
        ("s3cret-0123456789,s3cret", "key 2 of 2"),
        ("s3cret-0123456789,", "key 2 of 2"),
        (" ", "key 1 of 1"),
        (",", "key 1 of 2"),
        ("s3cret-012345 6789", "visible ASCII"),
        ("s3cret-0123456789é", "visible ASCII"),
        ("s3cret-\t0123456789", "visible ASCII"),
        ("s3cret-0123456789, s3cret-0123456789", "twice"),
    ],
)
def test_what_is_no_key_stops_the_start_and_is_not_printed(value: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as raised:
        parse_keys(value)
    assert "s3cret" not in str(raised.value)


def test_the_refusal_of_a_start_names_the_setting_alone(tmp_path: Path) -> None:
    ended = start_and_end(tmp_path, API_KEYS="s3cret")
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert "API_KEYS" in line
    assert "s3cret" not in line


def test_settings_do_not_show_their_keys() -> None:
    settings = ServiceSettings(_env_file=None, api_keys=SecretStr(KEYS[0]))
    assert KEYS[0] not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_the_start_says_how_many_keys_there_are_or_that_there_are_none(
    closed_server: Server, server: Server
) -> None:
    assert "opens to 2 keys" in closed_server.log()
    assert "open to everybody" not in closed_server.log()
    assert "open to everybody" in server.log()


# --- what a key opens ---


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "header",
    ["Authorization: Bearer {}", "authorization: bearer {}", "Authorization: BEARER   {}", "X-API-Key: {}"],
)
def test_each_key_opens_in_both_headers(closed_server: Server, key: str, header: str) -> None:
    name, value = header.format(key).split(": ")
    answer = closed_server.get("/api/jobs/x", headers={name: value})
    assert (answer.status_code, problem(answer)["code"]) == (404, "job_not_found")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "api_key_missing"),
        ([("Authorization", "")], "api_key_missing"),
        ([("Authorization", "Bearer")], "api_key_missing"),
        ([("Authorization", KEYS[0])], "api_key_missing"),
        ([("Authorization", f"Basic {KEYS[0]}")], "api_key_missing"),
        ([("Authorization", f"Bearer{KEYS[0]}")], "api_key_missing"),
        ([("X-API-Key", "")], "api_key_missing"),
        ([("Cookie", f"X-API-Key={KEYS[0]}")], "api_key_missing"),
        ([("X-API-Key", KEYS[0][:-1])], "api_key_invalid"),
        ([("X-API-Key", KEYS[0].upper())], "api_key_invalid"),
        ([("X-API-Key", f'"{KEYS[0]}"')], "api_key_invalid"),
        ([("X-API-Key", ",".join(KEYS))], "api_key_invalid"),
        ([("X-API-Key", f"Bearer {KEYS[0]}")], "api_key_invalid"),
        ([("Authorization", f"Bearer {KEYS[0]} {KEYS[1]}")], "api_key_invalid"),
        ([("Authorization", f"Bearer {KEYS[0]}, Bearer {KEYS[1]}")], "api_key_invalid"),
        ([("Authorization", f"Bearer {KEYS[0]}"), ("Authorization", "Bearer wrong")], "api_key_invalid"),
        ([("X-API-Key", KEYS[0]), ("Authorization", f"Bearer {KEYS[1]}")], "api_key_invalid"),
        ([("X-API-Key", KEYS[0] + "é")], "api_key_invalid"),
        ([("X-API-Key", "ключ-на-русском-языке")], "api_key_invalid"),
        ([("X-API-Key", "x" * 12_000)], "api_key_invalid"),
    ],
)
def test_nothing_else_opens(closed_server: Server, headers: list[tuple[str, str]], code: str) -> None:
    client = f"2001:db8:{next(_NETWORKS)}::"
    raw = [(name.encode(), value.encode()) for name, value in [*headers, *_from(client).items()]]
    answer = closed_server.get("/api/jobs/x", headers=raw)
    assert (answer.status_code, problem(answer)["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == 'Bearer realm="holdcheck"'
    assert KEYS[0] not in answer.text


def test_one_key_in_both_headers_is_one_key(closed_server: Server) -> None:
    assert closed_server.get("/api/jobs/x", headers={**FIRST, "X-API-Key": KEYS[0]}).status_code == 404


def test_a_key_in_the_address_is_none(closed_server: Server) -> None:
    for query in (f"api_key={KEYS[0]}", f"key={KEYS[0]}", f"access_token={KEYS[0]}", f"X-API-Key={KEYS[0]}"):
        assert closed_server.get(f"/api/jobs/x?{query}", headers=_from("192.0.2.251")).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["jobs/x", "jobs/x/events", "jobs", "analyze", "nothing", "", "health/", "health/x", "/jobs"],
)
def test_every_path_of_the_api_is_shut(closed_server: Server, path: str) -> None:
    client_address = _from(f"2001:db8:{next(_NETWORKS)}::")
    with httpx.Client(verify=False, base_url=closed_server.url, headers=client_address, timeout=30) as client:
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH"):
            for prefix in ("/api/", "/%61pi/"):
                assert client.request(method, prefix + path).status_code == 401


@pytest.mark.parametrize("path", ["/api", "/metrics"])
def test_so_is_what_counts_for_the_owner(closed_server: Server, path: str) -> None:
    assert closed_server.get(path, headers=_from("192.0.2.250")).status_code == 401


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/api/health", "/docs", "/openapi.json"])
def test_what_a_stranger_needs_is_open(closed_server: Server, path: str) -> None:
    assert closed_server.get(path).status_code == 200


@pytest.mark.parametrize("ending", ["%0A", "%0D", "%00", "%0a%0a", "%E2%80%A8", "%20"])
def test_no_path_is_another_by_a_character_at_its_end(closed_server: Server, ending: str) -> None:
    """A pattern that ends with `$` matches before a line break too."""
    paths = ["/metrics", "/api/health", "/docs", "/livez", "/", *sorted(WORK_PATHS)]
    paths += [f"/api/jobs/x{rest}" for rest in ("", "/events", "/corrections")]
    for path in paths:
        for method in ("GET", "HEAD", "POST", "DELETE"):
            answer = closed_server.request(method, path + ending, headers=_from("192.0.2.249"))
            assert answer.status_code == 404, (method, path)
    answer = closed_server.get("/metrics" + ending, headers={**_from("192.0.2.249"), **FIRST})
    assert (answer.status_code, problem(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/nothing", "/metrics/", "/docs/", "//metrics", "/.env", "/API/jobs"])
def test_what_nobody_opened_is_shut(closed_server: Server, path: str) -> None:
    assert closed_server.get(path, headers=_from(f"2001:db8:{next(_NETWORKS)}::")).status_code == 401


def test_no_route_is_open_by_oversight(tmp_path: Path) -> None:
    routes = list(_routes(create_app(ServiceSettings(_env_file=None, data_dir=tmp_path))))
    assert {route.path for route in routes if not needs_key(route.path)} == OPEN
    uploads = {
        route.path for route in routes if "multipart/form-data" in str(getattr(route, "openapi_extra", None))
    }
    assert uploads == WORK_PATHS


def _routes(app: FastAPI) -> Iterator[Any]:
    for route in app.routes:
        included = getattr(route, "original_router", None)
        yield from included.routes if included else (route,)


def test_health_says_whether_a_key_is_needed(closed_server: Server, server: Server) -> None:
    assert closed_server.get("/api/health").json()["key_required"] is True
    assert server.get("/api/health").json()["key_required"] is False


def test_without_keys_a_key_does_no_harm(server: Server) -> None:
    assert server.get("/api/jobs/x", headers=FIRST).status_code == 404


def test_a_photo_without_a_key_is_refused_before_its_body_is_read(closed_server: Server) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 64 * 2**20:
            sent += 65536
            yield b"x" * 65536

    answer = closed_server.request("POST", "/api/jobs", content=endless(), headers=_from("192.0.2.252"))
    assert (answer.status_code, problem(answer)["code"]) == (401, "api_key_missing")
    assert sent < 16 * 2**20
    assert closed_server.photos() == []


# --- whose jobs ---


@pytest.fixture(scope="module")
def job_id(closed_server: Server, wall: bytes) -> str:
    answer = closed_server.post(wall, "/api/jobs", headers={**FIRST, "Idempotency-Key": "one"})
    assert answer.status_code == 202
    return str(answer.json()["job_id"])


def test_a_job_is_its_keys_alone(closed_server: Server, job_id: str) -> None:
    for path in (f"/api/jobs/{job_id}", f"/api/jobs/{job_id}/events"):
        assert closed_server.get(path, headers=FIRST).status_code == 200
        others = closed_server.get(path, headers=SECOND)
        nobodys = closed_server.get(path.replace(job_id, job_id[::-1]), headers=SECOND)
        assert (others.status_code, problem(others)["code"]) == (404, "job_not_found")
        assert problem(others)["detail"] == problem(nobodys)["detail"]
        assert closed_server.get(path, headers=_from("192.0.2.253")).status_code == 401


def test_nobody_else_deletes_it(closed_server: Server, job_id: str) -> None:
    assert closed_server.request("DELETE", f"/api/jobs/{job_id}", headers=SECOND).status_code == 404
    assert closed_server.get(f"/api/jobs/{job_id}", headers=FIRST).status_code == 200


def test_the_same_idempotency_key_of_another_owner_is_another_job(
    closed_server: Server, job_id: str, wall: bytes
) -> None:
    def posted(owner: dict[str, str]) -> str:
        answer = closed_server.post(wall, "/api/jobs", headers={**owner, "Idempotency-Key": "one"})
        return str(answer.json()["job_id"])

    assert posted(FIRST) == job_id
    assert posted(SECOND) != job_id


def test_a_stream_and_a_plain_answer_come_to_the_key_too(closed_server: Server, wall: bytes) -> None:
    assert closed_server.events(wall, headers=FIRST)[-1].step == "complete"
    assert closed_server.post(wall, "/api/analyze", headers=SECOND).status_code == 200


@in_its_own_files
def test_the_key_is_nowhere_on_the_disk_or_in_the_log(closed_server: Server, job_id: str) -> None:
    with closing(sqlite3.connect(closed_server.data_dir / "jobs.sqlite3")) as store:
        owners = {owner for (owner,) in store.execute("SELECT owner FROM jobs")}
    assert all(len(owner) == 32 for owner in owners)
    for file in (closed_server.log_file, *closed_server.data_dir.rglob("*")):
        if file.is_file():
            assert not any(key.encode() in file.read_bytes() for key in KEYS), file


# --- trying keys ---


def _headers(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"x-api-key", key.encode())]


@pytest.fixture
def doorkeeper() -> Doorkeeper:
    return Doorkeeper(Keys(KEYS))


def test_who_tries_keys_is_not_even_told_of_the_right_one(doorkeeper: Doorkeeper) -> None:
    for number in range(10):
        with pytest.raises(ApiKeyInvalid):
            doorkeeper.owner(_headers(f"guess {number}"), "a")
    for key in ("guess 11", KEYS[0]):
        with pytest.raises(RateLimited) as raised:
            doorkeeper.owner(_headers(key), "a")
        assert 1 <= raised.value.retry_after_s <= 6
    assert doorkeeper.owner(_headers(KEYS[0]), "b")


def test_one_old_key_again_and_again_shuts_nobody_out(doorkeeper: Doorkeeper) -> None:
    refusals = []
    for _ in range(100):
        with pytest.raises((ApiKeyInvalid, RateLimited)) as raised:
            doorkeeper.owner(_headers("an old key"), "a")
        refusals.append(type(raised.value))
    assert refusals == [ApiKeyInvalid] * 60 + [RateLimited] * 40
    assert doorkeeper.owner(_headers(KEYS[0]), "a")


def test_many_keys_in_one_request_are_not_looked_at(doorkeeper: Doorkeeper) -> None:
    headers = [*_headers(KEYS[0]), *((b"x-api-key", b"guess %d" % number) for number in range(50))]
    with pytest.raises(ApiKeyInvalid, match="more than one"):
        doorkeeper.owner(headers, "a")


def test_a_hundred_thousand_guessers_are_not_all_remembered() -> None:
    doorkeeper = Doorkeeper(Keys(KEYS))
    for number in range(10_000):
        with pytest.raises(ApiKeyInvalid):
            doorkeeper.owner(_headers(f"guess {number}"), f"192.0.2.{number}")
    kept = (doorkeeper._guesses, doorkeeper._refusals, doorkeeper._tried)
    assert all(len(memory) <= 4096 for memory in kept)


def test_missing_keys_are_refused_quickly_and_slowed_down(doorkeeper: Doorkeeper) -> None:
    for _ in range(60):
        with pytest.raises(ApiKeyMissing):
            doorkeeper.owner([], "a")
    with pytest.raises(RateLimited):
        doorkeeper.owner([], "a")
    assert doorkeeper.owner(_headers(KEYS[0]), "a")


def test_over_http_too(closed_server: Server) -> None:
    attacker = _from("203.0.113.9")
    with httpx.Client(verify=False, base_url=closed_server.url) as client:
        answers = [
            client.get("/api/jobs/x", headers={**attacker, "X-API-Key": f"guess-{number}"})
            for number in range(12)
        ]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert problem(answers[-1])["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 6
    assert closed_server.get("/api/jobs/x", headers={**attacker, **FIRST}).status_code == 429
    assert closed_server.get("/api/jobs/x", headers={**_from("203.0.113.10"), **FIRST}).status_code == 404


def test_every_key_is_compared_with_every_key_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def watched(known: bytes, offered: bytes) -> bool:
        compared.append((len(known), len(offered)))
        return compare(known, offered)

    monkeypatch.setattr("backend.auth.hmac.compare_digest", watched)
    for offered in (KEYS[0], KEYS[1], "x", "x" * 10_000):
        Keys(KEYS).owner(offered.encode())
    assert compared == [(32, 32)] * 8


# --- what is said of it ---


def test_the_description_says_where_a_key_is_needed(closed_server: Server, server: Server) -> None:
    keyed: list[dict[str, list[str]]] = [{"Bearer": []}, {"ApiKey": []}]
    for described, security in ((closed_server, keyed), (server, [{}, *keyed])):
        document = described.get("/openapi.json").json()
        schemes = document["components"]["securitySchemes"]
        assert schemes["Bearer"]["scheme"] == "bearer"
        assert schemes["ApiKey"]["name"] == "X-API-Key"
        for path, operations in document["paths"].items():
            for operation in operations.values():
                assert operation.get("security") == (security if needs_key(path) else None)
                assert ("401" in operation["responses"]) == (needs_key(path) and described is closed_server)


def test_another_origin_that_is_named_may_send_a_key(closed_server: Server) -> None:
    origin = {"Origin": "https://wall.example"}
    asked = {
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization,x-api-key",
    }
    preflight = closed_server.request("OPTIONS", "/api/jobs/x", headers={**origin, **asked})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://wall.example"
    refused = closed_server.get("/api/jobs/x", headers={**origin, **_from("192.0.2.254")})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://wall.example"
    exposed = {name.strip() for name in refused.headers["access-control-expose-headers"].split(",")}
    assert {"Location", "Retry-After", "X-Request-ID"} <= exposed
    assert "access-control-allow-credentials" not in refused.headers
