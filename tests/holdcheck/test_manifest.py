from pathlib import Path

import pytest

from holdcheck import memory
from holdcheck.errors import ModelCorrupt, ModelTampered
from holdcheck.manifest import FileRecord, checked_file, clip_slug, listed_file, sha256, slug
from holdcheck.prepare.artefact import list_file


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


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("ViT-B/32", "vit-b-32"),
        ("ViT-B/32:ViT-B-32.pt", "vit-b-32"),
        ("ViT-B/32:/models/checkpoints/anything.safetensors", "vit-b-32"),
        ("ViT-B-32-quickgelu:weights.pth", "vit-b-32-quickgelu"),
        ("ViT-B-32:laion2b_s34b_b79k", "vit-b-32-laion2b-s34b-b79k"),
        ("ViT-B-32-quickgelu:openai", "vit-b-32-quickgelu-openai"),
        ("holdclip", "holdclip"),
        ("/srv/My CLIP", "srv-my-clip"),
        ("/srv/a:b.pt/clip", "srv-a-b-pt-clip"),
    ],
)
def test_a_clip_made_from_a_file_is_found_by_the_clips_name(name: str, folder: str) -> None:
    assert clip_slug(name) == folder


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
    with pytest.raises(ModelTampered, match="sha256"):
        checked_file(tmp_path, record)


def test_a_list_says_what_each_file_beside_it_is_to_be(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    for path in (first, second):
        path.write_text(path.name)
        list_file(path)
    assert listed_file(first) == first
    second.write_text("another")
    with pytest.raises(ModelTampered, match=r"second\.json"):
        listed_file(second)
    list_file(second)  # on purpose this time
    assert (listed_file(first), listed_file(second)) == (first, second)


def test_a_file_of_which_no_list_tells_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    with pytest.raises(ModelCorrupt, match=r"manifest\.json"):
        listed_file(path)
    (tmp_path / "manifest.json").write_text('{"format": 1, "files": []}')
    with pytest.raises(ModelCorrupt, match="does not name file"):
        listed_file(path)


def test_checking_a_large_model_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.ort"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    record = FileRecord(path=path.name, sha256=sha256(path), bytes=64 << 20)
    if not memory.reset_peak():
        pytest.skip("this system does not tell what a moment's peak was")
    before = memory.snapshot().rss_mb
    checked_file(tmp_path, record)
    assert memory.snapshot().peak_mb - before < 4
