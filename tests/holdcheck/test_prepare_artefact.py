"""Artefact folders are replaced whole or not at all, and the one before comes back by one command."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from holdcheck.errors import ModelTampered, PrepareError
from holdcheck.manifest import Manifest
from holdcheck.prepare import exchange
from holdcheck.prepare.artefact import preparing, previous, undo, write_manifest, written_aside
from holdcheck.settings import BUNDLED_MODELS


class _Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    (folder / "model.ort").write_text("old")
    (folder / "left-over").write_text("old")
    return folder


def test_a_new_artefact_takes_the_place_of_the_whole_old_one(old: Path) -> None:
    with written_aside(old, 1) as aside:
        (aside / "model.ort").write_text("new")
        assert (old / "model.ort").read_text() == "old"
    assert [path.name for path in old.iterdir()] == ["model.ort"]
    assert (old / "model.ort").read_text() == "new"
    assert sorted(path.name for path in old.parent.iterdir()) == ["clip", "clip.previous"]
    assert (previous(old) / "model.ort").read_text() == "old"


def test_only_the_one_before_is_kept(old: Path) -> None:
    for content in ("new", "newer"):
        with written_aside(old, 1) as aside:
            (aside / "model.ort").write_text(content)
    assert (old / "model.ort").read_text() == "newer"
    assert (previous(old) / "model.ort").read_text() == "new"
    assert sorted(path.name for path in old.parent.iterdir()) == ["clip", "clip.previous"]


def _write_and_raise(folder: Path, error: Exception) -> None:
    with written_aside(folder, 1) as aside:
        (aside / "model.ort").write_text("half")
        raise error


def test_a_failure_half_way_leaves_the_old_artefact_alone(old: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        _write_and_raise(old, ZeroDivisionError())
    assert (old / "model.ort").read_text() == "old"
    assert [path.name for path in old.parent.iterdir()] == ["clip"]


def test_a_full_disk_is_one_line_and_leaves_the_old_artefact_alone(old: Path) -> None:
    with pytest.raises(PrepareError, match="full; free some space"):
        _write_and_raise(old, OSError(errno.ENOSPC, "No space left on device"))
    assert (old / "model.ort").read_text() == "old"


def test_too_little_space_is_said_before_any_work(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Disk(1 << 30, 1 << 30, 5 << 20))
    with (
        pytest.raises(PrepareError, match="5 MiB free and 100 MiB are needed"),
        written_aside(old, 100 << 20),
    ):
        pytest.fail("the block must not run")


def test_a_short_disk_is_told_what_only_undo_needs(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    previous(old).mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Disk(1 << 30, 1 << 30, 5 << 20))
    with (
        pytest.raises(PrepareError, match=r"clip\.previous keeps is only for"),
        written_aside(old, 100 << 20),
    ):
        pytest.fail("the block must not run")


def test_a_place_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(PrepareError, match="MODELS_DIR"), written_aside(tmp_path / "models" / "clip", 1):
        pytest.fail("the block must not run")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A MODELS_DIR whose ViT-B/32 was prepared twice: first from `first`, then from `second`."""
    folder = tmp_path / "models" / "clip" / "vit-b-32"
    for source in ("first", "second"):
        with written_aside(folder, 1) as aside:
            shutil.copytree(BUNDLED_MODELS / "holdclip", aside, dirs_exist_ok=True)
            write_manifest(aside, Manifest.read(aside).model_copy(update={"source": source}))
    return tmp_path / "models"


def _source(models: Path) -> str:
    return Manifest.read(models / "clip" / "vit-b-32").source


def _prepare_undo(models: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "holdcheck", "prepare", "--undo", *arguments],
        env=os.environ | {"MODELS_DIR": str(models)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_command_brings_the_artefact_before_back_and_once_more_the_other(models: Path) -> None:
    for source in ("first", "second"):
        done = _prepare_undo(models)
        assert (done.returncode, done.stderr) == (0, "")
        assert f"from {source}" in done.stdout
        assert _source(models) == source


def test_what_was_never_replaced_cannot_be_undone(models: Path) -> None:
    done = _prepare_undo(models, "--yolo", "best.pt")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"nothing was replaced in {models / 'yolo' / 'best'}" in line


def test_a_kept_artefact_that_was_changed_does_not_come_back(models: Path) -> None:
    folder = models / "clip" / "vit-b-32"
    with (previous(folder) / "prompts.npy").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelTampered):
        undo(folder)
    assert _source(models) == "second"


def test_where_folders_cannot_be_exchanged_at_once_they_are_renamed(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: Path) -> None:
        raise OSError(errno.EINVAL, "as on NFS")

    monkeypatch.setattr(exchange, "_at_once", cannot)
    undo(models / "clip" / "vit-b-32")
    assert _source(models) == "first"
    assert sorted(path.name for path in (models / "clip").iterdir()) == ["vit-b-32", "vit-b-32.previous"]


def test_a_preparation_that_was_killed_leaves_nothing_for_ever(models: Path) -> None:
    """The real command, with a true-size CLIP, after its download."""
    process = subprocess.Popen(
        [sys.executable, "-m", "holdcheck", "prepare", "--random-weights"],
        env=os.environ | {"MODELS_DIR": str(models), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 120
        while not _unfinished(models):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    assert _unfinished(models)
    with preparing(models):
        assert not _unfinished(models)
    assert _source(models) == "second"


def _unfinished(models: Path) -> list[Path]:
    return list(models.glob("*/.unfinished-*"))


def test_two_preparations_do_not_meet(models: Path) -> None:
    with preparing(models):
        done = _prepare_undo(models)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"another preparation works in {models}" in line
    assert _source(models) == "second"
