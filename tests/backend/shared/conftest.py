import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from backend.shared.database import prepare
from tests.backend.server import ROOT, environment
from tests.postgres import Postgres

StartNode = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def url(postgres: Postgres) -> str:
    """A prepared database without jobs."""
    made = postgres.new_database()
    asyncio.run(prepare(made))
    return made


@pytest.fixture
def start_node() -> Iterator[StartNode]:
    """Starts tests/backend/shared/node.py with these arguments, and waits until it runs."""
    nodes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.backend.shared.node", *arguments]
        node = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment({}))
        nodes.append(node)
        assert node.stdout is not None
        assert node.stdout.readline() == "ready\n"
        return node

    yield start
    for node in nodes:
        node.kill()
        node.communicate()
