"""Reading the prompt embeddings that prepare computed; both runtimes share them."""

from pathlib import Path

import numpy as np

from holdcheck.classifier import COLOURS, PromptHead
from holdcheck.errors import ModelCorrupt
from holdcheck.manifest import Manifest, checked_file


def read_prompt_head(folder: Path, manifest: Manifest) -> PromptHead:
    """Load a CLIP artefact's zero-shot head.

    Raises:
        ModelCorrupt: there is none, it was made for other colours, or its file is not as described
            (ModelTampered where that is its sha256).
    """
    prompts = manifest.prompts
    if prompts is None or prompts.colours != COLOURS:
        raise ModelCorrupt(f"{folder} has no prompt embeddings for this version's colours; prepare it again")
    embeddings = np.load(checked_file(folder, prompts.embeddings), allow_pickle=False)
    if embeddings.dtype != np.float32 or embeddings.ndim != 2 or len(embeddings) != len(COLOURS):
        raise ModelCorrupt(f"{folder} has malformed prompt embeddings; prepare it again")
    return PromptHead(embeddings, prompts.logit_scale)
