"""What a request's body may cost: bytes are counted as they arrive, and reading stops at the cap."""

import asyncio
from collections.abc import AsyncIterator

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.errors import UploadTimedOut
from holdcheck.errors import HoldcheckError, PhotoTooManyBytes

ENVELOPE_BYTES = 64 * 1024
"""Boundaries, part headers and small fields around the photo."""
CHUNK_TIMEOUT_S = 20.0
"""Silence after which an upload is given up. A phone that changes cells is silent for several seconds."""
UPLOAD_TIMEOUT_S = 600.0
"""A whole upload: 20 MiB at 35 kB/s. Without it, a byte now and then would hold a place for ever."""
LEAST_BYTES_PER_S = 8 * 1024
"""On average, over the time that we wait for it. Who is faster may pause for it later."""
_FIRST_CREDIT_S = 20.0
_MOST_CREDIT_S = 60.0
"""What an upload may fall behind at its beginning, and at most."""
_HEARING_S = 0.1
"""Unread for so long, a fast sender runs into full buffers, and turns to what we answered."""
_LINGER_S = 1.0
_LINGER_BYTES = 2 * 2**20


async def capped_body(
    request: Request, cap: int, too_many: HoldcheckError, time_limit_s: float | None = None
) -> AsyncIterator[bytes]:
    """The body's chunks.

    Raises:
        too_many: it declares, or turns out to hold, more than `cap` bytes.
        UploadTimedOut: nothing comes, too little (LEAST_BYTES_PER_S), or not all of it in `time_limit_s`
            (UPLOAD_TIMEOUT_S).
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > cap:
        raise too_many
    received = 0
    async for chunk in _timed_stream(request, time_limit_s or UPLOAD_TIMEOUT_S):
        received += len(chunk)
        if received > cap:
            raise too_many
        yield chunk


async def _timed_stream(request: Request, time_limit_s: float) -> AsyncIterator[bytes]:
    chunks = request.stream()
    now = asyncio.get_running_loop().time
    end = now() + time_limit_s
    credit_s = _FIRST_CREDIT_S
    while True:
        asked = now()
        try:
            async with asyncio.timeout_at(min(asked + min(CHUNK_TIMEOUT_S, credit_s), end)):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise UploadTimedOut("The upload stopped, or is too slow: send it again.") from None
        if chunk is None:
            return
        # Each byte buys time: so a fast beginning pays for a pause, and not for dripping ever after.
        credit_s = min(credit_s - (now() - asked) + len(chunk) / LEAST_BYTES_PER_S, _MOST_CREDIT_S)
        yield chunk


def too_many_bytes(max_bytes: int) -> PhotoTooManyBytes:
    return PhotoTooManyBytes(
        f"The file is larger than {max_bytes / 2**20:g} MiB (MAX_UPLOAD_MB): send a smaller photo."
    )


class LingeringClose:
    """Lets a client hear an answer that comes before its body has ended.

    Closing a socket that still has unread bytes resets it, and many clients then lose the answer. So the
    answer goes out whole, a bounded rest of the body is read and dropped, and the connection closes.

    The rest is not read at once: nginx writes for as long as its writes succeed, and looks only then at what
    came back. Read as fast as it writes, it meets the closed connection in mid-write, and tells its client
    502.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        body_ended = False
        closing = False

        async def watched_receive() -> Message:
            nonlocal body_ended
            message = await receive()
            body_ended = body_ended or not message.get("more_body", False)
            return message

        async def lingering_send(message: Message) -> None:
            nonlocal closing
            if message["type"] == "http.response.start" and not body_ended:
                closing = True
                MutableHeaders(scope=message)["Connection"] = "close"
            if not closing or message.get("more_body", False) or message["type"] != "http.response.body":
                await send(message)
                return
            await send({**message, "more_body": True})
            await _drop_rest(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, watched_receive, lingering_send)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _drop_rest(receive: Receive) -> None:
    dropped = 0
    try:
        async with asyncio.timeout(_LINGER_S):
            while dropped < _LINGER_BYTES:
                message = await receive()
                if not message.get("more_body", False):
                    return
                if not dropped:
                    await asyncio.sleep(_HEARING_S)
                dropped += len(message["body"])
    except TimeoutError:
        return
