from pathlib import Path

import pytest

from holdcheck.formats import excerpt

WHOLE = bytes(range(200)) * 1000
STRETCHES = [(0, 3), (50, 50), (100, 70_000), (150_000, 150_010)]
KEPT = b"".join(WHOLE[start:end] for start, end in STRETCHES)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "whole"
    file.write_bytes(WHOLE)
    return file


def test_the_stretches_are_read_as_one_file(path: Path) -> None:
    with excerpt.opened(path, STRETCHES) as file:
        assert file.read() == KEPT
        assert file.read() == b""


@pytest.mark.parametrize("step", [1, 7, 65_536])
def test_reading_in_pieces_loses_nothing(path: Path, step: int) -> None:
    with excerpt.opened(path, STRETCHES) as file:
        assert b"".join(iter(lambda: file.read(step), b"")) == KEPT


@pytest.mark.parametrize("at", [0, 2, 3, 4, 69_000, len(KEPT) - 1, len(KEPT), len(KEPT) + 5])
def test_seeking_counts_what_is_kept(path: Path, at: int) -> None:
    with excerpt.opened(path, STRETCHES) as file:
        file.read(10)
        assert file.seek(at) == at
        assert file.read(20) == KEPT[at : at + 20]
        assert file.seek(0, 2) == len(KEPT)
        assert file.seek(-5, 1) == len(KEPT) - 5
        assert file.read() == KEPT[-5:]


def test_closing_closes_the_file(path: Path) -> None:
    raw = excerpt.Excerpt(path, STRETCHES)
    raw.close()
    with pytest.raises(ValueError, match="closed"):
        raw.read(1)
