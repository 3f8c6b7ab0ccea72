"""deploy/profiles: the real server starts with each, under the limit that it is for, and answers."""

from pathlib import Path

import httpx
import pytest

from backend.settings import ServiceSettings
from bench import profiles
from bench.mix import Photo
from bench.profiles import NAMES, limit_mib, settings_of
from tests.backend import photos
from tests.cgroup import memory_limit
from tests.deploy.test_env_example import FIELDS

_FOR_COMPOSE = {"MEM_LIMIT"}


def test_every_profile_has_a_name_that_the_bench_knows() -> None:
    assert {path.stem for path in profiles.FOLDER.iterdir()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_sets_what_there_is(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = settings_of(name)
    assert settings.keys() <= FIELDS.keys() | _FOR_COMPOSE
    (tmp_path / ".env").write_text((profiles.FOLDER / f"{name}.env").read_text())
    loaded = ServiceSettings.load()
    assert str(loaded.max_holds) == settings["MAX_HOLDS"]


def test_the_smallest_ready_profile_is_the_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    defaults = ServiceSettings.load()
    (tmp_path / ".env").write_text((profiles.FOLDER / "256m.env").read_text())
    assert ServiceSettings.load() == defaults
    assert limit_mib("256m") == 256


@pytest.mark.parametrize("name", NAMES)
def test_the_server_works_with_a_profile_under_its_limit(
    name: str, tmp_path: Path, true_size_models: Path
) -> None:
    form = httpx.Request("POST", "http://127.0.0.1", files={"image": ("photo", photos.wall(800, 600))})
    photo = Photo("wall", form.read(), form.headers["content-type"], "")
    with memory_limit(limit_mib(name), cold=False):
        pass  # skips where there is no limit to be had
    row = profiles.measure(name, true_size_models, [photo], tmp_path, cold=False)
    assert row.broken == []
    assert len(row.answered_s) == 1
