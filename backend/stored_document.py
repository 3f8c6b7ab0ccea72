"""An answer that lies on the disk: it goes out a piece at a time, as fast as its reader takes it.

A result may be a megabyte, and five hundred readers may be slow: none of it waits for them in memory.
"""

import asyncio
import os
from pathlib import Path
from typing import BinaryIO

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

PIECE_BYTES = 16 * 1024
"""What one reader has in memory: once here, once in its connection's buffer."""


async def open_stored(file: Path) -> BinaryIO:
    """What is erased or replaced from now on can still be read to its end.

    Raises:
        FileNotFoundError: it is not there.
    """
    return await asyncio.to_thread(file.open, "rb", 0)


def in_pieces(answer: Response) -> Response:
    """A file's answer, if it is one, in pieces as small: Starlette's are 64 KiB."""
    if isinstance(answer, FileResponse):
        answer.chunk_size = PIECE_BYTES
    return answer


class StoredDocument(Response):
    """JSON from a file, which it closes, between what goes before and after it."""

    media_type = "application/json"

    def __init__(self, file: BinaryIO, before: bytes = b"", after: bytes = b"") -> None:
        self._file = file
        self._before = before
        self._after = after
        self._left = os.fstat(file.fileno()).st_size
        length = len(before) + self._left + len(after)
        super().__init__(headers={"Content-Length": str(length)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            await _send(send, self._before)
            while self._left:
                piece = await asyncio.to_thread(self._file.read, min(PIECE_BYTES, self._left))
                if not piece:
                    raise EOFError("a stored document became shorter while it was read")
                self._left -= len(piece)
                await _send(send, piece)
            await _send(send, self._after, more=False)
        finally:
            self._file.close()


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})
