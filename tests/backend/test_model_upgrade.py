"""Models change under a running server: it goes on with what it loaded until its next start."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from holdcheck.manifest import Manifest
from holdcheck.prepare.artefact import previous, write_manifest, written_aside
from holdcheck.settings import BUNDLED_MODELS
from tests.backend import photos
from tests.backend.server import Server, environment, start


def _put(folder: Path, source: str) -> None:
    """As prepare puts an artefact in its place."""
    with written_aside(folder, 1) as aside:
        shutil.copytree(BUNDLED_MODELS / "holdclip", aside, dirs_exist_ok=True)
        write_manifest(aside, Manifest.read(aside).model_copy(update={"source": source}))


def _answer(server: Server, photo: bytes) -> Any:
    result = server.post(photo, "/api/analyze").json()
    return result["hold_data"], result["problems"]


def _classifier_source(server: Server) -> str:
    (clip,) = [model for model in server.get("/api/health").json()["models"] if model["name"] == "holdclip"]
    return str(clip["source"])


def test_a_running_server_keeps_its_models_until_it_starts_again(tmp_path: Path) -> None:
    folder, photo = tmp_path / "models" / "clip" / "vit-b-32", photos.wall(640, 480)
    _put(folder, "first")
    settings = {"MODELS_DIR": str(tmp_path / "models")}
    server = start(tmp_path, settings)
    try:
        before = _answer(server, photo)
        _put(folder, "second")
        shutil.rmtree(previous(folder))  # worse than an upgrade: the mapped file has no name any more
        _put(folder, "third")
        assert _answer(server, photo) == before
        _undo(settings)
        assert _answer(server, photo) == before
        assert _classifier_source(server) == "first"
    finally:
        server.stop()
    server = start(tmp_path, settings)
    try:
        assert _classifier_source(server) == "second"
    finally:
        server.stop()


def _undo(settings: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "holdcheck", "prepare", "--undo"],
        env=environment(settings),
        check=True,
        capture_output=True,
        timeout=60,
    )
