"""A job's events on the disk: exact after a kill, cut back to what is whole after a power cut."""

import os
from pathlib import Path

import pytest

from backend import event_log
from backend.errors import StorageFull
from backend.event_log import Line, Reader

LINES = [Line(number, b'{"seq":%d}' % number) for number in (1, 2, 3)]


def _read(reader: Reader, end: int | None = None) -> list[int]:
    numbers = []
    while (line := reader.next(end)) is not None:
        numbers.append(line.seq)
    return numbers


@pytest.mark.parametrize(("after", "numbers"), [(0, [1, 2, 3]), (1, [2, 3]), (3, []), (9, [])])
def test_a_reader_begins_after_the_number_it_is_given(tmp_path: Path, after: int, numbers: list[int]) -> None:
    event_log.append(tmp_path / "events", LINES, 0)
    reader = Reader(tmp_path / "events", after)
    assert _read(reader) == numbers
    reader.close()


def test_a_reader_waits_at_what_is_published_and_goes_on_there(tmp_path: Path) -> None:
    file = tmp_path / "events"
    reader = Reader(file, 0)
    assert reader.next(0) is None  # not even the file is there
    first = event_log.append(file, LINES[:1], 0)
    end = event_log.append(file, LINES[1:], first)
    assert _read(reader, first) == [1]
    assert _read(reader, end) == [2, 3]
    reader.close()


def test_what_is_erased_can_be_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "events"
    event_log.append(file, LINES, 0)
    reader = Reader(file, 0)
    file.unlink()
    assert _read(reader) == [1, 2, 3]
    reader.close()


@pytest.mark.parametrize(
    "scrap",
    [b"", b"4", b'4 {"se', b"\0" * 300, b'4 {"a":"\0\0"}\n', b'2 {"seq":2}\n', b"no number\n", b"\n"],
    ids=["none", "number", "half a line", "zeros", "zeros within", "an old number", "text", "an empty line"],
)
def test_recovery_keeps_whole_lines_and_cuts_off_scraps(tmp_path: Path, scrap: bytes) -> None:
    file = tmp_path / "events"
    end = event_log.append(file, LINES, 0)
    with file.open("ab") as log:
        log.write(scrap)
    assert event_log.recover(file) == (LINES[-1], end)
    assert file.stat().st_size == end


def test_recovery_of_a_job_that_had_no_event_yet(tmp_path: Path) -> None:
    assert event_log.recover(tmp_path / "events") == (None, 0)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "events"
    end = event_log.append(file, LINES[:1], 0)

    def half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(event_log, "write_all", half)
    with pytest.raises(StorageFull):
        event_log.append(file, LINES[1:], end)
    assert event_log.recover(file) == (LINES[0], end)
