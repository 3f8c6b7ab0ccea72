"""From CLIP weights to a classifier's artefact, in less memory than the weights take."""

import gc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdcheck import memory
from holdcheck.classifier import COLOURS
from holdcheck.errors import PrepareError
from holdcheck.manifest import Cosine, FileRecord, Manifest, Prompts, sha256
from holdcheck.prepare import prompts, verify
from holdcheck.prepare.artefact import UNFINISHED, now, record, versions, write_manifest, written_aside
from holdcheck.prepare.checkpoints import fetch
from holdcheck.prepare.ort import write_ort
from holdcheck.prepare.outliers import Peaks, Watch
from holdcheck.prepare.quantize import Precision, fill
from holdcheck.runtime import towers

RANDOM_SEED = 0
_NEEDED_BYTES = 2 << 30
_STEPS: tuple[tuple[str, Precision, bool], ...] = (
    ("int8", "int8", False),
    ("int8, outliers moved into the weights", "int8", True),
    ("fp16", "fp16", False),
    ("fp32", "fp32", False),
)
"""What is tried, smallest first: its name for the user, its precision, whether activations are equalised."""
_BATCH = 4
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Text:
    """What is left of the text tower."""

    embeddings: NDArray[np.float32]
    logit_scale: float


@dataclass(frozen=True, slots=True)
class _Vision:
    """What is left of the image tower: its weights, still in the checkpoint's pages, and its answers."""

    input_size: int
    weights: dict[str, torch.Tensor]
    crops: NDArray[np.uint8]
    expected: NDArray[np.float32]
    peaks: Peaks


def prepare_clip(
    name: str,
    folder: Path,
    report: Report,
    *,
    downloads: Path | None = None,
    random_weights: bool = False,
) -> Manifest:
    """Export, quantise, verify and write a CLIP's artefact folder.

    Args:
        name: `ViT-B/32`, open_clip's `NAME:PRETRAINED`, or `NAME:FILE`.
        folder: where the artefact goes, replaced whole.
        report: takes progress, a line at a time.
        downloads: where fetched checkpoints are kept; by default beside `folder`.
        random_weights: the architecture's true size with seeded random weights; nothing is fetched.

    Raises:
        PrepareError: with one line that says what to do; the old artefact is untouched.
    """
    origin = towers.parse(name)
    checkpoint = None
    if not random_weights:
        checkpoint = origin.file or fetch(
            origin.architecture, origin.tag, downloads or folder.parent / "checkpoints", report
        )
    with (
        written_aside(folder, _NEEDED_BYTES) as aside,
        TemporaryDirectory(prefix=UNFINISHED, dir=folder.parent) as scratch,
    ):
        text, vision = _run_towers(origin, checkpoint, Path(scratch), report)
        np.save(aside / "prompts.npy", text.embeddings)
        precision, cosine = _write_model(vision, Path(scratch), aside / "model.ort", report)
        manifest = _manifest(name, origin, checkpoint, vision, text, precision, cosine, aside)
        write_manifest(aside, manifest)
    report(f"wrote {folder} ({manifest.model.bytes / 2**20:.1f} MiB, sha256 {manifest.model.sha256[:12]})")
    return manifest


def _run_towers(
    origin: towers.Origin, checkpoint: Path | None, scratch: Path, report: Report
) -> tuple[_Text, _Vision]:
    """Everything that needs the model in torch. Only one tower is ever in memory as fp32."""
    if checkpoint is None:
        report(f"making {origin.architecture} with random weights, seed {RANDOM_SEED}")
        model = towers.random_model(origin.architecture, RANDOM_SEED)
    else:
        report(f"loading {origin.architecture} from {checkpoint}")
        model = towers.load(origin.architecture, checkpoint, scratch)
    visual, model.visual = model.visual, None
    report(f"embedding {len(COLOURS)} colours with {len(prompts.TEMPLATES)} templates each")
    model.float()
    text = _Text(prompts.embed(model, origin.architecture), float(model.logit_scale.detach().exp().max()))
    del model
    _give_back()
    report("running and exporting the image tower")
    vision = _run_image_tower(visual, origin, scratch)
    del visual
    _give_back()
    return text, vision


def _run_image_tower(visual: Any, origin: towers.Origin, scratch: Path) -> _Vision:
    size = towers.input_size(visual)
    towers.simplify_attention(visual)
    tower = towers.ImageTower(visual, *towers.normalisation(origin))
    weights = {name: value.detach() for name, value in tower.state_dict().items()}
    tower.float()  # replaces parameters one by one; `weights` stays on the checkpoint's pages
    crops = verify.sample_crops(size)
    with torch.inference_mode(), Watch(tower) as watch:
        batches = [tower(torch.from_numpy(crops[at : at + _BATCH])) for at in range(0, len(crops), _BATCH)]
    _hollow(tower)
    _give_back()
    _export_graph(tower, size, scratch / "graph.onnx")
    return _Vision(size, weights, crops, np.concatenate([batch.numpy() for batch in batches]), watch.peaks)


def _hollow(tower: torch.nn.Module) -> None:
    """Reduce each parameter to its shape: the graph is all that is exported, and the exporter copies."""
    for parameter in tower.parameters():
        parameter.data = torch.zeros((), dtype=parameter.dtype).expand(parameter.shape)


def _give_back() -> None:
    """Freed weights go back to the system, instead of waiting in the allocator for others of their size."""
    gc.collect()
    memory.trim()


def _export_graph(tower: torch.nn.Module, size: int, path: Path) -> None:
    """Write the graph alone: with weights, the exporter would hold them three times."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # fused attention has no ONNX form
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # the TorchScript exporter is deprecated; the new one copies more
            torch.onnx.export(
                tower,
                (torch.zeros((2, size, size, 3), dtype=torch.uint8),),
                path,
                input_names=["crops"],
                output_names=["embeddings"],
                dynamic_axes={"crops": {0: "crops"}, "embeddings": {0: "crops"}},
                opset_version=17,
                dynamo=False,
                export_params=False,
                keep_initializers_as_inputs=True,
                do_constant_folding=False,
            )
    except (RuntimeError, ValueError, TypeError) as error:
        raise PrepareError(f"the image tower cannot be exported: {str(error).splitlines()[0]}") from None
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


def _write_model(vision: _Vision, scratch: Path, target: Path, report: Report) -> tuple[Precision, Cosine]:
    """Try the smallest first; go on until the embeddings agree."""
    for step, precision, equalised in _STEPS:
        peaks = vision.peaks if equalised else None
        fill(scratch / "graph.onnx", vision.weights, precision, scratch / "model.onnx", peaks=peaks)
        write_ort(scratch / "model.onnx", target, keep_casts=precision == "fp16")
        cosine = verify.cosine(vision.expected, _embeddings(target, vision.crops))
        report(
            f"{step}: cosine to the torch tower {cosine.mean:.4f} mean, {cosine.minimum:.4f} least, "
            f"of {cosine.images} images"
        )
        if cosine.mean >= verify.LEAST_MEAN_COSINE:
            return precision, cosine
        report(f"{step}: below {verify.LEAST_MEAN_COSINE}, falling back to the next step")
    raise PrepareError(
        "the exported graph disagrees with the torch tower even in fp32; please report this model"
    )


def _embeddings(model: Path, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    import onnxruntime

    from holdcheck.runtime.onnx import session_options

    session = onnxruntime.InferenceSession(
        str(model), session_options(threads=1), providers=["CPUExecutionProvider"]
    )
    batches = [session.run(None, {"crops": crops[at : at + 1]})[0] for at in range(len(crops))]
    return np.concatenate(batches)


def _manifest(
    name: str,
    origin: towers.Origin,
    checkpoint: Path | None,
    vision: _Vision,
    text: _Text,
    precision: Precision,
    cosine: Cosine,
    aside: Path,
) -> Manifest:
    mean, std = towers.normalisation(origin)
    embeddings: FileRecord = record(aside / "prompts.npy")
    return Manifest(
        kind="clip",
        name=name,
        source=origin.tag or (checkpoint.name if checkpoint else "") if checkpoint else "random",
        licence=_licence(origin, checkpoint),
        source_sha256=sha256(checkpoint) if checkpoint else "",
        model=record(aside / "model.ort"),
        architecture=origin.architecture,
        checkpoint=str(checkpoint.resolve()) if checkpoint else "",
        seed=None if checkpoint else RANDOM_SEED,
        precision=precision,
        input_size=vision.input_size,
        mean=mean,
        std=std,
        prompts=Prompts(
            colours=COLOURS,
            templates=prompts.TEMPLATES,
            embeddings=embeddings,
            logit_scale=text.logit_scale,
        ),
        cosine=cosine,
        is_dummy=checkpoint is None,
        versions=versions("torch", "open_clip_torch", "onnx", "onnxruntime"),
        created=now(),
    )


def _licence(origin: towers.Origin, checkpoint: Path | None) -> str:
    if checkpoint is None:
        return "none: random weights"
    return "MIT (OpenAI)" if origin.tag == "openai" else "as the weights' authors state"
