from pathlib import Path

import pytest

from holdcheck.errors import ModelCorrupt
from holdcheck.manifest import FileRecord, checked_file, sha256, slug


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("ViT-B/32", "vit-b-32"),
        ("ViT-B-32-quickgelu:openai", "vit-b-32-quickgelu-openai"),
        ("/home/me/Best Weights.pt", "best-weights"),
        ("../../etc", "etc"),  # never a way out of the models' folder
    ],
)
def test_a_models_folder_is_named_after_it(name: str, folder: str) -> None:
    assert slug(name) == folder


def test_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path: Path) -> None:
    outside = tmp_path / "secret"
    outside.write_bytes(b"secret")
    inside = tmp_path / "model"
    inside.mkdir()
    record = FileRecord(path="../secret", sha256=sha256(outside), bytes=6)
    with pytest.raises(ModelCorrupt, match="missing"):
        checked_file(inside, record)


def test_a_file_of_the_right_size_but_other_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.ort").write_bytes(b"abcd")
    record = FileRecord(path="model.ort", sha256=sha256(tmp_path / "model.ort"), bytes=4)
    assert checked_file(tmp_path, record) == tmp_path / "model.ort"
    (tmp_path / "model.ort").write_bytes(b"abce")
    with pytest.raises(ModelCorrupt, match="sha256"):
        checked_file(tmp_path, record)
