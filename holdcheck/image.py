"""From a photo's bytes to upright RGB pixels: sniffed, limited, decoded at a reduced scale."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class WallImage:
    """The working copy of a photo, upright."""

    pixels: NDArray[np.uint8]
    """RGB (H, W, 3)."""
    original_width: int
    """Pixels of the upright original photo, in which every answer is given."""
    original_height: int
