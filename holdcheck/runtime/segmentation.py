"""Ultralytics segmentation networks as plain torch modules: quiet import, safe loading, one forward pass.

Shared by prepare, which exports them, and by RUNTIME=torch, which runs them. Ultralytics is AGPL-3.0.
"""

import json
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from holdcheck import torchvision_shim
from holdcheck.errors import PrepareError

STRIDE = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a network is made of, free of any pickled code."""

    architecture: str
    """Ultralytics' YAML as JSON, class count included."""
    state: dict[str, torch.Tensor]
    classes: tuple[str, ...]


def import_ultralytics() -> None:
    """Make ultralytics importable: offline, without telemetry, and without installing packages on its own.

    It insists on a folder for its settings; unless YOLO_CONFIG_DIR names one, it gets one that goes away.
    """
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    if "YOLO_CONFIG_DIR" not in os.environ:
        _settings_folder.append(tempfile.TemporaryDirectory(prefix="holdcheck-ultralytics-"))
        os.environ["YOLO_CONFIG_DIR"] = _settings_folder[0].name
    torchvision_shim.install()
    from ultralytics.utils import SETTINGS

    if SETTINGS["sync"]:
        SETTINGS.update(sync=False)


_settings_folder: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends


def read_checkpoint(path: Path) -> Checkpoint:
    """Read an ultralytics `.pt` without running code that is pickled in it.

    Raises:
        PrepareError: missing, damaged, not ultralytics', or not a segmentation network.
    """
    if not path.is_file():
        raise PrepareError(f"{path} does not exist; give the path of an ultralytics segmentation .pt")
    import_ultralytics()
    from ultralytics.nn.tasks import SegmentationModel, torch_safe_load

    try:
        content = torch_safe_load(str(path), safe_only=True)[0]
        model = content.get("ema") or content["model"]
    except Exception as error:  # its reader raises whatever its parts raise
        reason = str(error).splitlines()[0]
        raise PrepareError(f"{path} is not an ultralytics checkpoint that can be read: {reason}") from None
    if not isinstance(model, SegmentationModel):
        task = getattr(model, "task", None) or type(model).__name__
        raise PrepareError(f"{path} is a {task} network; holds need outlines: give a segmentation one (-seg)")
    return Checkpoint(json.dumps(model.yaml), model.float().state_dict(), _class_names(model.names))


def read_state(path: Path, architecture: str, classes: tuple[str, ...]) -> Checkpoint:
    """Read a bare state dict (.safetensors) of a named architecture.

    Raises:
        PrepareError: no such architecture, or the file holds other weights.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    model = _build(architecture, len(classes))
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise PrepareError(f"{path} does not hold the weights of {architecture}: {reason}") from None
    return Checkpoint(json.dumps(model.yaml), model.state_dict(), classes)


def random_checkpoint(architecture: str, classes: tuple[str, ...], seed: int) -> Checkpoint:
    """Seeded random weights of a named architecture, such as `yolo11n-seg`.

    Raises:
        PrepareError: ultralytics knows no segmentation architecture of that name.
    """
    torch.manual_seed(seed)
    model = _build(architecture, len(classes))
    return Checkpoint(json.dumps(model.yaml), model.state_dict(), classes)


def rounded(checkpoint: Checkpoint) -> Checkpoint:
    """Round the weights to what fp16 can hold, so that both runtimes compute from the same numbers.

    One-dimensional tensors stay: a batch norm's variances may leave fp16's range, and they are small.
    """
    state = {
        name: value.half() if value.is_floating_point() and value.ndim > 1 else value.clone()
        for name, value in checkpoint.state.items()
    }
    return Checkpoint(checkpoint.architecture, state, checkpoint.classes)


class Segmenter(torch.nn.Module):
    """The network as both runtimes call it: uint8 RGB in, raw predictions and prototypes out."""

    def __init__(self, architecture: str, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        import_ultralytics()
        from ultralytics.nn.modules import C2f
        from ultralytics.nn.tasks import SegmentationModel

        config: dict[str, Any] = json.loads(architecture)
        model = SegmentationModel(config, verbose=False)
        model.load_state_dict({name: value.float() for name, value in state.items()})
        self.network = model.eval().fuse(verbose=False)
        head = _head(model)
        head.export, head.dynamic, head.format, head.shape = True, True, "onnx", None
        for module in model.modules():
            if isinstance(module, C2f):
                module.forward = module.forward_split  # what ultralytics does for a cleaner graph

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """RGB uint8 (1, H, W, 3), H and W multiples of 32 -> predictions and prototypes (1, 32, H/4, W/4).

        Predictions are (1, 4 + classes + 32, anchors), or (1, 300, 6 + 32) from heads that need no NMS.
        """
        scaled = image.permute(0, 3, 1, 2).float() / 255
        predictions, prototypes = self.network(scaled)
        return predictions, prototypes


def export(segmenter: Segmenter, path: Path) -> None:
    """Write the network as ONNX with dynamic height and width."""
    # 448 x 640: a size that no axis of the head shares with another, so that none is taken for a constant.
    example = torch.zeros((1, 14 * STRIDE, 20 * STRIDE, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter(
            "ignore"
        )  # the TorchScript exporter: deprecated, and what ultralytics itself uses
        torch.onnx.export(
            segmenter,
            (example,),
            path,
            input_names=["image"],
            output_names=["predictions", "prototypes"],
            dynamic_axes={"image": {1: "height", 2: "width"}, "predictions": {2: "anchors"}}
            | {"prototypes": {2: "prototype_height", 3: "prototype_width"}},
            opset_version=17,
            dynamo=False,
        )


def _build(architecture: str, classes: int) -> Any:
    import_ultralytics()
    from ultralytics.nn.tasks import SegmentationModel, yaml_model_load

    try:
        config = yaml_model_load(f"{Path(architecture).stem}.yaml")
        model = SegmentationModel(config, nc=classes, verbose=False)
        _head(model)
    except (OSError, KeyError, IndexError, AttributeError, PrepareError):
        raise PrepareError(
            f"{architecture} is not a segmentation architecture of ultralytics; try yolo11n-seg"
        ) from None
    return model


def _head(model: Any) -> Any:
    from ultralytics.nn.modules import Segment

    head = model.model[-1]
    if not isinstance(head, Segment) or head.nm != 32:
        raise PrepareError("the network's last layer is not a segmentation head with 32 mask coefficients")
    return head


def _class_names(names: Mapping[int, str] | Iterable[str]) -> tuple[str, ...]:
    ordered = [names[index] for index in sorted(names)] if isinstance(names, Mapping) else list(names)
    return tuple(str(name) for name in ordered)
