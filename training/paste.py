"""Copy-paste of holds between photos (Ghiasi et al. 2021, arXiv:2012.07177): new walls from few labels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.datasets import Photo

_TRIES = 6
"""Places looked at for each hold before it is left out."""


@dataclass(frozen=True, slots=True)
class PasteRecipe:
    """How holds are copied. Lengths are pixels of the stored photos."""

    chance: float = 0.3
    """Of a photo getting any."""
    most: int = 14
    scale: tuple[float, float] = (0.5, 1.5)
    smallest_px: float = 8.0
    """Short side of what is worth pasting, before and after scaling."""
    largest_share: float = 0.25
    """Of the photo's shorter side, for a pasted hold's longer side."""
    overlap: float = 0.1
    """Share of a pasted box, or of the box it meets, that may be shared."""
    gain: float = 0.2
    """How far a pasted hold's brightness is varied."""


SOME = PasteRecipe()


def paste(photo: Photo, donors: Sequence[Photo], recipe: PasteRecipe, rng: np.random.Generator) -> Photo:
    """The photo with holds of one donor on free places; the photo itself where chance says no.

    Donors should be outlined as `photo` is: a hold out of a hand-drawn photo looks foreign on another kind.
    """
    if not donors or rng.random() >= recipe.chance:
        return photo
    donor = donors[int(rng.integers(len(donors)))]
    sides = (donor.boxes[:, 2:] - donor.boxes[:, :2]).min(axis=1, initial=np.inf)
    usable = np.flatnonzero((donor.classes == 0) & (sides >= recipe.smallest_px))
    if not len(usable):
        return photo
    pixels = photo.pixels.copy()
    boxes, outlines = photo.boxes, list(photo.outlines)
    for row in rng.choice(usable, int(rng.integers(1, recipe.most + 1))):
        placed = _place(donor, int(row), pixels.shape, boxes, recipe, rng)
        if placed is None:
            continue
        matrix, outline, box = placed
        _blend(pixels, donor.pixels, matrix, outline, 1 + rng.uniform(-recipe.gain, recipe.gain))
        boxes, outlines = np.vstack([boxes, box]), [*outlines, outline]
    classes = np.concatenate([photo.classes, np.zeros(len(boxes) - len(photo.boxes), np.int64)])
    return replace(photo, pixels=pixels, classes=classes, boxes=boxes, outlines=tuple(outlines))


_Placed = tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.float32]]


def _place(
    donor: Photo,
    row: int,
    shape: tuple[int, ...],
    boxes: NDArray[np.float32],
    recipe: PasteRecipe,
    rng: np.random.Generator,
) -> _Placed | None:
    """Where a donor's hold comes to lie: affine map (2, 3), outline (K, 2), box (4,); None: nowhere."""
    x1, y1, x2, y2 = donor.boxes[row]
    size = np.array([x2 - x1, y2 - y1])
    most = recipe.largest_share * min(shape[:2]) / size.max()
    scale = min(float(rng.uniform(*recipe.scale)), float(most))
    if scale * size.min() < recipe.smallest_px:
        return None
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    room = np.array([shape[1], shape[0]]) - scale * size
    for _ in range(_TRIES):
        corner = rng.uniform(0, room)
        box = np.concatenate([corner, corner + scale * size]).astype(np.float32)
        if not _meets(box, boxes, recipe.overlap):
            across = corner[0] - scale * x1 if mirror > 0 else corner[0] + scale * x2
            matrix = np.array([[mirror * scale, 0, across], [0, scale, corner[1] - scale * y1]])
            return matrix, (donor.outlines[row] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32), box
    return None


def _meets(box: NDArray[np.float32], boxes: NDArray[np.float32], allowed: float) -> bool:
    corner, opposite = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    smaller = np.minimum(areas, (box[2:] - box[:2]).prod())
    return bool((shared > allowed * smaller).any())


def _blend(
    pixels: NDArray[np.uint8],
    donor: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    outline: NDArray[np.float32],
    gain: float,
) -> None:
    """Draw the donor's hold through its outline, with a soft edge, in place."""
    height, width = pixels.shape[:2]
    low = np.clip(np.floor(outline.min(axis=0)).astype(int) - 2, 0, None)
    high = np.minimum(np.ceil(outline.max(axis=0)).astype(int) + 3, (width, height))
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    moved = matrix.copy()
    moved[:, 2] -= low
    hold = cv2.warpAffine(donor, moved, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    cover = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(cover, [np.round(outline - low).astype(np.int32)], 255.0)
    share = cv2.GaussianBlur(cover, (0, 0), 0.7).astype(np.float32)[..., None] / 255
    part = pixels[low[1] : high[1], low[0] : high[0]]
    part[:] = np.clip(part * (1 - share) + np.clip(hold * gain, 0, 255) * share, 0, 255).astype(np.uint8)
