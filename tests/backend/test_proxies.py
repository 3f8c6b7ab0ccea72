"""TRUSTED_PROXIES and TRUSTED_HOSTS: whose word counts about who asks, how, and whom."""

import asyncio
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from backend.access import AccessMiddleware
from backend.addresses import as_sockets_name_them, client_of, parse_networks
from backend.hosts import parse_hosts
from backend.settings import ServiceSettings
from tests.backend.server import Server, problem

PROXIES = parse_networks("127.0.0.1, 10.0.0.0/8, fd00::/8")


def _seen(peer: str, *headers: tuple[str, str]) -> tuple[str, str]:
    """Client and scheme as the application sees them behind uvicorn's middleware, set up as we do."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    async def silence(*_: Any) -> Any: ...

    raw = [(name.encode(), value.encode("latin1")) for name, value in headers]
    scope: Any = {"type": "http", "client": (peer, 1), "scheme": "http", "headers": raw}
    middleware = ProxyHeadersMiddleware(app, as_sockets_name_them(PROXIES))
    asyncio.run(middleware(scope, silence, silence))
    return client_of(seen[0]["client"][0]), seen[0]["scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("192.0.2.1", "192.0.2.99", "192.0.2.1"),  # no proxy of ours
        ("127.0.0.1", "192.0.2.99", "192.0.2.99"),
        ("127.0.0.2", "192.0.2.99", "127.0.0.2"),  # beside ours
        ("::ffff:127.0.0.1", "192.0.2.99", "192.0.2.99"),  # a socket that listens on IPv6 as well
        ("::ffff:10.9.8.7", "192.0.2.99", "192.0.2.99"),
        ("::ffff:11.0.0.1", "192.0.2.99", "11.0.0.1"),
        ("fd00::1", "192.0.2.99", "192.0.2.99"),
        ("127.0.0.1", "203.0.113.5, 192.0.2.99", "192.0.2.99"),  # the first was the client's invention
        ("127.0.0.1", "127.0.0.1, 192.0.2.99", "192.0.2.99"),
        ("127.0.0.1", "203.0.113.5, 192.0.2.99, 10.1.1.1", "192.0.2.99"),  # two proxies
        ("127.0.0.1", "2001:db8::1", "2001:db8::/64"),
        ("127.0.0.1", "[2001:db8::1]:4711", "2001:db8::/64"),
        ("127.0.0.1", "[2001:db8::1]", "2001:db8::/64"),
        ("127.0.0.1", "192.0.2.99:4711", "192.0.2.99"),
        ("127.0.0.1", "192.0.2.99,", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "10.0.0.1", "10.0.0.1"),  # a proxy itself asks
        ("127.0.0.1", "garbage", "unknown"),
        ("127.0.0.1", "192.0.2.1, garbage", "unknown"),
        ("127.0.0.1", "[::1", "unknown"),
        ("127.0.0.1", "'; drop table jobs", "unknown"),
        ("127.0.0.1", "x" * 4000, "unknown"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_no_proxy_of_ours(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert _seen(peer, ("x-forwarded-for", forwarded_for))[0] == client


def test_several_headers_are_one_list() -> None:
    lines = [("x-forwarded-for", address) for address in ("203.0.113.5", "192.0.2.99", "10.1.1.1")]
    assert _seen("127.0.0.1", *lines)[0] == "192.0.2.99"


def test_a_proxy_that_forwards_one_header_does_not_vouch_for_another() -> None:
    headers = (("forwarded", "for=203.0.113.5"), ("x-real-ip", "203.0.113.5"))
    assert _seen("127.0.0.1", *headers)[0] == "127.0.0.1"
    assert _seen("127.0.0.1", *headers, ("x-forwarded-for", "192.0.2.99"))[0] == "192.0.2.99"


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("127.0.0.1", "https", "https"),
        ("192.0.2.1", "https", "http"),
        ("127.0.0.1", "http", "http"),
        ("127.0.0.1", "gopher", "http"),
        ("127.0.0.1", "https, http", "http"),
        ("127.0.0.1", "", "http"),
    ],
)
def test_only_a_proxy_of_ours_makes_it_https(peer: str, proto: str, scheme: str) -> None:
    assert _seen(peer, ("x-forwarded-proto", proto))[1] == scheme


@pytest.mark.parametrize("text", ["*", "proxy", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/8,", ","])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="takes addresses and networks"):
        parse_networks(text)


@pytest.mark.parametrize(
    "text",
    ["*", "http://a.example", "a.example:80", "a..*.b", "*a.example", "a.example,", "a b", "é.example"],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="takes names"):
        parse_hosts(text)


def _asked_as(server: Server, host: str, path: str = "/api/health") -> httpx.Response:
    return server.get(path, headers={"Host": host})


@pytest.mark.parametrize(
    "host",
    [
        "wall.example.org",
        "WALL.example.org:8000",
        "wall.example.org.",
        "a.gym.example",
        "a.b.gym.example:1",
        "[::1]:80",
    ],
)
def test_a_host_that_is_named_is_served(guarded_server: Server, host: str) -> None:
    assert _asked_as(guarded_server, host).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "wall.example.org.evil.example",
        "evilwall.example.org",
        "gym.example",
        "evilgym.example",
        "127.0.0.2",
        "wall.example.org@evil.example",
        "wall.example.org:80:80",
        "wall.example.org/",
        "[::2]",
        "[::1",
        "x" * 5000,
        "",
    ],
)
def test_another_host_is_refused(guarded_server: Server, host: str) -> None:
    answer = _asked_as(guarded_server, host)
    assert (answer.status_code, problem(answer)["code"]) == (400, "host_not_trusted")
    assert host not in answer.text or not host


def test_what_watches_the_container_may_call_it_anything(guarded_server: Server) -> None:
    assert _asked_as(guarded_server, "10.0.0.7", "/livez").status_code == 200


def test_a_forwarded_host_is_nobodys_business(guarded_server: Server) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "wall.example.org"}
    assert guarded_server.get("/api/health", headers=headers).status_code == 400


def test_any_host_is_served_where_none_is_named_and_nothing_is_built_from_it(server: Server) -> None:
    for path in ("/api/health", "/api/jobs/", "/docs/", "/docs", "//evil.example/api/jobs"):
        answer = server.get(path, headers={"Host": "evil.example"})
        assert answer.status_code in (200, 404)
        assert "evil" not in answer.text
        assert "location" not in answer.headers


def test_https_is_made_to_stick_only_where_a_proxy_of_ours_says_so(
    guarded_server: Server, server: Server
) -> None:
    headers = {"Host": "wall.example.org", "X-Forwarded-Proto": "https"}
    assert (
        guarded_server.get("/livez", headers=headers).headers["strict-transport-security"]
        == "max-age=31536000"
    )
    assert "strict-transport-security" not in guarded_server.get("/livez").headers
    assert "strict-transport-security" not in server.get("/livez", headers=headers).headers


def test_a_proxy_that_was_forgotten_is_pointed_out_once(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    settings = ServiceSettings(_env_file=None, api_keys=SecretStr("a" * 16))
    access = AccessMiddleware(app, settings)
    for number in range(3):
        forwarded = [(b"x-forwarded-for", b"192.0.2.%d" % number)]
        scope = {
            "type": "http",
            "path": "/",
            "method": "GET",
            "client": ("::1", 1),
            "headers": forwarded,
            "state": {},
        }
        asyncio.run(access(scope, None, None))  # type: ignore[arg-type]
    assert caplog.text.count("TRUSTED_PROXIES is empty") == 1
