"""Where the shared store cannot be used, the start ends with one line, which never has the password in it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.backend.server import environment
from tests.backend.test_settings import start_and_end
from tests.postgres import Postgres

_SECRET = "s3cr3t-word"
_NOBODY = f"postgresql://holdcheck:{_SECRET}@127.0.0.1:1/holdcheck"
_FOLDER = "file:///tmp/holdcheck-nowhere"


def _one_line(ended: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert ended.returncode == 2
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("holdcheck: ")
    for word in words:
        assert word in last
    assert _SECRET not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DATABASE_URL": _NOBODY}, ("DATABASE_URL: takes DATA_URL",)),
        ({"DATA_URL": _FOLDER}, ("DATA_URL: takes DATABASE_URL",)),
        ({"DATABASE_URL": f"mysql://a:{_SECRET}@b/c", "DATA_URL": _FOLDER}, ("takes postgresql://",)),
        ({"DATABASE_URL": f"{_SECRET}", "DATA_URL": _FOLDER}, ("takes postgresql://",)),
        (
            {"DATABASE_URL": f"postgresql://a:{_SECRET}@b:port/c", "DATA_URL": _FOLDER},
            ("DATABASE_URL=(hidden)",),
        ),
        (
            {"DATABASE_URL": _NOBODY, "DATA_URL": "gopher://x"},
            ("DATA_URL=gopher://x", "takes file:///FOLDER"),
        ),
        ({"DATABASE_URL": _NOBODY, "DATA_URL": "file://data"}, ("takes file:///FOLDER",)),
        ({"DATABASE_URL": _NOBODY, "DATA_URL": "s3://"}, ("takes file:///FOLDER or s3://",)),
        ({"DATABASE_URL": _NOBODY, "DATA_URL": _FOLDER}, ("DATABASE_URL=(hidden)", "Connect call failed")),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path: Path, settings: dict[str, str], words: tuple[str, ...]) -> None:
    _one_line(start_and_end(tmp_path, "--port", "0", **settings), *words)


def test_a_store_of_files_that_cannot_be_used_is_one_line(tmp_path: Path, postgres: Postgres) -> None:
    (tmp_path / "file").touch()
    folder = (tmp_path / "file" / "below").as_uri()
    ended = start_and_end(tmp_path, "--port", "0", DATABASE_URL=postgres.new_database(), DATA_URL=folder)
    _one_line(ended, f"DATA_URL={folder}: cannot be used")


def test_the_settings_are_printed_without_the_password(tmp_path: Path) -> None:
    printed = start_and_end(tmp_path, "--settings", DATABASE_URL=_NOBODY, DATA_URL=_FOLDER)
    assert printed.returncode == 0
    assert _FOLDER in printed.stdout
    assert _SECRET not in printed.stdout


def test_one_server_alone_imports_nothing_of_it(tmp_path: Path) -> None:
    code = (
        "import sys; from backend.settings import ServiceSettings; from backend.app import create_app; "
        f"create_app(ServiceSettings(_env_file=None, data_dir={str(tmp_path)!r})); "
        "print([name for name in sys.modules if name.split('.')[0] in ('asyncpg', 'fsspec', 'obstore') "
        "or name.startswith('backend.shared')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment({}), check=True
    )
    assert done.stdout.strip() == "[]"
