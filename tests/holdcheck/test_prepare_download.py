"""Downloads against a real HTTP server: resumed, checked, and never used half-written."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from holdcheck.errors import PrepareError
from holdcheck.prepare.download import Remote, download

CONTENT = bytes(range(256)) * 40_000  # 10 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every path, and breaks off after `patience` bytes of each answer."""

    resumes = True
    patience = len(CONTENT)
    ranges: list[str | None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/weights-file.pt"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        found = self.path.endswith(".safetensors")
        self.send_response(200 if found else 404)
        self.send_header("ETag", f'"{DIGEST}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.resumes else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.patience])

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), _Handler)
    running.ranges = []
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def silent(_: str) -> None: ...


def test_a_file_arrives_whole_and_checked_with_a_progress_bar(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    target = download(Remote(server.url, DIGEST, len(CONTENT)), tmp_path / "file.pt", silent)
    assert target.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.pt", "file.pt.sha256"]
    output = capfd.readouterr()
    assert "100%" in output.err
    assert output.out == ""


def test_a_broken_connection_is_continued_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.patience = 4_000_000
    target = download(Remote(server.url, DIGEST, len(CONTENT)), tmp_path / "file.pt", silent)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=4000000-", "bytes=8000000-"]


def test_what_an_earlier_run_left_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.pt.part").write_bytes(CONTENT[:9_999_999])
    assert download(Remote(server.url, DIGEST), tmp_path / "file.pt", silent).read_bytes() == CONTENT
    assert server.ranges == ["bytes=9999999-"]


def test_a_server_that_cannot_resume_is_asked_from_the_start(server: Server, tmp_path: Path) -> None:
    server.resumes = False
    (tmp_path / "file.pt.part").write_bytes(b"x" * 5000)
    assert download(Remote(server.url, DIGEST), tmp_path / "file.pt", silent).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing_to_use(server: Server, tmp_path: Path) -> None:
    with pytest.raises(PrepareError, match="instead of 00000000"):
        download(Remote(server.url, "0" * 64), tmp_path / "file.pt", silent)
    assert list(tmp_path.iterdir()) == []


def test_no_server_leaves_what_came_so_far(tmp_path: Path) -> None:
    (tmp_path / "file.pt.part").write_bytes(b"x" * 5000)
    with pytest.raises(ConnectionError):
        download(Remote("http://127.0.0.1:9/file.pt", DIGEST), tmp_path / "file.pt", silent)
    assert [path.name for path in tmp_path.iterdir()] == ["file.pt.part"]


def _prepare(endpoint: str, models: Path, clip: str) -> "subprocess.CompletedProcess[str]":
    """The command itself, with the hub somewhere else."""
    return subprocess.run(
        [sys.executable, "-m", "holdcheck", "prepare", "--clip", clip],
        env=os.environ
        | {"HF_ENDPOINT": endpoint, "MODELS_DIR": str(models), "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_hub_weights_are_found_by_open_clips_own_table_and_checked(server: Server, tmp_path: Path) -> None:
    endpoint = f"http://127.0.0.1:{server.server_port}"
    done = _prepare(endpoint, tmp_path, "ViT-B-32:laion2b_s34b_b79k")
    # What came has the right checksum and is no CLIP: the download is kept, no artefact is made.
    fetched = tmp_path / "checkpoints" / "vit-b-32-laion2b-s34b-b79k.safetensors"
    assert fetched.read_bytes() == CONTENT
    assert done.returncode == 1
    assert "does not hold the weights" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "clip" / "vit-b-32-laion2b-s34b-b79k").exists()


def test_no_network_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    done = _prepare("http://127.0.0.1:9", tmp_path, "ViT-B-32:laion2b_s34b_b79k")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Or bring the file: --clip ViT-B-32:FILE" in done.stderr.splitlines()[-1]
