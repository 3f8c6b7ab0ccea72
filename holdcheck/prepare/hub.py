"""The model hub: where a checkpoint lies on it, and the token that opens what is not public."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from holdcheck import torchvision_shim
from holdcheck.errors import PrepareError
from holdcheck.prepare.download import Remote, checked_url, origin

TOKEN_NAMES = ("HF_TOKEN", "HUGGINGFACE_TOKEN", "HUGGINGFACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN")
"""Where a token is looked for: the first that is not empty counts."""
_SHA256_DIGITS = 64
_REFUSED = frozenset({401, 403})


def token() -> str | None:
    """From the environment or `.env`; None where there is none: the hub's library then uses its own, if any.

    Raises:
        PrepareError: it cannot be sent in a header; the value is not repeated.
    """
    file = dotenv_values(".env") if Path(".env").is_file() else {}
    for name in TOKEN_NAMES:
        value = (os.environ.get(name) or file.get(name) or "").strip()
        if value and not all("!" <= character <= "~" for character in value):
            # http.client would repeat it in its error.
            raise PrepareError(f"{name}=(hidden): takes visible ASCII characters")
        if value:
            return value
    return None


def on_the_hub(place: str) -> Iterator[Remote]:
    """open_clip's `owner/repository/[file]`: its safetensors if it has them, else the file itself.

    Raises:
        ConnectionError: the hub does not let us in.
        PrepareError: the token cannot be sent.
    """
    torchvision_shim.install()
    import huggingface_hub
    from huggingface_hub.utils._headers import build_hf_headers
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, file = place.rpartition("/")
    names = [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    if file:
        names = [str(Path(file).with_suffix(".safetensors")), file]
    sent, refused = token(), False
    for name in dict.fromkeys(names):
        url = huggingface_hub.hf_hub_url(repository, name)
        try:
            metadata = huggingface_hub.get_hf_file_metadata(url, token=sent)
        except Exception as error:  # not there, or the hub is not reachable: the next place may be
            refused = refused or _status(error) in _REFUSED
            continue
        # The entity tag of a large file is its sha256.
        if metadata.etag and len(metadata.etag) == _SHA256_DIGITS:
            # The token is for the hub: where the file lies elsewhere, the address alone opens it.
            at_home = origin(metadata.location) == origin(url)
            headers = tuple(build_hf_headers(token=sent).items()) if at_home else ()
            yield Remote(checked_url(metadata.location), metadata.etag, metadata.size, headers)
    if refused:
        wrong = "does not take the token that it was sent" if sent else "wants a token, in HF_TOKEN"
        raise ConnectionError(f"for {repository} the hub {wrong}")


def _status(error: Exception) -> int | None:
    response: Any = getattr(error, "response", None)
    return getattr(response, "status_code", None)
