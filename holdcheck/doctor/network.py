"""Who can reach the service, and what stands between."""

import errno
import ipaddress
import json
import os
import socket
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from holdcheck.doctor.configuration import Configuration, Service
from holdcheck.doctor.finding import Finding

_PATIENCE_S = 3
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_FOR_THIS_MACHINE = ("127.0.0.1", "localhost")
_PRIVILEGED = 1024
_CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""What Docker and Podman leave in every container."""


@dataclass(frozen=True, slots=True)
class Port:
    """What became of asking for the port."""

    finding: Finding
    models: tuple[str, ...] | None = None
    """What answers in the service where it is that which has the port; else None."""
    limit_mb: float | None = None
    """What that service is allowed, by its own account; else None."""


def port(configuration: Configuration) -> Port:
    """Whether it is free; if not, who has it."""
    service = configuration.service
    if service is None:
        return Port(Finding("port", "the service is not installed: only the library"))
    where = f"HOST={service.host} PORT={service.port}"
    number = _bind(service.host, service.port)
    if number is None:
        return Port(Finding("port", f"{where} is free"))
    if number == errno.EADDRINUSE:
        return _taken(service, where)
    if number == errno.EACCES and service.port < _PRIVILEGED:
        text = f"{where}: only root may listen below {_PRIVILEGED}"
        return Port(Finding("port", text, "problem", "PORT=8000, and a proxy in front"))
    text = f"{where}: cannot listen: {os.strerror(number) if number else 'no host of that name'}"
    return Port(
        Finding("port", text, "problem", "HOST=127.0.0.1, or 0.0.0.0 for all addresses of this machine")
    )


def _bind(host: str, number: int) -> int | None:
    """The error of listening there as the service does; 0 for a name that is none, None for no error."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
            probe.listen()
    except (socket.gaierror, UnicodeError):
        return 0
    except OSError as error:
        return error.errno or 0
    return None


def _taken(service: Service, where: str) -> Port:
    host = "127.0.0.1" if service.host in _EVERYWHERE else service.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{service.port}"
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    question = urllib.request.Request(f"{url}/api/health")  # noqa: S310 - the scheme is ours
    if service.trusted_hosts:
        question.add_header("Host", service.trusted_hosts[0].replace("*.", "any."))
    try:
        with ask.open(question, timeout=_PATIENCE_S) as answer:
            health = json.load(answer)
        text = f"{where}: holdcheck {health['version']} answers there, {health['status']}"
        reason = health["error_reason"]
        models = tuple(f"{model['name']} ({model['precision']})" for model in health["models"])
        limit_mb = float(health["memory"]["limit_mb"])
    except (OSError, ValueError, KeyError, TypeError):
        text = f"{where} is taken by something else"
        remedy = f"PORT={service.port + 1 if service.port < 65535 else 8000}, or end what has it (ss -ltnp)"
        return Port(Finding("port", text, "problem", remedy))
    if reason:
        return Port(Finding("port", f"{text}: {reason}", "warning", "its log says more"), models, limit_mb)
    return Port(Finding("port", text), models, limit_mb)


def access(configuration: Configuration) -> list[Finding]:
    """Who gets in, and whether clients behind a proxy can be told apart."""
    service = configuration.service
    if service is None:
        return []
    found = []
    local = _is_loopback(service.host)
    if not local and not service.has_keys:
        found.append(_open_to_all(service.host))
    if local and service.trusted_proxies and not any(map(_is_loopback, service.trusted_proxies)):
        text = f"HOST={service.host} is reached from this machine alone, and TRUSTED_PROXIES are others"
        found.append(Finding("access", text, "warning", "TRUSTED_PROXIES=127.0.0.1, or another HOST"))
    if local and service.rate_limited and not service.has_keys and not service.trusted_proxies:
        text = "RATE_LIMIT counts all clients of a proxy on this machine as one"
        found.append(Finding("access", text, "warning", "TRUSTED_PROXIES=127.0.0.1 where there is a proxy"))
    if service.trusted_hosts and "127.0.0.1" not in service.trusted_hosts:
        text = "TRUSTED_HOSTS lacks 127.0.0.1: monitor_memory.sh and monitor_docker.sh are refused"
        found.append(Finding("access", text, "warning", "127.0.0.1 in TRUSTED_HOSTS"))
    keys = "with keys" if service.has_keys else "without keys, from this machine alone"
    return found or [Finding("access", f"HOST={service.host}, {keys}")]


def _open_to_all(host: str) -> Finding:
    text, remedy = f"HOST={host} without API_KEYS", "API_KEYS=$(openssl rand -hex 24)"
    if any(mark.exists() for mark in _CONTAINER_MARKS):
        # It has to listen everywhere to be reached at all; from in here nobody sees who that is.
        text = f"{text}: whom it is open to is decided where the container's port is published"
        remedy = f"nothing where that is 127.0.0.1 alone, as in docker-compose.yml; else {remedy}"
    else:
        text = f"{text}: who reaches the port may use it"
    return Finding("access", text, "warning", remedy)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_network(host, strict=False).is_loopback
    except ValueError:
        return host == "localhost"


def proxies() -> list[Finding]:
    """The environment's proxies: `prepare` downloads through them, and curl would ask the service so."""
    found = []
    set_ones = {
        name: os.environ.get(name) or os.environ.get(name.lower()) for name in ("HTTP_PROXY", "HTTPS_PROXY")
    }
    for name, value in set_ones.items():
        if value and not _is_proxy(value):
            text = f"{name} is no address of a proxy: prepare cannot download"
            found.append(Finding("proxies", text, "warning", f"{name}=http://HOST:PORT"))
        both = {os.environ.get(name), os.environ.get(name.lower())} - {None}
        if len(both) > 1:
            text = f"{name} and {name.lower()} differ: some programs read one, some the other"
            found.append(Finding("proxies", text, "warning", f"{name.lower()}=the same"))
    if set_ones["HTTP_PROXY"] and not _bypassed():
        text = "HTTP_PROXY without NO_PROXY: curl would ask a proxy for the service on this machine"
        found.append(Finding("proxies", text, "warning", f"NO_PROXY={','.join(_FOR_THIS_MACHINE)}"))
    through = ", ".join(name for name, value in set_ones.items() if value)
    return found or [Finding("proxies", f"{through}: prepare downloads through it" if through else "none")]


def _is_proxy(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return bool(parts.scheme and parts.hostname and (parts.port is None or parts.port > 0))
    except ValueError:
        return False


def _bypassed() -> bool:
    names = (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").replace(" ", "").split(",")
    return "*" in names or all(name in names for name in _FOR_THIS_MACHINE)
