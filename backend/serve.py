"""The server process: its socket, its signals, its end."""

import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

import uvicorn

from backend import __version__, descriptors, logs
from backend.app import create_app
from backend.connections import Connection
from backend.errors import StorageUnavailable
from backend.service import Service
from backend.settings import ServiceSettings
from backend.store import StoreUnusable

log = logging.getLogger(__name__)

CANNOT_LOAD = os.EX_CONFIG
"""Exit status where a model file is not what its manifest says, or DEVICE asks for what is not there: a
restart alone will not help."""
_BACKLOG = 128
"""So many are accepted at once, before those that are too many are closed: each has a descriptor."""
_STUCK_S = 1
"""What the running analysis may take beyond the grace time to reach its next batch, where it stops."""


class _Server(uvicorn.Server):
    """Ends the queue at the first signal, so that open streams hear of it instead of being cut."""

    def __init__(self, config: uvicorn.Config, service: Service, grace_s: int) -> None:
        super().__init__(config)
        self._service = service
        self._grace_s = grace_s
        self._watchdog = threading.Timer(grace_s + _STUCK_S, _end_by_force)
        self._watchdog.daemon = True

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._service.must_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if not self._service.must_stop:
            log.info(
                "shutting down: the running analysis may finish, those that wait go on after the next start"
            )
        # A thread inside a decoder cannot be stopped, and the interpreter would wait for it without bound.
        self._watchdog.start()
        self._service.jobs.drain(self._grace_s)
        await super().shutdown(sockets)


def serve(settings: ServiceSettings, grace_s: int) -> int:
    """Serve until SIGTERM or SIGINT. Answers the exit status."""
    logs.set_up(settings.log_level, settings.log_format)
    descriptors.raise_limit()
    try:
        listener = _listen(settings)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host's name"
        return _refuse(f"HOST={settings.host} PORT={settings.port}: cannot listen: {reason}", 1)
    try:
        app = create_app(settings)
    except BlockingIOError:
        return _refuse(f"DATA_DIR={settings.data_dir}: another server uses it; each takes its own", 1)
    except OSError as error:
        return _refuse(f"DATA_DIR={settings.data_dir}: {error.strerror}; takes a folder", 2)
    except StoreUnusable as error:
        where = "DATABASE_URL=(hidden)" if settings.shared else f"DATA_DIR={settings.data_dir}"
        return _refuse(f"{where}: its jobs cannot be read: {error}", 2)
    except StorageUnavailable:
        return _refuse(f"DATA_URL={settings.data_url}: cannot be used: the log says why", 2)
    _greet(settings, listener)
    # Without uvloop and httptools: they cost MiB, and the time goes into inference.
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        proxy_headers=False,  # TRUSTED_PROXIES decides, in backend/app.py
        workers=1,
        timeout_graceful_shutdown=grace_s,
    )
    # uvicorn raises the signal again once it has stopped: a clean end is status 0.
    signal.signal(signal.SIGTERM, _ignore)
    signal.signal(signal.SIGINT, _ignore)
    service: Service = app.state.service
    _Server(config, service, grace_s).run([listener])
    return _refuse(str(service.load_error), CANNOT_LOAD) if service.must_stop else 0


def _refuse(reason: str, status: int) -> int:
    print(f"holdcheck: {reason}", file=sys.stderr)
    return status


def _end_by_force() -> None:
    # Its job was put back when the end began: the next start runs it again.
    log.error("the running analysis does not end: the process ends without it")
    os._exit(1)


def _ignore(signum: int, frame: FrameType | None) -> None: ...


def _listen(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle off: else each answer waits 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError:
        listener.close()
        raise
    return listener


def _greet(settings: ServiceSettings, listener: socket.socket) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    log.info("holdcheck %s listens on %s, describes itself at %s/docs", __version__, url, url)
    keys = len(settings.keys)
    sample = min(Path("samples").glob("*.jpg"), default="PHOTO.jpg")
    header = "-H 'X-API-Key: KEY' " if keys else ""
    log.info("try: curl -N %s-F image=@%s %s/api/analyze-stream", header, sample, url)
    if keys:
        log.info("closed: opens to %d %s (API_KEYS)", keys, "key" if keys == 1 else "keys")
    else:
        log.info("open to everybody who can reach it: API_KEYS is empty")
