"""From ultralytics segmentation weights to a detector's artefact."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdcheck.errors import PrepareError
from holdcheck.manifest import Manifest, sha256, slug
from holdcheck.prepare.artefact import now, record, versions, write_manifest, written_aside
from holdcheck.prepare.ort import write_ort

RANDOM_SEED = 0
CLASSES = ("hold", "volume")
_NEEDED_BYTES = 1 << 30
_RANDOM: dict[str, Any] = {
    "source": "random",
    "licence": "none: random weights",
    "source_sha256": "",
    "seed": RANDOM_SEED,
    "is_dummy": True,
}
"""What the manifest of random weights says of their origin."""


def prepare_yolo(
    weights: Path,
    folder: Path,
    report: Callable[[str], None],
    *,
    random_weights: bool = False,
    architecture: str = "",
    classes: tuple[str, ...] = CLASSES,
    name: str = "",
    source: str = "",
    licence: str = "AGPL-3.0 (ultralytics), and whatever the weights' author adds",
) -> Manifest:
    """Export segmentation weights and write the artefact folder.

    Args:
        weights: an ultralytics `.pt`, or a state dict with `architecture`; with `random_weights`, the name of
            an architecture such as `yolo11n-seg`.
        folder: where the artefact goes, replaced whole.
        report: takes progress, a line at a time.
        architecture: names what a bare `.safetensors` state dict belongs to.
        classes: class names of random weights and state dicts; a `.pt` brings its own. What is
            called `volume` is a volume, whatever else there is is a hold.
        name, source, licence: for the manifest; by default the file's name.

    Raises:
        PrepareError: with one line that says what to do; the old artefact is untouched.
    """
    from safetensors.torch import save_file

    from holdcheck.runtime import segmentation

    if random_weights:
        checkpoint = segmentation.random_checkpoint(str(weights), classes, RANDOM_SEED)
    elif architecture:
        checkpoint = segmentation.read_state(weights, architecture, classes)
    else:
        checkpoint = segmentation.read_checkpoint(weights)
    checkpoint = segmentation.rounded(checkpoint)
    report(f"exporting {weights} ({', '.join(checkpoint.classes[:8])}) with dynamic height and width")
    with written_aside(folder, _NEEDED_BYTES) as aside:
        save_file(checkpoint.state, aside / "weights.safetensors")
        segmenter = segmentation.Segmenter(checkpoint.architecture, checkpoint.state)
        _export(segmenter, aside / "model.ort")
        manifest = Manifest(
            kind="yolo",
            name=name or slug(str(weights)),
            model=record(aside / "model.ort"),
            weights=record(aside / "weights.safetensors"),
            architecture=checkpoint.architecture,
            precision="fp32",
            input_size=segmentation.STRIDE,
            std=(255.0, 255.0, 255.0),
            classes=checkpoint.classes,
            versions=versions("torch", "ultralytics", "onnx", "onnxruntime"),
            created=now(),
            **(_RANDOM if random_weights else _origin(weights, source, licence)),
        )
        write_manifest(aside, manifest)
    report(f"wrote {folder} ({manifest.model.bytes / 2**20:.1f} MiB, sha256 {manifest.model.sha256[:12]})")
    return manifest


def _origin(weights: Path, source: str, licence: str) -> dict[str, Any]:
    return {"source": source or weights.name, "licence": licence, "source_sha256": sha256(weights)}


def _export(segmenter: object, target: Path) -> None:
    from holdcheck.runtime import segmentation

    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        exported = Path(scratch) / "model.onnx"
        try:
            segmentation.export(segmenter, exported)  # type: ignore[arg-type]
            write_ort(exported, target)
        except (RuntimeError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise PrepareError(f"the network could not be exported: {reason}") from None
