import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from holdcheck.manifest import MANIFEST_NAME
from holdcheck.prepare import run
from holdcheck.settings import Settings
from tests.postgres import Postgres, running_postgres
from tests.s3 import S3, running_s3

_CACHE = Path(__file__).parents[1] / "build" / "test-models"


@pytest.fixture(scope="session")
def true_size_models() -> Path:
    """A MODELS_DIR with a ViT-B/32 of true size, seeded random weights; kept between runs."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:  # two runs beside each other make it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (_CACHE / "clip" / "vit-b-32" / MANIFEST_NAME).is_file():
            run("ViT-B/32", None, True, Settings(_env_file=None, models_dir=_CACHE), print)
    return _CACHE


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """A PostgreSQL that is running."""
    return running_postgres()


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3-compatible server that is running, and named in this process's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running_s3().environment.items():
            patch.setenv(name, value)
        yield running_s3()
