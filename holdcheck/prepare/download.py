"""Downloads: resumed where they broke off, checked against a checksum, never used half-written."""

import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from holdcheck.errors import PrepareError
from holdcheck.manifest import sha256
from holdcheck.prepare.artefact import require_space

_ATTEMPTS = 5
_TIMEOUT_S = 30
_BLOCK = 1 << 20
_USUAL_PORTS = {"http": 80, "https": 443}
_Unreachable = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Remote:
    """A file to fetch."""

    url: str
    checksum: str
    """The beginning of its sha256, or all of it."""
    size: int | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """For the host in `url` alone: where it sends us on to another, `Authorization` stays behind."""


class _TokenStaysAtHome(urllib.request.HTTPRedirectHandler):
    """urllib itself would send every header on to wherever a server points."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        onward = super().redirect_request(req, fp, code, msg, headers, newurl)
        if onward is not None and origin(newurl) != origin(req.full_url):
            onward.remove_header("Authorization")
        return onward


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address: what a secret that is meant for one of them goes by."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _USUAL_PORTS.get(parts.scheme)


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
    note_of(target).write_text(digest)
    return target


def _continue(remote: Remote, part: Path) -> None:
    from tqdm import tqdm  # type: ignore[import-untyped]

    offset = part.stat().st_size if part.exists() else 0
    if remote.size is not None:
        if offset >= remote.size:
            return
        require_space(part.parent, remote.size - offset)
    answer = _open(remote, offset)
    if answer is None:
        return
    with answer:
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
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


def _open(remote: Remote, offset: int) -> Any:
    """The answer from `offset` on; None where nothing is left to come."""
    request = urllib.request.Request(remote.url, headers=dict(remote.headers))  # noqa: S310 - see checked_url
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        return urllib.request.build_opener(_TokenStaysAtHome).open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if offset and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return None  # an earlier run ended between the last byte and the checksum
        raise


def note_of(target: Path) -> Path:
    """Where the sha256 of a file that arrived whole is noted."""
    return target.with_name(target.name + ".sha256")


def checked_url(url: str) -> str:
    """The same address.

    Raises:
        PrepareError: it is none of the web.
    """
    if not url.startswith(("https://", "http://")):
        raise PrepareError(f"{url} is not a web address")
    return url
