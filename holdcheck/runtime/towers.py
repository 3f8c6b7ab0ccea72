"""open_clip models: what a name means, loading without copies, and the image tower of both runtimes."""

import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.serialization import config as serialization

from holdcheck import memory, torchvision_shim
from holdcheck.errors import PrepareError
from holdcheck.manifest import CHECKPOINT_SUFFIXES
from holdcheck.settings import BUNDLED_CLIP, BUNDLED_MODELS

torchvision_shim.install()

import open_clip  # noqa: E402 - torchvision has to be importable first

FOLDER_CONFIG, FOLDER_WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"
"""What a folder in open_clip's own form holds: open_clip itself loads it as `local-dir:FOLDER`."""
_LOCAL_DIR = "local-dir:"
_QUICK_GELU = "-quickgelu"
_NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
"""What TorchScript archives keep beside the weights."""
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a CLIP's name stands for. `tag` is open_clip's pretrained tag; `file`, a local checkpoint."""

    architecture: str
    """open_clip's name, its `local-dir:FOLDER`, or the bundled CLIP's name, which holds on any machine."""
    tag: str = ""
    file: Path | None = None


def parse(name: str) -> Origin:
    """Understand `ViT-B/32` (OpenAI's), open_clip's `NAME:PRETRAINED`, `NAME:FILE`, a folder, and `holdclip`.

    OpenAI trained with QuickGELU, and so were some other weights: with plain GELU they give wrong embeddings
    without any error, so the architecture follows the weights.

    Raises:
        PrepareError: no such architecture, tag or file.
    """
    folder = _folder_of(name)
    if folder is not None:
        return _in_folder(name, folder)
    base, _, rest = name.partition(":")
    architecture = base.replace("/", "-")
    if "/" in base or not rest:
        architecture = architecture.removesuffix(_QUICK_GELU) + _QUICK_GELU
    if open_clip.get_model_config(architecture) is None:
        raise PrepareError(f"{name}: open_clip knows no {base}; try ViT-B/32, or NAME:PRETRAINED of its list")
    if Path(rest).suffix in CHECKPOINT_SUFFIXES:
        file = Path(rest).expanduser()
        if not file.is_file():
            raise PrepareError(f"{file} does not exist; {name} names it as the checkpoint")
        return Origin(architecture, file=file)
    tag = rest or "openai"
    config = open_clip.get_pretrained_cfg(architecture, tag)
    if not config:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(architecture)) or "none"
        raise PrepareError(f"{name}: open_clip has no {tag} weights for {architecture}; it has: {tags}")
    if config.get("quick_gelu") and not architecture.endswith(_QUICK_GELU):
        architecture += _QUICK_GELU
    return Origin(architecture, tag=tag)


def _in_folder(name: str, folder: Path) -> Origin:
    weights = folder / FOLDER_WEIGHTS
    if not weights.is_file():
        raise PrepareError(f"{folder} has no {FOLDER_WEIGHTS} beside its {FOLDER_CONFIG}")
    return Origin(name if name == BUNDLED_CLIP else f"{_LOCAL_DIR}{folder.resolve()}", file=weights)


def _folder_of(name: str) -> Path | None:
    """The open_clip folder that a name stands for, if it stands for one."""
    folder = (
        BUNDLED_MODELS / name if name == BUNDLED_CLIP else Path(name.removeprefix(_LOCAL_DIR)).expanduser()
    )
    return folder if (folder / FOLDER_CONFIG).is_file() else None


def open_clip_name(architecture: str) -> str:
    """What open_clip calls an Origin's architecture, for its factories of models and tokenizers."""
    if architecture == BUNDLED_CLIP:
        return f"{_LOCAL_DIR}{BUNDLED_MODELS / BUNDLED_CLIP}"
    return architecture.removesuffix(_QUICK_GELU) if _is_quick(architecture) else architecture


def _is_quick(architecture: str) -> bool:
    """A folder's own configuration says which GELU it takes, whatever the folder is called."""
    return architecture.endswith(_QUICK_GELU) and not architecture.startswith(_LOCAL_DIR)


def load(architecture: str, checkpoint: Path, scratch: Path) -> Any:
    """Build open_clip's model on the checkpoint's own pages: open_clip's loading code, and no second copy.

    Args:
        scratch: a folder on a real disk, for formats that cannot be mapped as they are.

    Raises:
        PrepareError: the file is no checkpoint of this architecture.
    """
    with _Uninitialised():
        model = create(architecture)
    # open_clip copies a state dict into the parameters; assigned, the mapped tensors become the parameters.
    model.load_state_dict = partial(model.load_state_dict, assign=True)
    mapped = serialization.patch("load.mmap", True)  # type: ignore[attr-defined]
    try:
        with (
            _mappable(checkpoint, scratch) as path,
            mapped,
        ):
            open_clip.load_checkpoint(model, str(path), weights_only=True)
    except Exception as error:  # readers of five formats raise what they like
        reason = " ".join(str(error).split())[:200]
        raise PrepareError(f"{checkpoint} does not hold the weights of {architecture}: {reason}") from None
    return model.eval()


def random_model(architecture: str, seed: int) -> Any:
    """The same architecture with seeded random weights."""
    torch.manual_seed(seed)
    return create(architecture).eval()


def create(architecture: str) -> Any:
    """open_clip's model without weights; `-quickgelu` may be appended to any architecture.

    Raises:
        PrepareError: open_clip cannot build it, as from a folder whose configuration is none.
    """
    try:
        with _quiet():
            return open_clip.create_model(
                open_clip_name(architecture),
                load_weights=False,
                pretrained_text=False,
                force_quick_gelu=_is_quick(architecture),
            )
    except Exception as error:  # a configuration of somebody's own fails in any of the towers' parts
        reason = " ".join(str(error).split())[:200]
        raise PrepareError(f"open_clip cannot build {architecture}: {reason}") from None


class ImageTower(torch.nn.Module):
    """uint8 RGB crops to unit embeddings, with the checkpoint's own normalisation inside."""

    def __init__(self, visual: torch.nn.Module, mean: Triple, std: Triple) -> None:
        super().__init__()
        self.visual = visual
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """RGB uint8 (N, S, S, 3) -> float32 (N, D), unit rows."""
        pixels = (crops.permute(0, 3, 1, 2).float() - self.mean) / self.std
        return functional.normalize(self.visual(pixels), dim=-1)


class _SelfAttention(torch.nn.Module):
    """What MultiheadAttention computes for queries that are also keys and values, in fewer graph nodes.

    torch's own goes through a sequence-first layout: eight transpositions a block against four.
    """

    def __init__(self, source: torch.nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.scale = source.num_heads, source.head_dim**-0.5
        self.in_proj_weight, self.in_proj_bias = source.in_proj_weight, source.in_proj_bias
        self.out_proj = source.out_proj

    def forward(self, x: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, None]:
        length, width = int(x.shape[1]), int(x.shape[2])
        projected = functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        query, key, value = (
            part.reshape(-1, length, self.heads, width // self.heads).permute(0, 2, 1, 3)
            for part in projected.chunk(3, dim=-1)
        )
        weights = torch.softmax((query * self.scale) @ key.transpose(2, 3), dim=-1)
        joined = (weights @ value).permute(0, 2, 1, 3).reshape(-1, length, width)
        return self.out_proj(joined), None


def simplify_attention(visual: torch.nn.Module) -> None:
    """Swap the self-attention of open_clip's own blocks for the exportable form, sharing its weights."""
    for block in visual.modules():
        if isinstance(block, open_clip.transformer.ResidualAttentionBlock) and not hasattr(block, "ln_1_kv"):
            attention = block.attn
            if isinstance(attention, torch.nn.MultiheadAttention) and attention.batch_first:
                block.attn = _SelfAttention(attention)


def normalisation(origin: Origin) -> tuple[Triple, Triple]:
    """The mean and standard deviation (RGB in 0..1) that the weights expect; CLIP's own by default."""
    config: dict[str, Any] = {}
    folder = _folder_of(origin.architecture)
    if folder is not None:
        config = json.loads((folder / FOLDER_CONFIG).read_text()).get("preprocess_cfg", {})
    elif origin.tag:
        config = open_clip.get_pretrained_cfg(origin.architecture, origin.tag)
    mean: Sequence[float] = config.get("mean", open_clip.OPENAI_DATASET_MEAN)
    std: Sequence[float] = config.get("std", open_clip.OPENAI_DATASET_STD)
    return (mean[0], mean[1], mean[2]), (std[0], std[1], std[2])


def input_size(visual: Any) -> int:
    """Side of the square that the tower takes.

    Raises:
        PrepareError: it takes none.
    """
    size = visual.image_size
    height, width = size if isinstance(size, tuple | list) else (size, size)
    if height != width:
        raise PrepareError(f"the model takes {width}x{height} images; only square ones are supported")
    return int(height)


class _Uninitialised(TorchFunctionMode):
    """Leave new parameters untouched: pages that nobody wrote to take no memory until they are replaced."""

    _RANDOM = (torch.Tensor.normal_, torch.Tensor.uniform_)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init" or func in self._RANDOM:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


@contextmanager
def _mappable(checkpoint: Path, scratch: Path) -> Iterator[Path]:
    """Yield a file that torch can map: TorchScript archives, as OpenAI publishes, are unpacked first."""
    if not _is_torchscript(checkpoint):
        yield checkpoint
        return
    with TemporaryDirectory(dir=scratch) as folder, _quiet():
        state = torch.jit.load(str(checkpoint), map_location="cpu").state_dict()  # type: ignore[no-untyped-call]
        for key in _NOT_WEIGHTS:
            state.pop(key, None)
        path = Path(folder) / "state.pt"
        torch.save(dict(state), path)
        del state
        memory.trim()
        yield path  # its pages outlive its name


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


@contextmanager
def _quiet() -> Iterator[None]:
    """open_clip warns, at the root logger, of a model without weights: here that is intended."""
    import logging
    import warnings

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
