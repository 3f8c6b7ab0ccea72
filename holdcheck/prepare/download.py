"""Fetching checkpoints: resumed where it broke off, checked against a checksum, never used half-written."""

import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdcheck.errors import PrepareError
from holdcheck.manifest import sha256, slug
from holdcheck.prepare.artefact import require_space

_ATTEMPTS = 5
_TIMEOUT_S = 30
_BLOCK = 1 << 20
_SHA256_DIGITS = 64
_Unreachable = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to fetch."""

    url: str
    checksum: str
    """The beginning of its sha256, or all of it."""
    size: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


def fetch(architecture: str, tag: str, folder: Path, report: Callable[[str], None]) -> Path:
    """Get the checkpoint of one of open_clip's pretrained tags, from where open_clip says that it is.

    Safetensors from the hub where there are any (they can be mapped), else the original's address.
    A file that was fetched and checked before is used without asking the network.

    Raises:
        PrepareError: no network, no space, or a file that is not what its checksum says.
    """
    import open_clip

    config: dict[str, Any] = open_clip.get_pretrained_cfg(architecture, tag)
    stem = slug(f"{architecture} {tag}")
    for path in sorted(folder.glob(f"{stem}.*")):
        if _is_complete(path):
            report(f"using {path}, fetched before")
            return path
    problem = "open_clip names no place to get it from"
    for remote in _places(config):
        suffix = Path(remote.url.partition("?")[0]).suffix or ".bin"
        try:
            return download(remote, folder / f"{stem}{suffix}", report)
        except ConnectionError as error:
            problem = str(error)
    raise PrepareError(
        f"the {tag} weights of {architecture} cannot be fetched ({problem}). Run this again when the "
        f"network is there: it goes on where it stopped. Or bring the file: --clip {architecture}:FILE"
    )


def download(remote: Remote, target: Path, report: Callable[[str], None]) -> Path:
    """Fetch one file; what came of an earlier attempt is kept and continued.

    Raises:
        ConnectionError: the server cannot be reached, or stops answering.
        PrepareError: too little space, or the wrong checksum.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    report(
        f"fetching {target.name} ({remote.size / 2**20:.0f} MiB)"
        if remote.size
        else f"fetching {target.name}"
    )
    for attempt in range(_ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(remote, part)
            break
        except _Unreachable as error:
            after = part.stat().st_size if part.exists() else 0
            if after == before or attempt == _ATTEMPTS - 1:
                raise ConnectionError(getattr(error, "reason", None) or error) from None
        except OSError as error:
            raise PrepareError(f"{part} cannot be written: {error.strerror}; free some space") from None
    return _accept(remote, part, target)


def _accept(remote: Remote, part: Path, target: Path) -> Path:
    digest = sha256(part)
    if not digest.startswith(remote.checksum):
        part.unlink()
        raise PrepareError(
            f"{target.name} came with sha256 {digest[:12]}... instead of {remote.checksum[:12]}...; "
            "it was deleted: run this again, and if it repeats, do not trust the source"
        )
    part.replace(target)
    _note(target).write_text(digest)
    return target


def _continue(remote: Remote, part: Path) -> None:
    from tqdm import tqdm  # type: ignore[import-untyped]

    offset = part.stat().st_size if part.exists() else 0
    if remote.size is not None:
        if offset >= remote.size:
            return
        require_space(part.parent, remote.size - offset)
    request = urllib.request.Request(remote.url, headers=dict(remote.headers))  # noqa: S310 - see _checked_url
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            offset = 0  # the server does not resume: from the start
        remaining = answer.headers.get("Content-Length")
        total = remote.size or (offset + int(remaining) if remaining else None)
        with (
            part.open("ab" if offset else "wb") as file,
            tqdm(total=total, initial=offset, unit="B", unit_scale=True, file=sys.stderr) as bar,
        ):
            while block := answer.read(_BLOCK):
                file.write(block)
                bar.update(len(block))
            received = file.tell()
    if total is not None and received < total:
        raise ConnectionError("the connection ended early")


def _is_complete(path: Path) -> bool:
    note = _note(path)
    return path.suffix not in {".part", ".sha256"} and note.is_file() and sha256(path) == note.read_text()


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _places(config: dict[str, Any]) -> Iterator[Remote]:
    if config.get("hf_hub"):
        yield from _on_the_hub(str(config["hf_hub"]))
    if config.get("url"):
        yield Remote(_checked_url(config["url"]), _checksum_in(config["url"]))


def _on_the_hub(place: str) -> Iterator[Remote]:
    """open_clip's `owner/repository/[file]`: its safetensors if it has them, else the file itself."""
    import huggingface_hub
    from huggingface_hub.utils._headers import build_hf_headers
    from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

    repository, _, file = place.rpartition("/")
    names = [HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME]
    if file:
        names = [str(Path(file).with_suffix(".safetensors")), file]
    for name in dict.fromkeys(names):
        url = huggingface_hub.hf_hub_url(repository, name)
        try:
            metadata = huggingface_hub.get_hf_file_metadata(url)
        except Exception:  # noqa: S112 - not there, or the hub is not reachable: the next place may be
            continue
        # The entity tag of a large file is its sha256.
        if metadata.etag and len(metadata.etag) == _SHA256_DIGITS:
            same_host = metadata.location.startswith(url.partition(repository)[0])
            headers = tuple(build_hf_headers().items()) if same_host else ()
            yield Remote(_checked_url(metadata.location), metadata.etag, metadata.size, headers)


def _checksum_in(url: str) -> str:
    """Where publishers of CLIPs put a checksum: as a folder of the address, or at the end of the name."""
    folder, name = url.split("/")[-2:]
    candidates = (folder, Path(name).stem.rpartition("-")[2])
    return next((text for text in candidates if len(text) >= 8 and _is_hex(text)), "")


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)


def _checked_url(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise PrepareError(f"{url} is not a web address")
    return url
