"""RATE_LIMIT: how often a client may bring work, and that remembering it costs little."""

import time
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest

from backend.addresses import client_of
from backend.errors import RateLimited
from backend.rate_limit import MAX_CLIENTS, Limit, RateLimiter, parse_limits
from tests.backend.server import Server, problem


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("30/minute", (Limit(30, 60),)),
        ("1/second", (Limit(1, 1),)),
        (" 5/Second ; 100/hour ", (Limit(5, 1), Limit(100, 3600))),
        ("5/second,100/hour", (Limit(5, 1), Limit(100, 3600))),
    ],
)
def test_limits_are_read(text: str, limits: tuple[Limit, ...]) -> None:
    assert parse_limits(text) == limits


@pytest.mark.parametrize(
    "text",
    ["30", "0/minute", "-1/minute", "1.5/second", "30/day", "30/minute;", ";", "1000000/hour", "٣/minute"],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="30/minute"):
        parse_limits(text)


def test_a_burst_then_one_by_one(clock: Clock) -> None:
    limiter = RateLimiter([Limit(30, 60)], now=clock)
    assert [limiter.take("a") for _ in range(30)] == [0.0] * 30
    assert limiter.take("a") == pytest.approx(2)
    clock.now += 2
    assert limiter.take("a") == 0.0
    assert limiter.take("a") == pytest.approx(2)


def test_a_refused_request_uses_nothing_up_and_the_wait_is_enough(clock: Clock) -> None:
    limiter = RateLimiter([Limit(7, 60)], now=clock)
    while not limiter.take("a"):
        pass
    for _ in range(100):
        wait_s = limiter.take("a")
    clock.now += wait_s
    assert limiter.take("a") == 0.0


def test_no_hour_of_a_greedy_client_brings_more_than_twice_the_limit(clock: Clock) -> None:
    limiter = RateLimiter([Limit(100, 3600)], now=clock)
    taken = 0
    for _ in range(3600):
        taken += limiter.take("a") == 0.0
        clock.now += 1
    assert 100 <= taken <= 200


def test_all_limits_hold_together(clock: Clock) -> None:
    limiter = RateLimiter([Limit(2, 1), Limit(3, 3600)], now=clock)
    assert [limiter.take("a") for _ in range(3)] == [0.0, 0.0, pytest.approx(0.5)]
    clock.now += 1
    assert limiter.take("a") == 0.0
    assert limiter.take("a") == pytest.approx(1200 - 1)


def test_clients_do_not_share(clock: Clock) -> None:
    limiter = RateLimiter([Limit(1, 60)], now=clock)
    assert [limiter.take("a"), limiter.take("b")] == [0.0, 0.0]
    assert limiter.take("a") > 0


def test_asking_uses_nothing_up(clock: Clock) -> None:
    limiter = RateLimiter([Limit(1, 60)], now=clock)
    assert [limiter.wait_s("a") for _ in range(3)] == [0.0] * 3
    limiter.take("a")
    assert limiter.wait_s("a") == pytest.approx(60)


def test_a_client_whose_allowance_is_whole_is_forgotten(clock: Clock) -> None:
    limiter = RateLimiter([Limit(1, 60)], now=clock)
    limiter.take("a")
    clock.now += 61
    limiter.take("b")
    assert len(limiter) == 1


def test_a_hundred_thousand_addresses_cost_no_more_than_the_bound() -> None:
    limiter = RateLimiter([Limit(30, 60), Limit(1000, 3600)])
    for number in range(100_000):
        limiter.take(_network(number))
    assert len(limiter) == MAX_CLIENTS


def test_the_bound_is_a_megabyte_or_two() -> None:
    limiter = RateLimiter([Limit(30, 60), Limit(1000, 3600)])
    tracemalloc.start()
    try:
        for number in range(MAX_CLIENTS + 100):
            limiter.take(_network(number))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 2 * 2**20


def _network(number: int) -> str:
    return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64"


def test_beyond_the_bound_who_was_silent_longest_is_forgotten(clock: Clock) -> None:
    limiter = RateLimiter([Limit(2, 60)], max_clients=3, now=clock)
    for client in ("a", "b", "c", "a", "d"):
        limiter.take(client)
    assert limiter.take("a") > 0  # it came again after b
    assert [limiter.take("b"), limiter.take("b")] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("192.0.2.7:80", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        ("x" * 5000, "unknown"),
    ],
)
def test_who_is_one_client(host: str | None, client: str) -> None:
    assert client_of(host) == client


def _post(server: Server, client: str, path: str = "/api/jobs", method: str = "POST") -> httpx.Response:
    # An empty body: a request that is counted is 415 or so then, and costs nothing.
    return server.request(method, path, headers={"X-Forwarded-For": client})


def test_too_much_is_429_and_the_client_is_let_in_when_it_was_told(guarded_server: Server) -> None:
    assert [_post(guarded_server, "192.0.2.1").status_code for _ in range(2)] == [503, 503]
    answer = _post(guarded_server, "192.0.2.1")
    assert (answer.status_code, problem(answer)["code"]) == (429, "rate_limited")
    assert answer.headers["retry-after"] == "1"
    assert "try again in 1 s" in problem(answer)["detail"].lower()
    time.sleep(1)
    assert _post(guarded_server, "192.0.2.1").status_code == 503


def test_all_that_brings_work_is_counted_together(guarded_server: Server) -> None:
    paths = ("/api/analyze", "/api/analyze-stream", "/api/jobs")
    assert [_post(guarded_server, "192.0.2.2", path).status_code for path in paths] == [503, 503, 429]


def test_a_line_break_behind_the_path_brings_nothing(guarded_server: Server) -> None:
    """The router would have taken it, and the limit would not have known it."""
    assert [_post(guarded_server, "192.0.2.5", "/api/jobs%0A").status_code for _ in range(4)] == [404] * 4


def test_what_brings_none_is_not_counted(guarded_server: Server) -> None:
    with httpx.Client(
        verify=False, base_url=guarded_server.url, headers={"X-Forwarded-For": "192.0.2.3"}
    ) as client:
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            for path in ("/api/jobs", "/api/jobs/x", "/api/health", "/livez"):
                assert client.request(method, path).status_code not in (429, 500)
        assert client.post("/api/jobs").status_code == 503


def test_the_long_limit_says_how_long(guarded_server: Server) -> None:
    addresses = [f"2001:db8::{number}" for number in range(4)]  # of one network: one client
    statuses = [_post(guarded_server, address).status_code for address in addresses[:2]]
    time.sleep(1)
    assert [*statuses, _post(guarded_server, addresses[2]).status_code] == [503, 503, 503]
    answer = _post(guarded_server, addresses[3])
    assert answer.status_code == 429
    assert 1150 <= int(answer.headers["retry-after"]) <= 1200


def test_a_photo_too_many_is_refused_before_its_body_is_read(guarded_server: Server) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 64 * 2**20:
            sent += 65536
            yield b"x" * 65536

    headers = {"X-Forwarded-For": "192.0.2.4"}
    for _ in range(2):
        _post(guarded_server, "192.0.2.4")
    answer = guarded_server.request("POST", "/api/analyze", content=endless(), headers=headers)
    assert answer.status_code == 429
    assert sent < 16 * 2**20
    assert guarded_server.photos() == []


def test_without_a_limit_there_is_none(server: Server) -> None:
    with httpx.Client(verify=False, base_url=server.url) as client:
        assert {client.post("/api/jobs").status_code for _ in range(40)} == {415}


@pytest.mark.parametrize(("wait_s", "told"), [(0.01, 1), (1.0, 1), (1.01, 2), (119.2, 120)])
def test_the_wait_is_told_in_whole_seconds_that_suffice(wait_s: float, told: int) -> None:
    assert RateLimited("Too much.", wait_s).headers == {"Retry-After": str(told)}
