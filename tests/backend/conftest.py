from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.backend import photos
from tests.backend.server import Server, start

StartServer = Callable[..., Server]
KEYS = ("first-key-0123456789", "!second~key$with&signs")


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts a server under the given settings; the same settings get the same server."""
    servers: list[Server] = []

    @cache
    def start_once(**settings: str) -> Server:
        servers.append(start(tmp_path_factory.mktemp("server"), settings))
        return servers[-1]

    yield start_once
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(start_server: StartServer) -> Server:
    """The server as it comes, with the bundled detector."""
    return start_server()


@pytest.fixture(scope="session")
def variant_server(start_server: StartServer) -> Server:
    """One with what the default leaves off."""
    return start_server(
        CORS_ORIGINS="https://wall.example, https://gym.example:8443", LOG_FORMAT="json", LOG_LEVEL="debug"
    )


@pytest.fixture(scope="session")
def guarded_server(start_server: StartServer) -> Server:
    """One that limits its clients, which a test tells apart by X-Forwarded-For, and goes by certain names."""
    return start_server(
        RATE_LIMIT="2/second; 3/hour",
        CORS_ORIGINS="https://Wall.example",
        TRUSTED_PROXIES="127.0.0.1",
        TRUSTED_HOSTS="127.0.0.1, wall.example.org, *.gym.example, [::1]",
        YOLO_WEIGHTS="never-prepared",
    )


@pytest.fixture(scope="session")
def closed_server(start_server: StartServer) -> Server:
    """One that KEYS open; a test may come from any address, by X-Forwarded-For."""
    return start_server(
        API_KEYS=", ".join(KEYS),
        TRUSTED_PROXIES="127.0.0.1",
        CORS_ORIGINS="https://wall.example",
        ALLOW_DUMMY="1",
        YOLO_WEIGHTS="fake",
        CLIP_MODEL="fake",
        LOG_LEVEL="debug",
    )


_NEVER_IN_TIME = """
import time
from holdcheck import pipeline
analyze = pipeline.analyze
def slowly(*arguments, should_stop, **named):
    for event in analyze(*arguments, should_stop=should_stop, **named):
        yield event
        while not should_stop():
            time.sleep(0.02)
pipeline.analyze = slowly
"""


@pytest.fixture(scope="session")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One with low limits, whose analyses take longer than they may."""
    settings = {"MAX_UPLOAD_MB": "0.25", "MAX_IMAGE_MEGAPIXELS": "1", "JOB_TIMEOUT_S": "1"}
    server = start(tmp_path_factory.mktemp("small"), settings, prelude=_NEVER_IN_TIME)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def slow_server(start_server: StartServer) -> Server:
    """One whose analyses take long enough to watch: large network input, every hold, batches of one."""
    return start_server(
        YOLO_IMG_SIZE="1280",
        YOLO_CONF="0.02",
        MAX_HOLDS="500",
        CLIP_MODEL="fake",
        CLIP_BATCH_SIZE="1",
        ALLOW_DUMMY="1",
        MAX_QUEUE="2",
    )


@pytest.fixture(scope="session")
def wall() -> bytes:
    return photos.wall()
