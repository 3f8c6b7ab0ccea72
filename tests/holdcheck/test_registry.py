import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from holdcheck import colour, registry
from holdcheck.errors import ModelTampered
from holdcheck.manifest import sha256
from holdcheck.prepare.verify import sample_crops
from holdcheck.settings import BUNDLED_MODELS, Settings

BUNDLED = BUNDLED_MODELS / "holds-yolo11n-seg"
HOLDCLIP = BUNDLED_MODELS / "holdclip"


def settings(models_dir: Path, **changes: Any) -> Settings:
    return Settings(_env_file=None, models_dir=models_dir, **changes)


def without_model(folder: Path, copy: Path) -> Path:
    """A copy of an artefact whose model is not there."""
    shutil.copytree(folder, copy)
    (copy / "model.ort").unlink()
    return copy


def with_a_bit_changed(folder: Path, copy: Path, name: str = "model.ort") -> Path:
    """A copy of an artefact with one bit of a file changed."""
    shutil.copytree(folder, copy)
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    return copy


def test_the_bundled_models_answer_by_default_and_nothing_is_degraded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        models = registry.load(settings(tmp_path))
    assert models.ready
    assert [info.name for info in models.infos] == ["holds-yolo11n-seg", "holdclip"]
    assert {info.source for info in models.infos} == {"bundled"}
    assert models.component_status.clip
    assert (models.degraded, models.error_reason, models.is_dummy) == (False, None, False)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("holdclip" in line and "make models" in line for line in lines) == 1
    assert not any("[CLIP-FALLBACK]" in line for line in lines)
    assert any("[memory] yolo loaded:" in line for line in lines)


def test_the_bundled_clip_can_be_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        models = registry.load(settings(tmp_path, clip_model="holdclip"))
    assert models.infos[1].name == "holdclip"
    assert models.component_status.clip
    assert not models.degraded
    assert not any("make models" in record.getMessage() for record in caplog.records)


def test_both_runtimes_serve_the_bundled_clip(tmp_path: Path) -> None:
    answers = []
    for runtime in ("onnx", "torch"):
        classifier = registry.load(settings(tmp_path, runtime=runtime, device="cpu")).classifier
        assert classifier is not None
        crops = sample_crops(classifier.input_size)
        answers.append(classifier.head.probabilities(classifier.embed(crops)))
    assert np.abs(answers[0] - answers[1]).max() < 0.02


def test_another_clip_than_the_one_asked_for_is_a_step_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    models = registry.load(settings(tmp_path, clip_model="ViT-B/16"))
    assert models.infos[1].name == "holdclip"
    assert models.degraded
    assert not models.component_status.clip
    assert "CLIP_MODEL=ViT-B/16 is not prepared" in str(models.error_reason)
    assert "prepare --clip ViT-B/16" in str(models.error_reason)
    assert any(record.getMessage().startswith("[CLIP-FALLBACK]") for record in caplog.records)


def test_a_corrupt_clip_is_a_step_down_though_it_is_the_default(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without_model(HOLDCLIP, tmp_path / "clip" / "vit-b-32")
    models = registry.load(settings(tmp_path))
    assert models.infos[1].name == "holdclip"
    assert models.degraded
    assert not models.component_status.clip
    assert "prepare`. The bundled holdclip answers" in str(models.error_reason)
    assert any(record.getMessage().startswith("[CLIP-FALLBACK]") for record in caplog.records)


@pytest.mark.parametrize("name", ["ViT-B/32", "holdclip", "ViT-B/16"])
def test_with_the_bundled_clip_broken_lab_answers_alone(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_BUNDLED_CLIP_FOLDER", without_model(HOLDCLIP, tmp_path / "broken"))
    models = registry.load(settings(tmp_path, clip_model=name))
    assert models.ready
    assert models.classifier is None
    assert models.degraded
    assert not models.component_status.clip
    assert "model.ort is missing" in str(models.error_reason)
    (line,) = (r.getMessage() for r in caplog.records if r.getMessage().startswith("[CLIP-FALLBACK]"))
    assert line.endswith("Colours come from Lab statistics alone.")


def test_a_prepared_detector_is_found_by_its_files_name(tmp_path: Path) -> None:
    shutil.copytree(BUNDLED, tmp_path / "yolo" / "my-weights")
    assert registry.load(settings(tmp_path, yolo_weights="somewhere/My Weights.pt")).ready


@pytest.mark.parametrize(
    ("artefact", "place", "file", "chosen"),
    [
        (BUNDLED, "yolo/mine", "model.ort", {"yolo_weights": "mine"}),
        (BUNDLED, "yolo/mine", "model.ort", {"yolo_weights": "mine", "allow_dummy": True}),
        (BUNDLED, "yolo/mine", "weights.safetensors", {"yolo_weights": "mine", "runtime": "torch"}),
        (HOLDCLIP, "clip/vit-b-32", "model.ort", {}),  # though another could stand in
        (HOLDCLIP, "clip/vit-b-32", "prompts.npy", {}),
        (HOLDCLIP, "clip/vit-b-32", "open_clip_model.safetensors", {"runtime": "torch", "device": "cpu"}),
    ],
)
def test_a_file_that_was_changed_is_no_step_down_but_the_end(
    artefact: Path, place: str, file: str, chosen: dict[str, Any], tmp_path: Path
) -> None:
    folder = with_a_bit_changed(artefact, tmp_path / place, file)
    with pytest.raises(ModelTampered) as raised:
        registry.load(settings(tmp_path, **chosen))
    line = str(raised.value)
    assert line.startswith(f"{folder / file} is not the file that its manifest describes")
    assert sha256(artefact / file)[:12] in line  # what was expected
    assert sha256(folder / file)[:12] in line
    assert "restore it, or prepare it again" in line
    assert "\n" not in line


def test_the_bundled_models_are_not_trusted_more_than_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_BUNDLED_CLIP_FOLDER", with_a_bit_changed(HOLDCLIP, tmp_path / "clip"))
    with pytest.raises(ModelTampered):
        registry.load(settings(tmp_path))


@pytest.mark.parametrize("name", ["MODEL", "POOLS"])
def test_nor_is_the_colour_model(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = getattr(colour, name)
    folder = with_a_bit_changed(file.parent, tmp_path / "colour", file.name)
    monkeypatch.setattr(colour, name, folder / file.name)
    colour.load_model.cache_clear()
    colour._pools.cache_clear()
    try:
        with pytest.raises(ModelTampered, match=file.name):
            registry.load(settings(tmp_path))
    finally:
        colour.load_model.cache_clear()
        colour._pools.cache_clear()


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
    assert models.infos[1].name == "holdclip"
    assert models.degraded
    assert "yolo model where a clip model was expected" in str(models.error_reason)


def test_a_prepared_clip_answers_instead_of_the_bundled_one(true_size_models: Path) -> None:
    models = registry.load(settings(true_size_models))
    assert not models.degraded
    assert models.component_status.clip
    assert models.infos[1].name == "ViT-B/32"
    assert models.is_dummy  # its weights are random, and it says so


def test_the_fake_needs_to_be_allowed(tmp_path: Path) -> None:
    assert not registry.load(settings(tmp_path, yolo_weights="fake")).ready
    allowed = registry.load(settings(tmp_path, yolo_weights="missing.pt", allow_dummy=True))
    assert allowed.ready
    assert allowed.is_dummy
    assert "missing.pt is not prepared" in str(allowed.error_reason)


def test_what_an_image_was_built_with_answers_until_another_of_its_name_is_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built_in, volume = tmp_path / "built in", tmp_path / "volume"
    shutil.copytree(HOLDCLIP, built_in / "clip" / "vit-b-16")
    monkeypatch.setattr(registry, "BUNDLED_MODELS", built_in)
    asked = settings(volume, clip_model="ViT-B/16")
    assert not registry.load(asked).degraded
    without_model(HOLDCLIP, volume / "clip" / "vit-b-16")
    assert str(volume) in (registry.load(asked).error_reason or "")
