"""How well START and TOP cards are read: `python -m training.tags DATA --split train --skip 250`.

Three figures: cards on rendered walls; what is read on real photos, which show none; cards in another font,
under holds of those photos.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from holdcheck import tags
from holdcheck.result import Tag
from holdcheck.tags import Box
from training.datasets import load_split
from training.walls import WallSpec, render

Tagged = tuple[NDArray[np.uint8], list[Box], dict[int, Tag]]
"""A picture, its holds' boxes, and which of them carry a card."""

_SEED = 97_000
_FEWEST_HOLDS = 3
_LARGEST = 40
_BOTH: tuple[Tag, Tag] = ("start", "top")


@dataclass(frozen=True, slots=True)
class Reading:
    """Tags of holds, all pictures together."""

    pictures: int
    cards: int
    right: int
    wrong: int
    """Tags that a hold does not have."""

    def __str__(self) -> str:
        read = self.right + self.wrong
        precision = f"{self.right / read:.3f}" if read else "-"
        recall = f"{self.right / self.cards:.3f}" if self.cards else "-"
        return f"{self.pictures} | {self.cards} | {read} | {self.wrong} | {precision} | {recall}"


def measure(pictures: Iterable[Tagged]) -> Reading:
    """Read each picture's cards and compare."""
    count = cards = right = wrong = 0
    for pixels, boxes, truth in pictures:
        read = tags.tagged(tags.read(pixels, boxes), boxes)
        hits = sum(truth.get(index) == tag for index, tag in read.items())
        count, cards = count + 1, cards + len(truth)
        right, wrong = right + hits, wrong + len(read) - hits
    return Reading(count, cards, right, wrong)


def rendered(count: int) -> Iterator[Tagged]:
    """Rendered walls with START and TOP: a third of the problems have tape, which is not read."""
    for seed in range(_SEED, _SEED + count):
        wall = render(WallSpec(1024, 768, seed))
        holds = [hold for hold in wall.holds if hold.kind == "hold"]
        truth = {index: hold.tag for index, hold in enumerate(holds) if hold.tag}
        yield wall.pixels, [hold.box for hold in holds], truth


def photos(data: Path, split: str, skip: int) -> Iterator[Tagged]:
    """Real photos with true boxes, the largest forty: nobody saw a START or TOP card on them."""
    for photo in load_split(data, split)[skip:]:
        boxes = photo.boxes[photo.classes == 0]
        largest = boxes[np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")[:_LARGEST]]
        if len(largest) >= _FEWEST_HOLDS:
            yield photo.pixels, [(a, b, c, d) for a, b, c, d in largest.tolist()], {}


def with_cards(pictures: Iterable[Tagged], rng: np.random.Generator) -> Iterator[Tagged]:
    """Two cards on each, START and TOP, in the light of the place, where no other hold is covered."""
    for pixels, boxes, _ in pictures:
        canvas, truth = pixels.copy(), dict[int, Tag]()
        size = float(np.median([np.sqrt((c - a) * (d - b)) for a, b, c, d in boxes]))
        for index, tag in zip(rng.permutation(len(boxes)).tolist(), _BOTH, strict=False):
            card = _card(tag, max(26.0, size * rng.uniform(0.8, 1.4)), rng)
            x = (boxes[index][0] + boxes[index][2] - card.shape[1]) / 2
            place = (round(x), round(boxes[index][3] + 0.15 * size))
            if _stick(canvas, card, place, boxes):
                truth[index] = tag
        yield canvas, boxes, truth


def _card(tag: Tag, width: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Dark print on light card, `width` pixels across, in Pillow's own font: the reader's is another."""
    font = ImageFont.load_default(60)
    left, top, right, bottom = (round(value) for value in font.getbbox(tag.upper()))
    margin = int(rng.integers(14, 34))
    size = (right - left + 2 * margin, bottom - top + 2 * margin)
    card = Image.new("L", size, int(rng.integers(215, 250)))
    ImageDraw.Draw(card).text((margin - left, margin - top), tag.upper(), int(rng.integers(15, 60)), font)
    turned = card.rotate(float(rng.normal(0, 2)), fillcolor=230, resample=Image.Resampling.BICUBIC)
    scale = width / size[0]
    soft = cv2.GaussianBlur(np.asarray(turned), (0, 0), 0.6 / scale)
    return np.asarray(cv2.resize(soft, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _stick(
    canvas: NDArray[np.uint8], card: NDArray[np.uint8], place: tuple[int, int], boxes: list[Box]
) -> bool:
    """Stick it on the canvas, unless it would leave the picture or cover a hold."""
    (x, y), (height, width) = place, card.shape
    inside = x >= 0 and y >= 0 and x + width <= canvas.shape[1] and y + height <= canvas.shape[0]
    if not inside or any(x < c and a < x + width and y < d and b < y + height for a, b, c, d in boxes):
        return False
    part = canvas[y : y + height, x : x + width]
    light = min(1.0, float(part.mean()) / 150)
    part[:] = np.clip(card[..., None] * light, 0, 255).astype(np.uint8)
    return True


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--skip", type=int, default=0, help="leave the first so many photos out")
    parser.add_argument("--walls", type=int, default=40)
    given = parser.parse_args()
    print("| pictures | how many | tagged holds | read | wrong | precision | recall |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(f"| rendered walls, cards and tape | {measure(rendered(given.walls))} |", flush=True)
    real = list(photos(given.data, given.split, given.skip))
    print(f"| photos | {measure(real)} |", flush=True)
    print(f"| photos with cards stuck on | {measure(with_cards(real, np.random.default_rng(0)))} |")


if __name__ == "__main__":
    main()
