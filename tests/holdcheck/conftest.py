from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def photo(tmp_path: Path) -> Callable[[bytes], Path]:
    """Bytes -> a file whose name says nothing."""

    def write(data: bytes) -> Path:
        path = tmp_path / "upload.bin"
        path.write_bytes(data)
        return path

    return write
