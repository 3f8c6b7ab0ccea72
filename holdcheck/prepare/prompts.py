"""Prompt embeddings: what each colour's name means to a CLIP (Radford et al. 2021, section 3.1.4)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdcheck.classifier import COLOURS
from holdcheck.errors import PrepareError

TEMPLATES = (
    "a photo of a {} climbing hold",
    "a photo of a {} climbing hold on a climbing wall",
    "a close-up photo of a {} climbing hold",
    "a blurry photo of a {} climbing hold",
    "a cropped photo of a {} plastic climbing hold",
    "a {} bouldering hold in a climbing gym",
    "a dark photo of a {} climbing hold",
    "a bright photo of a {} climbing hold covered with chalk",
    "a {} object on a wall",
)
_WORDS = {"mint": "mint green", "lime": "lime green"}
"""A colour's name where the bare word means something to eat or drink."""


def embed(model: Any, architecture: str) -> NDArray[np.float32]:
    """Embed the colours: each template's embedding normalised, their mean normalised again -> (13, D).

    Raises:
        PrepareError: the model's tokenizer is not available.
    """
    import open_clip

    try:
        tokenizer = open_clip.get_tokenizer(architecture.removesuffix("-quickgelu"))
    except Exception as error:  # tokenizers of text towers from the hub come from there
        reason = str(error).splitlines()[0]
        raise PrepareError(f"the tokenizer of {architecture} is not available: {reason}") from None
    rows = []
    with torch.inference_mode():
        for colour in COLOURS:
            word = _WORDS.get(colour, colour)
            tokens = tokenizer([template.format(word) for template in TEMPLATES])
            mean = model.encode_text(tokens, normalize=True).mean(dim=0)
            rows.append(torch.nn.functional.normalize(mean, dim=0))
    return np.asarray(torch.stack(rows).float().numpy())
