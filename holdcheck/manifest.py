"""An artefact's manifest: what a model file is, where it came from, and how to feed it."""

import hashlib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from holdcheck.errors import ModelCorrupt, ModelNotPrepared, ModelTampered
from holdcheck.settings import BUNDLED_MODELS

MANIFEST_NAME = "manifest.json"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Strict):
    """One file beside the manifest."""

    path: str
    sha256: str
    bytes: int


class Cosine(_Strict):
    """Agreement of the artefact's embeddings with the torch tower's, over `images` crops."""

    mean: float
    minimum: float
    images: int


class Prompts(_Strict):
    """The text side of a CLIP, computed in prepare. `embeddings`: .npy of float32 (colours, D), unit rows."""

    colours: tuple[str, ...]
    templates: tuple[str, ...]
    embeddings: FileRecord
    logit_scale: float


class Manifest(_Strict):
    """Written by prepare, read by the registry. `manifest.json` lies beside the files that it names."""

    format: Literal[1] = 1
    kind: Literal["clip", "yolo"]
    name: str
    source: str
    """What the weights came from: an open_clip pretrained tag, a file's name, `bundled` or `random`."""
    licence: str
    source_sha256: str
    model: FileRecord
    """The ORT-format file that RUNTIME=onnx maps."""
    weights: FileRecord | None = None
    """safetensors for RUNTIME=torch, where prepare keeps them."""
    architecture: str = ""
    """open_clip's architecture name, or ultralytics' YAML name, for RUNTIME=torch."""
    checkpoint: str = ""
    """clip: path, from the manifest, of the checkpoint open_clip loaded, for RUNTIME=torch; empty
    for random weights."""
    seed: int | None = None
    """The seed of random weights."""
    precision: Literal["int8", "fp16", "fp32"]
    input_size: int
    """Side of a CLIP crop in pixels; the detector's stride for YOLO, whose height and width are dynamic."""
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Already inside the graph, which takes uint8 RGB; kept for the record."""
    classes: tuple[str, ...] = ()
    """YOLO: its class names in order."""
    prompts: Prompts | None = None
    cosine: Cosine | None = None
    is_dummy: bool = False
    """Random weights: true architecture, meaningless answers."""
    versions: dict[str, str]
    created: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `folder/manifest.json`.

        Raises:
            ModelNotPrepared: there is none.
            ModelCorrupt: it is not a manifest.
        """
        path = folder / MANIFEST_NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise ModelNotPrepared(f"no prepared model in {folder}") from None
        except ValidationError as error:
            raise ModelCorrupt(f"{path} is not a manifest of format 1: {error.errors()[0]['msg']}") from None


class FileList(_Strict):
    """The `manifest.json` of a folder with model files but without an artefact: what each file is to be."""

    format: Literal[1] = 1
    files: tuple[FileRecord, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `folder/manifest.json`.

        Raises:
            ModelCorrupt: there is none, or it is no list.
        """
        path = folder / MANIFEST_NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            raise ModelCorrupt(f"{path} does not say what lies beside it; {_remedy(path)}") from None


def listed_file(path: Path) -> Path:
    """The same path, after its sha256 was compared with that in the FileList beside it.

    Raises:
        ModelCorrupt: it is missing, or nothing says what it is to be.
        ModelTampered: it is not the file that the list describes.
    """
    for record in FileList.read(path.parent).files:
        if record.path == path.name:
            return checked_file(path.parent, record)
    raise ModelCorrupt(f"{path.parent / MANIFEST_NAME} does not name {path.name}; {_remedy(path)}")


def checked_file(folder: Path, record: FileRecord) -> Path:
    """The path of a manifest's file, after its sha256 was compared.

    Raises:
        ModelCorrupt: it is missing.
        ModelTampered: it is not the file that the manifest describes.
    """
    path = folder / Path(record.path).name  # a name, never a way out of the folder
    if not path.is_file():
        raise ModelCorrupt(f"{path} is missing; {_remedy(path)}")
    require_sha256(path, record.sha256)
    return path


def require_sha256(path: Path, expected: str) -> None:
    """Compare a file with what its manifest says.

    Raises:
        ModelTampered: it is another one.
    """
    found = sha256(path)
    if found != expected:
        raise ModelTampered(
            f"{path} is not the file that its manifest describes: its sha256 is {found[:12]}..., "
            f"expected {expected[:12]}...; {_remedy(path)}"
        )


def _remedy(path: Path) -> str:
    if path.is_relative_to(BUNDLED_MODELS):
        return "reinstall holdcheck"
    return "restore it, or prepare it again with `python -m holdcheck prepare`"


def sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slug(name: str) -> str:
    """A model's folder name: `ViT-B/32` -> `vit-b-32`, `/x/Weights.pt` -> `weights`."""
    stem = Path(name).stem if name.endswith((".pt", ".safetensors", ".bin", ".onnx")) else name
    return "-".join("".join(c if c.isalnum() else " " for c in stem.lower()).split())


def prepared(models_dir: Path) -> list[Path]:
    """Folders of the artefacts in MODELS_DIR, as KIND/SLUG.

    One that another replaced, or that is not finished yet, has a dot in its name and is none.
    """
    found = (path.parent for path in models_dir.glob(f"*/*/{MANIFEST_NAME}"))
    return sorted(folder for folder in found if "." not in folder.name)
