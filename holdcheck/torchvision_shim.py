"""CPU torch beside a torchvision wheel that was built for CUDA, which is what plain pip gives.

torchvision's compiled operators then do not load. It carries on without them until it describes
`torchvision::nms` to the tracer; that operator has no schema, so the import itself fails, and with it every
library that imports torchvision. The two schemas that it asks for are defined here first, and the one
operator that is ever called, non-maximum suppression, is lent by ultralytics, which has it in plain torch.
"""

import importlib.util
import sys
from pathlib import Path

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # what it defines lives as long as it does


def install() -> None:
    """Make `import torchvision` work. Call it before the first one; a second call changes nothing.

    Does nothing where torchvision's compiled operators load, or where torchvision is missing or already
    imported.
    """
    global _library
    if _library is not None or "torchvision" in sys.modules or _operators_load():
        return
    _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for schema in _SCHEMAS:
        _library.define(schema)  # type: ignore[no-untyped-call]
    import torchvision

    torchvision.ops.nms = torchvision.ops.boxes.nms = _nms


def _operators_load() -> bool:
    # find_spec gives the package's place without running its __init__, which is what fails.
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return True
    compiled = sorted(Path(spec.origin).parent.glob("_C.*"))
    try:
        for library in compiled:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    except OSError:
        return False
    return bool(compiled)


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """torchvision.ops.nms: boxes (N, 4) x1, y1, x2, y2 and scores (N,) -> indices kept, best first."""
    from ultralytics.utils.nms import TorchNMS

    kept: torch.Tensor = TorchNMS.nms(boxes, scores, iou_threshold)
    return kept
