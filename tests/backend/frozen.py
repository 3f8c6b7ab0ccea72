"""DATA_DIRs of every schema there was, each made by the server of its time: `python -m tests.backend.frozen`.

Run it when a migration was appended to `backend.store.MIGRATIONS`, so that later versions have what this one
leaves: data/data-dir-schema-N.tar.gz, with a job of each status, of a server that was killed while one ran.
"""

import json
import signal
import sqlite3
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

from backend.store import MIGRATIONS
from tests.backend import photos
from tests.backend.server import Server, problem, start

FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake", "JOB_TTL_S": "604800"}
STATUSES = ("done", "failed", "cancelled", "running", "queued")
"""Also the `Idempotency-Key` of the job that has it."""
_FOLDER = Path(__file__).parent / "data"
HOLD = "hold"
SLOWLY = """
import time
from pathlib import Path
from holdcheck import pipeline
analyze = pipeline.analyze
def slowly(*arguments, should_stop, **named):
    for event in analyze(*arguments, should_stop=should_stop, **named):
        yield event
        while event.step == "detection_complete" and Path("hold").exists() and not should_stop():
            time.sleep(0.02)
pipeline.analyze = slowly
"""
"""While a file called HOLD lies in the server's folder, an analysis does not get beyond its detection."""


def archive(version: int) -> Path:
    return _FOLDER / f"data-dir-schema-{version}.tar.gz"


def unpack(version: int, folder: Path) -> Path:
    """The DATA_DIR as it was; what would have expired since has as long again."""
    with tarfile.open(archive(version)) as packed:
        packed.extractall(folder, filter="tar")
    data = folder / "data"
    connection = sqlite3.connect(data / "jobs.sqlite3")
    with connection:
        connection.execute(
            "UPDATE jobs SET expires_at = ? WHERE expires_at IS NOT NULL", (time.time() + 3600,)
        )
    connection.close()
    return data


def rows(data: Path) -> dict[str, dict[str, Any]]:
    """The jobs' rows by their keys; the cancelled one has lost its own."""
    connection = sqlite3.connect(data / "jobs.sqlite3")
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute("SELECT * FROM jobs")]
    connection.close()
    return {row["idempotency_key"] or row["status"]: row for row in found}


def make(folder: Path) -> Path:
    """Let this version's server leave a DATA_DIR behind."""
    server = start(folder, FAKES, prelude=SLOWLY)
    try:
        _post(server, "done", photos.wall(480, 360))
        _post(server, "failed", _damaged())
        for key in ("done", "failed"):
            _until(server, key, key)
        (folder / HOLD).touch()
        for key in ("running", "queued", "cancelled"):
            _post(server, key, photos.wall(480, 360))
        _until(server, "running", "running")
        cancelled = rows(folder / "data")["cancelled"]["id"]
        assert server.request("DELETE", f"/api/jobs/{cancelled}").is_success
        deadline = time.monotonic() + 30
        while "detection_complete" not in _events(server, "running"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    return folder / "data"


def _damaged() -> bytes:
    """A PNG that is right from outside and does not decompress."""
    data = bytearray(photos.png(640, 480))
    middle = data.index(b"IDAT") + 20
    data[middle : middle + 8] = bytes(8)
    return bytes(data)


def _post(server: Server, key: str, photo: bytes) -> None:
    answer = server.post(photo, "/api/jobs", headers={"Idempotency-Key": key})
    assert answer.status_code == 202, problem(answer)


def _until(server: Server, key: str, status: str) -> None:
    deadline = time.monotonic() + 30
    while (row := rows(server.data_dir)[key])["status"] != status:
        assert time.monotonic() < deadline, row
        time.sleep(0.02)


def _events(server: Server, key: str) -> str:
    job = rows(server.data_dir)[key]["id"]
    file = server.data_dir / "jobs" / job / "interim" / "events"
    return file.read_text() if file.is_file() else ""


def main() -> None:
    target = archive(len(MIGRATIONS))
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        data = make(Path(folder))
        with tarfile.open(target, "w:gz") as packed:
            packed.add(data, "data")
        print(target, target.stat().st_size, json.dumps({k: r["status"] for k, r in rows(data).items()}))


if __name__ == "__main__":
    main()
