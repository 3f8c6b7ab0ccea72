"""Prompt embeddings: what each colour's name means to a CLIP (Radford et al. 2021, section 3.1.4)."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from holdcheck.classifier import COLOURS
from holdcheck.errors import PrepareError
from holdcheck.runtime import towers

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


def of(colour: str) -> list[str]:
    """A colour's prompts, one for each template."""
    return [template.format(_WORDS.get(colour, colour)) for template in TEMPLATES]


def embed(model: Any, architecture: str) -> NDArray[np.float32]:
    """Embed the colours: each template's embedding normalised, their mean normalised again -> (13, D).

    Raises:
        PrepareError: the model's tokenizer is not available.
    """
    import open_clip

    try:
        tokenizer = open_clip.get_tokenizer(towers.open_clip_name(architecture))
    except Exception as error:  # tokenizers of text towers from the hub come from there
        reason = str(error).splitlines()[0]
        raise PrepareError(f"the tokenizer of {architecture} is not available: {reason}") from None
    tokens = [tokenizer(of(colour)) for colour in COLOURS]
    length = shorten_context(model, torch.cat(tokens))
    rows = []
    with torch.inference_mode():
        for prompts in tokens:
            mean = model.encode_text(prompts[:, :length], normalize=True).mean(dim=0)
            rows.append(torch.nn.functional.normalize(mean, dim=0))
    return np.asarray(torch.stack(rows).float().numpy())


def shorten_context(model: Any, tokens: torch.Tensor) -> int:
    """Cut a CLIP's text context to its longest prompt; returns the new length. A fifth of the time is left.

    Attention is causal and the embedding is read at the end token, so what follows that cannot matter. Text
    towers of other kinds keep their length.
    """
    import open_clip

    if type(model) is not open_clip.CLIP or model.text_pool_type != "argmax":
        return int(tokens.shape[1])
    length = int(tokens.argmax(dim=-1).max()) + 1
    model.positional_embedding = torch.nn.Parameter(model.positional_embedding[:length].detach())
    model.attn_mask = model.attn_mask[:length, :length]
    return length
