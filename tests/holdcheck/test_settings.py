import re
from pathlib import Path

import pytest

from holdcheck.errors import SettingsError
from holdcheck.settings import Settings


@pytest.mark.parametrize(
    ("variable", "value", "takes"),
    [
        ("MAX_HOLDS", "0", "greater than or equal to 1"),
        ("MAX_HOLDS", "forty", "valid integer"),
        ("YOLO_CONF", "1.5", "less than 1"),
        ("YOLO_IMG_SIZE", "650", "multiple of 32"),
        ("RUNTIME", "tensorflow", "'onnx' or 'torch'"),
        ("DEVICE", "tpu", "'cpu', 'cuda' or 'auto'"),
        ("MAX_IMAGE_MEGAPIXELS", "-1", "greater than or equal to 0.1"),
        ("MAX_IMAGE_MEGAPIXELS", "0.0001", "greater than or equal to 0.1"),
        ("ALLOW_DUMMY", "perhaps", "valid boolean"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_with_what_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, value: str, takes: str
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env here
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=re.escape(f"{variable}='{value}'")) as caught:
        Settings.load()
    assert takes in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAX_HOLDS", "no")
    monkeypatch.setenv("CLIP_BATCH_SIZE", "no")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "MAX_HOLDS" in str(caught.value)
    assert "CLIP_BATCH_SIZE" in str(caught.value)


def test_an_empty_value_means_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAX_HOLDS", "")
    assert Settings.load().max_holds == 40
