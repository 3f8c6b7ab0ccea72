"""While a photo is decoded there may be no memory for a new thread's stack: all are there from the start."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.backend.server import Server, start


def test_no_thread_starts_while_photos_come(tmp_path: Path, wall: bytes) -> None:
    server = start(tmp_path, {"MAX_QUEUE": "20"})
    try:
        before = _threads(server)
        with ThreadPoolExecutor(8) as phones:
            answers = list(phones.map(lambda _: server.post(wall, "/api/analyze"), range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert _threads(server) == before
    finally:
        server.stop()


def _threads(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))
