"""Artefact folders are replaced whole or not at all."""

import errno
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from holdcheck.errors import PrepareError
from holdcheck.prepare.artefact import written_aside


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
    assert [path.name for path in old.parent.iterdir()] == ["clip"]


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


def test_a_place_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(PrepareError, match="MODELS_DIR"), written_aside(tmp_path / "models" / "clip", 1):
        pytest.fail("the block must not run")
