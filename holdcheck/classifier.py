"""Colour naming by CLIP: crops against the prompt embeddings that prepare computed."""

from dataclasses import dataclass
from typing import Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from holdcheck.manifest import Manifest
from holdcheck.result import Colour

UNKNOWN: Colour = "unknown"
COLOURS: tuple[Colour, ...] = tuple(name for name in get_args(Colour) if name != UNKNOWN)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What an answer says of the model behind it."""

    name: str
    source: str
    precision: str
    sha256: str
    is_dummy: bool

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelInfo":
        return cls(
            manifest.name, manifest.source, manifest.precision, manifest.model.sha256, manifest.is_dummy
        )


class Classifier(Protocol):
    """A CLIP image tower with its prompts. Implementations: runtime.onnx, runtime.torch, FakeClassifier."""

    info: ModelInfo
    input_size: int
    """Side of a crop in pixels."""
    head: "PromptHead"
    """Names colours from embeddings."""

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """RGB crops (N, S, S, 3) -> unit rows (N, D)."""
        ...

    def release_pages(self) -> None:
        """Let go of memory that the next call can get back cheaply."""
        ...


@dataclass(frozen=True, slots=True)
class PromptHead:
    """CLIP's zero-shot head (Radford et al. 2021, section 3.1): cosine, temperature, softmax."""

    embeddings: NDArray[np.float32]
    """(13, D), unit rows."""
    logit_scale: float

    def probabilities(self, image_embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, D) unit rows -> (N, 13) in the order of COLOURS."""
        logits = self.logit_scale * image_embeddings @ self.embeddings.T
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


class FakeClassifier:
    """No model at all: every crop embeds alike, every colour is equally likely. It says so."""

    info = ModelInfo(name="fake", source="none", precision="none", sha256="", is_dummy=True)
    input_size = 32
    head = PromptHead(np.full((len(COLOURS), 4), 0.5, dtype=np.float32), logit_scale=1.0)

    def embed(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(crops), 4), 0.5, dtype=np.float32)

    def release_pages(self) -> None:
        """Holds none."""
