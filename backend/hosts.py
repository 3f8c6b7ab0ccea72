"""Whom a request believes to talk to: with TRUSTED_HOSTS, only the names that are the server's."""

import logging
import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.errors import HostNotTrusted, respond

log = logging.getLogger(__name__)

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
_HEADER = re.compile(rf"({_NAME}|\[[0-9a-f:.]+\])\.?(?::[0-9]{{1,5}})?")
_PROBES = frozenset({"/livez", "/readyz"})
"""What watches a container asks it by whatever address it has, and hears nothing but whether it lives."""


def parse_hosts(value: Any) -> Any:
    """Read names separated by commas; `*.example.org` stands for all below it.

    Raises:
        ValueError: one of them is none.
    """
    if not isinstance(value, str):
        return value
    hosts = tuple(part.strip().lower() for part in value.split(","))
    if not all(is_host(host.removeprefix("*.")) for host in hosts):
        raise ValueError(
            "takes names like wall.example.org, *.example.org, 192.0.2.1, [::1], without ports, "
            "separated by commas"
        )
    return hosts


def is_host(text: str) -> bool:
    """Whether it is a name, in lower case, an IPv4 address or an IPv6 one in brackets."""
    if re.fullmatch(r"\[.*\]", text):
        try:
            return isinstance(ip_address(text[1:-1]), IPv6Address)
        except ValueError:
            return False
    return re.fullmatch(_NAME, text) is not None


class TrustedHosts:
    """As starlette's, but its refusal is a problem like all others, and it never redirects."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        self._names = frozenset(host for host in hosts if not host.startswith("*"))
        self._endings = tuple(host[1:] for host in hosts if host.startswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _PROBES or self._trusts(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        error = HostNotTrusted("The server is not called by this name (TRUSTED_HOSTS).")
        log.info("refused: %s", error, extra={"code": error.code})
        await respond(error, scope["state"]["request_id"])(scope, receive, send)

    def _trusts(self, headers: Headers) -> bool:
        match = _HEADER.fullmatch(headers.get("host", "").lower())
        return match is not None and (match[1] in self._names or match[1].endswith(self._endings))
