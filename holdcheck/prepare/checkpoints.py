"""Checkpoints of open_clip's pretrained tags: fetched once, and used from the disk after that."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from holdcheck.errors import PrepareError
from holdcheck.manifest import sha256, slug
from holdcheck.prepare.download import Remote, checked_url, download, note_of
from holdcheck.prepare.hub import on_the_hub


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
    for source in _sources(config):
        try:
            for remote in source:
                suffix = Path(remote.url.partition("?")[0]).suffix or ".bin"
                return download(remote, folder / f"{stem}{suffix}", report)
        except ConnectionError as error:
            problem = str(error)
    raise PrepareError(
        f"the {tag} weights of {architecture} cannot be fetched ({problem}). Run this again when the "
        f"network is there: it goes on where it stopped. Or bring the file: --clip {architecture}:FILE"
    )


def _sources(config: dict[str, Any]) -> Iterator[Iterator[Remote]]:
    if config.get("hf_hub"):
        yield on_the_hub(str(config["hf_hub"]))
    if config.get("url"):
        yield iter([Remote(checked_url(config["url"]), _checksum_in(config["url"]))])


def _is_complete(path: Path) -> bool:
    note = note_of(path)
    return path.suffix not in {".part", ".sha256"} and note.is_file() and sha256(path) == note.read_text()


def _checksum_in(url: str) -> str:
    """Where publishers of CLIPs put a checksum: as a folder of the address, or at the end of the name."""
    folder, name = url.split("/")[-2:]
    candidates = (folder, Path(name).stem.rpartition("-")[2])
    return next((text for text in candidates if len(text) >= 8 and _is_hex(text)), "")


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdef" for character in text)
