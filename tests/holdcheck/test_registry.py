import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdcheck import registry
from holdcheck.settings import BUNDLED_MODELS, Settings

BUNDLED = BUNDLED_MODELS / "holds-yolo11n-seg"


def settings(models_dir: Path, **changes: Any) -> Settings:
    return Settings(_env_file=None, models_dir=models_dir, **changes)


def test_the_bundled_detector_answers_by_default(tmp_path: Path) -> None:
    models = registry.load(settings(tmp_path))
    assert models.ready
    assert [info.name for info in models.infos] == ["holds-yolo11n-seg"]
    assert not models.is_dummy


def test_a_missing_clip_is_logged_with_its_prefix(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        models = registry.load(settings(tmp_path))
    assert any(record.getMessage().startswith("[CLIP-FALLBACK]") for record in caplog.records)
    assert any("[memory] yolo loaded:" in record.getMessage() for record in caplog.records)
    assert not any("[memory] clip loaded:" in record.getMessage() for record in caplog.records)
    assert models.degraded


def test_a_prepared_detector_is_found_by_its_files_name(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED, tmp_path / "yolo" / "my-weights")
    assert registry.load(settings(tmp_path, yolo_weights="somewhere/My Weights.pt")).ready


def test_a_model_file_that_was_changed_is_never_loaded(tmp_path: Path) -> None:
    folder = tmp_path / "yolo" / "mine"
    shutil.copytree(BUNDLED, folder)
    with (folder / "model.ort").open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"changed")
    models = registry.load(settings(tmp_path, yolo_weights="mine"))
    assert not models.ready
    assert "sha256" in str(models.error_reason)


def test_a_manifest_that_is_none_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "yolo" / "mine"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    models = registry.load(settings(tmp_path, yolo_weights="mine"))
    assert not models.ready
    assert "not a manifest" in str(models.error_reason)


def test_a_detector_where_a_clip_belongs_is_refused(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED, tmp_path / "clip" / "vit-b-32")
    models = registry.load(settings(tmp_path))
    assert models.classifier is None
    assert "yolo model where a clip model was expected" in str(models.error_reason)


def test_a_prepared_clip_ends_the_degraded_answers(true_size_models: Path) -> None:
    models = registry.load(settings(true_size_models))
    assert not models.degraded
    assert models.component_status.clip
    assert models.is_dummy  # its weights are random, and it says so


def test_the_fake_needs_to_be_allowed(tmp_path: Path) -> None:
    assert not registry.load(settings(tmp_path, yolo_weights="fake")).ready
    allowed = registry.load(settings(tmp_path, yolo_weights="missing.pt", allow_dummy=True))
    assert allowed.ready
    assert allowed.is_dummy
    assert "missing.pt is not prepared" in str(allowed.error_reason)
