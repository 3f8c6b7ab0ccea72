"""A multipart upload, written to disk while it arrives: no part of a photo waits in memory."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from backend.errors import MalformedUpload, NotMultipart, PhotoMissing
from backend.job_files import append, create_private
from backend.limits import ENVELOPE_BYTES, capped_body, too_many_bytes
from holdcheck.errors import EmptyPhoto

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PHOTO_FIELDS = ("image", "file")
OTHER_FIELDS = ("wall_angle",)
_MAX_FIELD_BYTES = 1024
ACCEPTED = "Send multipart/form-data with the photo in the field `image` (or `file`)."


@dataclass(slots=True)
class _Part:
    name: str = ""
    disposition: bytes = b""
    header_name: bytes = b""
    header_value: bytes = b""


@dataclass(slots=True)
class _Form:
    """Collects what the parser calls back with: the photo's bytes for the disk, small fields in memory."""

    max_bytes: int
    fields: dict[str, bytearray] = field(default_factory=dict)
    pending: list[bytes] = field(default_factory=list)
    photo_field: str | None = None
    photo_bytes: int = 0
    ended: bool = False
    _part: _Part = field(default_factory=_Part)

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }

    def _on_part_begin(self) -> None:
        self._part = _Part()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._part.header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._part.header_value += data[start:end]

    def _on_header_end(self) -> None:
        if self._part.header_name.lower() == b"content-disposition":
            self._part.disposition = self._part.header_value
        self._part.header_name = self._part.header_value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._part.disposition)
        name = self._part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if name in OTHER_FIELDS:
            if name in self.fields:
                raise MalformedUpload(f"There is more than one {name} in the upload: send one.")
            self.fields[name] = bytearray()
        if name not in PHOTO_FIELDS:
            return
        if self.photo_field is not None:
            raise MalformedUpload("There is more than one photo in the upload: send one at a time.")
        self.photo_field = name

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part.name in PHOTO_FIELDS:
            self.photo_bytes += end - start
            if self.photo_bytes > self.max_bytes:
                raise too_many_bytes(self.max_bytes)
            self.pending.append(data[start:end])
        elif self._part.name in OTHER_FIELDS:
            value = self.fields[self._part.name]
            value += data[start : min(end, start + _MAX_FIELD_BYTES - len(value))]

    def _on_end(self) -> None:
        self.ended = True


@dataclass(frozen=True, slots=True)
class Upload:
    """What came beside the photo, and what tells the photo from others."""

    fields: dict[str, str]
    sha256: str
    photo_bytes: int


async def receive_upload(request: Request, photo: Path, max_bytes: int) -> Upload:
    """Write the upload's photo to the file `photo`, which must not be there yet.

    Raises:
        UploadError: no multipart body, a malformed one, one without a photo, or one that stops coming.
        PhotoTooManyBytes: the photo is larger than `max_bytes`; reading stopped there.
        EmptyPhoto: no bytes in it.
        StorageFull, StorageUnavailable: the disk does not take it.
    """
    form = _Form(max_bytes)
    boundary = _boundary(request)
    file = _PhotoFile(photo)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        await _feed(request, form, parser, file.write)
    except FormParserError:
        raise MalformedUpload(f"The multipart body cannot be parsed. {ACCEPTED}") from None
    finally:
        file.close()
    if not form.ended:
        raise MalformedUpload("The multipart body ends before its last boundary: upload it again.")
    if form.photo_field is None:
        raise PhotoMissing(f"There is no photo in the upload. {ACCEPTED}")
    if not form.photo_bytes:
        raise EmptyPhoto("The photo has no bytes: choose it again and resend it.")
    fields = {name: value.decode("utf-8", "replace") for name, value in form.fields.items()}
    return Upload(fields, file.digest.hexdigest(), form.photo_bytes)


class _PhotoFile:
    """Written on threads, one write at a time."""

    def __init__(self, photo: Path) -> None:
        self.digest = hashlib.sha256()
        self._descriptor = create_private(photo)
        self._writing: asyncio.Task[None] | None = None

    async def write(self, data: bytes) -> None:
        self._writing = asyncio.create_task(asyncio.to_thread(self._write, data))
        await asyncio.shield(self._writing)

    def close(self) -> None:
        """After the write that goes on where a request was cancelled: a descriptor is soon another file's."""
        if self._writing is None or self._writing.done():
            os.close(self._descriptor)
        else:
            self._writing.add_done_callback(self._close_after)

    def _close_after(self, writing: asyncio.Task[None]) -> None:
        os.close(self._descriptor)
        if not writing.cancelled():
            writing.exception()  # nobody is left to tell

    def _write(self, data: bytes) -> None:
        append(self._descriptor, data)
        self.digest.update(data)


async def _feed(
    request: Request, form: _Form, parser: MultipartParser, write: Callable[[bytes], Awaitable[None]]
) -> None:
    received = 0
    too_many = too_many_bytes(form.max_bytes)
    async for chunk in capped_body(request, form.max_bytes + ENVELOPE_BYTES, too_many):
        received += len(chunk)
        parser.write(chunk)
        if received - form.photo_bytes > ENVELOPE_BYTES:
            raise MalformedUpload(f"There is too much around the photo in the upload. {ACCEPTED}")
        if form.pending:
            await write(b"".join(form.pending))
            form.pending.clear()
    parser.finalize()


def _boundary(request: Request) -> bytes:
    content_type, options = parse_options_header(request.headers.get("content-type"))
    if content_type != b"multipart/form-data":
        raise NotMultipart(ACCEPTED)
    boundary = options.get(b"boundary")
    if not boundary:
        raise MalformedUpload("The Content-Type header names no boundary.")
    return boundary
