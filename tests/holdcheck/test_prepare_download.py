"""Downloads against a real HTTP server: resumed, checked, and never used half-written."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from holdcheck.errors import PrepareError
from holdcheck.prepare import hub
from holdcheck.prepare.download import Remote, download

CONTENT = bytes(range(256)) * 40_000  # 10 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT under every path, and breaks off after `patience` bytes of each answer.

    With a `token`, as the hub does it: to nobody else. With `elsewhere`, it sends everybody there.
    """

    resumes = True
    patience = len(CONTENT)
    holds_on = False
    """Keep the connection open where patience ends, until the other side goes."""
    token = ""
    elsewhere = ""
    ranges: list[str | None]
    tokens: list[str | None]
    """The Authorization header of each request for a file."""

    @property
    def home(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def url(self) -> str:
        return f"{self.home}/weights-file.pt"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        if self._turned_away():
            return
        found = self.path.endswith(".safetensors")
        self.send_response((302 if self.server.elsewhere else 200) if found else 404)
        self.send_header("ETag", f'"{DIGEST}"')
        self.send_header("X-Linked-Size", str(len(CONTENT)))
        self.send_header("X-Repo-Commit", "0" * 40)
        if self.server.elsewhere:
            self.send_header("Location", self.server.elsewhere)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()

    def do_GET(self) -> None:
        if self._turned_away() or self._sent_on():
            return
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.resumes else 0
        self.send_response(206 if 0 < start < len(CONTENT) else 416 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start : start + self.server.patience])
        if self.server.holds_on:
            self.rfile.read(1)

    def _turned_away(self) -> bool:
        said = self.headers.get("Authorization")
        if not self.path.startswith("/api/"):  # what the hub's library asks for itself
            self.server.tokens.append(said)
        if not self.server.token or said == f"Bearer {self.server.token}":
            return False
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _sent_on(self) -> bool:
        if not self.server.elsewhere:
            return False
        self.send_response(302)
        self.send_header("Location", self.server.elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    yield from _serving()


@pytest.fixture
def other_server() -> Iterator[Server]:
    """Another origin: the port differs."""
    yield from _serving()


def _serving() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), _Handler)
    running.ranges, running.tokens = [], []
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
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


def test_a_run_that_ended_before_the_checksum_is_continued(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.pt.part").write_bytes(CONTENT)
    assert download(Remote(server.url, DIGEST), tmp_path / "file.pt", silent).read_bytes() == CONTENT
    assert server.ranges == [f"bytes={len(CONTENT)}-"]


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither in the environment nor in a `.env`."""
    monkeypatch.chdir(tmp_path)
    for name in (*hub.TOKEN_NAMES, "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub_server(server: Server, monkeypatch: pytest.MonkeyPatch, no_token: None) -> Server:
    """In the hub's place; it takes one token."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.home)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        server.home + "/{repo_id}/resolve/{revision}/{filename}",
    )
    server.token = "hub-secret-1"
    return server


@pytest.mark.parametrize("name", hub.TOKEN_NAMES)
def test_each_name_of_a_token_opens_the_hub(
    hub_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, " hub-secret-1\n")  # as it comes out of a file
    (remote,) = hub.on_the_hub("owner/repository/")
    assert download(remote, tmp_path / "file", silent).read_bytes() == CONTENT
    assert set(hub_server.tokens) == {"Bearer hub-secret-1"}
    assert "hub-secret-1" not in repr(remote)


def test_the_first_of_the_names_counts_and_a_file_comes_after_the_environment(
    no_token: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hub.token() is None
    (tmp_path / ".env").write_text("\n".join(f"{name}=file-{name}" for name in hub.TOKEN_NAMES))
    assert hub.token() == "file-HF_TOKEN"
    for name in reversed(hub.TOKEN_NAMES):
        (tmp_path / ".env").unlink(missing_ok=True)
        monkeypatch.setenv(name, f"environment-{name}")
        assert hub.token() == f"environment-{name}"


def test_a_token_that_no_header_takes_is_not_repeated(
    no_token: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("hub\nsecret", "hub-secrét"):
        monkeypatch.setenv("HUGGINGFACE_TOKEN", value)
        with pytest.raises(PrepareError, match=r"^HUGGINGFACE_TOKEN=\(hidden\): takes visible ASCII"):
            hub.token()


def test_without_a_token_the_hub_is_said_to_want_one(
    hub_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConnectionError, match="for owner/repository the hub wants a token, in HF_TOKEN"):
        list(hub.on_the_hub("owner/repository/"))
    monkeypatch.setenv("HF_TOKEN", "hub-secret-2")
    with pytest.raises(ConnectionError, match="does not take the token") as caught:
        list(hub.on_the_hub("owner/repository/"))
    assert "hub-secret-2" not in str(caught.value)


def test_the_token_does_not_go_where_the_hub_sends_us(
    hub_server: Server, other_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hub-secret-1")
    hub_server.elsewhere = other_server.url
    (remote,) = hub.on_the_hub("owner/repository/")
    assert download(remote, tmp_path / "at once", silent).read_bytes() == CONTENT
    late = Remote(hub_server.url, DIGEST, headers=(("authorization", "Bearer hub-secret-1"),))
    assert download(late, tmp_path / "later", silent).read_bytes() == CONTENT
    assert set(hub_server.tokens) == {"Bearer hub-secret-1"}
    assert set(other_server.tokens) == {None}


def test_the_token_goes_on_with_a_redirection_at_home(
    hub_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = Remote(
        f"{hub_server.home}/redirected", DIGEST, headers=(("authorization", "Bearer hub-secret-1"),)
    )
    redirect = _Handler._sent_on

    def once(handler: _Handler) -> bool:
        handler.server.elsewhere = hub_server.url if handler.path == "/redirected" else ""
        return redirect(handler)

    monkeypatch.setattr(_Handler, "_sent_on", once)
    assert download(remote, tmp_path / "file", silent).read_bytes() == CONTENT
    assert hub_server.tokens == ["Bearer hub-secret-1"] * 2


def _preparation(endpoint: str, models: Path, **more: str) -> "subprocess.Popen[str]":
    """The command itself, with the hub somewhere else."""
    return subprocess.Popen(
        [sys.executable, "-m", "holdcheck", "prepare", "--clip", "ViT-B-32:laion2b_s34b_b79k"],
        env=os.environ
        | {"HF_ENDPOINT": endpoint, "MODELS_DIR": str(models), "HF_HUB_DISABLE_TELEMETRY": "1"}
        | more,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_preparation_killed_in_mid_download_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    """By the real command, from a hub that wants a token, found by open_clip's own table."""
    server.patience, server.holds_on, server.token = 4_000_000, True, "hub-secret-1"
    part = tmp_path / "checkpoints" / "vit-b-32-laion2b-s34b-b79k.safetensors.part"
    first = _preparation(server.home, tmp_path, HUGGINGFACE_TOKEN="hub-secret-1")
    try:
        _wait_for_bytes(part, 1 << 20, first)
    finally:
        first.send_signal(signal.SIGKILL)
    said = [*first.communicate(timeout=60)]
    came = part.stat().st_size
    assert 0 < came < len(CONTENT)

    server.patience, server.holds_on = len(CONTENT), False
    second = _preparation(server.home, tmp_path, HUGGINGFACE_TOKEN="hub-secret-1")
    said += second.communicate(timeout=300)
    assert server.ranges == [None, f"bytes={came}-"]
    # What came has the right checksum and is no CLIP: the download is kept, no artefact is made.
    assert part.with_suffix("").read_bytes() == CONTENT
    assert second.returncode == 1
    assert "does not hold the weights" in said[-1].splitlines()[-1]
    assert not (tmp_path / "clip" / "vit-b-32-laion2b-s34b-b79k").exists()
    assert "hub-secret" not in "".join(said)


def _wait_for_bytes(file: Path, least: int, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not file.is_file() or file.stat().st_size < least:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_no_network_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    done = _preparation("http://127.0.0.1:9", tmp_path)
    _, errors = done.communicate(timeout=300)
    assert done.returncode == 1
    assert "Traceback" not in errors
    assert "Or bring the file: --clip ViT-B-32:FILE" in errors.splitlines()[-1]


@pytest.mark.parametrize("command", [["--help"], ["prepare", "--help"], ["doctor"]])
def test_no_command_repeats_a_token(command: list[str], tmp_path: Path) -> None:
    tokens = {name: f"hub-secret-of-{name}" for name in hub.TOKEN_NAMES}
    (tmp_path / ".env").write_text("".join(f"{name}={value}-in-file\n" for name, value in tokens.items()))
    done = subprocess.run(
        [sys.executable, "-m", "holdcheck", *command],
        env={"PYTHONPATH": str(Path.cwd()), "PATH": os.environ["PATH"], **tokens},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout + done.stderr
    assert "hub-secret" not in done.stdout + done.stderr
