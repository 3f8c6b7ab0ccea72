"""An artefact's manifest: what a model file is, where it came from, and how to feed it."""

import hashlib
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from holdcheck.errors import ModelCorrupt, ModelNotPrepared

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


def checked_file(folder: Path, record: FileRecord) -> Path:
    """The path of a manifest's file, after its size and sha256 were compared.

    Raises:
        ModelCorrupt: it is missing, or is not the file that the manifest describes.
    """
    path = folder / Path(record.path).name  # a name, never a way out of the folder
    if not path.is_file():
        raise ModelCorrupt(f"{path} is missing; prepare it again")
    if path.stat().st_size != record.bytes or sha256(path) != record.sha256:
        raise ModelCorrupt(f"{path} does not match its manifest's sha256; prepare it again")
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def slug(name: str) -> str:
    """A model's folder name: `ViT-B/32` -> `vit-b-32`, `/x/Weights.pt` -> `weights`."""
    stem = Path(name).stem if name.endswith((".pt", ".safetensors", ".bin", ".onnx")) else name
    return "-".join("".join(c if c.isalnum() else " " for c in stem.lower()).split())
