"""A real PostgreSQL of the tests' own: a new cluster in a temporary folder, on a Unix socket only."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from itertools import count
from pathlib import Path

import pytest

_START_S = 60
_USERS = ("postgres", "nobody")


def _programs() -> Path:
    """Where initdb lies: Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    places += [Path(found).resolve().parent] if found else []
    if not places:
        pytest.skip("NOT CHECKED against a real PostgreSQL: initdb is missing (apt-get install postgresql)")
    return places[-1]


class Postgres:
    """One server, with as many databases as the tests want.

    fsync is off: a killed process loses nothing, and what a power cut takes is PostgreSQL's own to test.
    """

    def __init__(self) -> None:
        self._bin = _programs()
        self._user = unprivileged_user()
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        try:
            self._run("initdb", "--pgdata", self._data, "--username=holdcheck", "--auth=trust", "--no-sync")
            self.start()
        except BaseException:
            self.remove()
            raise

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        options = ["fsync=off", "listen_addresses=", f"unix_socket_directories={self.folder}"]
        arguments = [part for option in options for part in ("-c", option)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *arguments],
                stderr=log,
                user=self._user,
                cwd="/",
            )
        ready: list[str | Path] = [self._bin / "pg_isready", "--quiet", "--host", self.folder]
        for _ in range(_START_S * 20):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            try:
                self._process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            break
        raise AssertionError((self.folder / "log").read_text())

    def new_database(self) -> str:
        """Make an empty one; answers its URL."""
        name = f"test{next(self._numbers)}"
        self._run("createdb", "--host", str(self.folder), "--username=holdcheck", name)
        return f"postgresql://holdcheck@/{name}?host={self.folder}"

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends its clients' connections, SIGQUIT at once and without a checkpoint."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_S)
            self._process = None

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], user=self._user, cwd="/", capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


@cache
def running_postgres() -> Postgres:
    """One for the whole run, where no fixture can hand it over."""
    server = Postgres()
    atexit.register(server.remove)
    return server


def unprivileged_user() -> str | None:
    """Whom a server runs as that refuses root; None where we are not root."""
    return next(name for name in _USERS if _has(name)) if os.getuid() == 0 else None


def _has(user: str) -> bool:
    try:
        return pwd.getpwnam(user).pw_uid != 0
    except KeyError:
        return False
