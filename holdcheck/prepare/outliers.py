"""Activation outliers, which spoil int8, moved into the weights (SmoothQuant, Xiao et al. 2022).

Trained transformers have a few channels tens of times as loud as the rest. A product quantises its
activations with one scale, and that scale is theirs: what the others say is rounded away. Divide a channel by
a number and multiply its row of the matrix by the same, and the product is what it was; the scale then serves
all.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.overrides import TorchFunctionMode

Peaks = dict[str, NDArray[np.float32]]
"""Name of a matrix -> the largest magnitude of each channel that it was multiplied with."""

_PRODUCTS = {torch.nn.functional.linear, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__}
_FAINTEST = 1e-5
"""Relative to the largest: a row of the matrix smaller than this counts as this."""


class Watch(TorchFunctionMode):
    """Record, in `peaks`, what the matrices of a tower are multiplied with while it runs."""

    def __init__(self, tower: torch.nn.Module) -> None:
        super().__init__()
        self.peaks: Peaks = {}
        self._names = {id(value): name for name, value in tower.named_parameters() if value.ndim == 2}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = self._names.get(id(args[1])) if func in _PRODUCTS and len(args) > 1 else None
        if name is not None:
            self._record(name, args[0])
        return func(*args, **(kwargs or {}))

    def _record(self, name: str, activations: torch.Tensor) -> None:
        peaks = activations.detach().abs().flatten(0, -2).amax(dim=0).float().numpy()
        self.peaks[name] = np.maximum(peaks, self.peaks.get(name, 0))


def divisors(peaks: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """What to divide each input channel by, so that activations and weights share the outliers evenly.

    Args:
        peaks: (K,), from `Watch`.
        matrix: (K, N).

    Returns:
        (K,), positive. Their common factor changes nothing.
    """
    rows = np.abs(matrix).max(axis=1)
    rows = np.maximum(rows, max(rows.max() * _FAINTEST, np.finfo(np.float32).tiny))
    # A channel that was quiet for these crops may be loud for a photo: none is made louder than the median.
    channels = np.maximum(peaks, max(float(np.median(peaks)), float(peaks.max()) * _FAINTEST, 1e-20))
    return np.asarray(np.sqrt(channels / rows), dtype=np.float32)
