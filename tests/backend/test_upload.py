"""An upload that ends while the disk is still at work."""

import asyncio
import os
import threading
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message

from backend import upload
from backend.job_files import append

_BODY = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nphoto'


def test_a_photo_is_closed_after_the_write_that_outlives_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, go_on, written = threading.Event(), threading.Event(), threading.Event()
    descriptors = []

    def slow_append(descriptor: int, data: bytes) -> None:
        descriptors.append(descriptor)
        writing.set()
        go_on.wait(10)
        append(descriptor, data)
        written.set()

    async def receive() -> Message:
        return {"type": "http.request", "body": _BODY * (not writing.is_set()), "more_body": True}

    async def cancel_during_the_write() -> None:
        header = (b"content-type", b"multipart/form-data; boundary=x")
        request = Request({"type": "http", "method": "POST", "headers": [header]}, receive)
        receiving = asyncio.create_task(upload.receive_upload(request, tmp_path / "photo", 1000))
        await asyncio.to_thread(writing.wait, 10)
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        (descriptor,) = descriptors
        os.fstat(descriptor)  # still open
        go_on.set()
        await asyncio.to_thread(written.wait, 10)
        await asyncio.sleep(0.05)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)

    monkeypatch.setattr(upload, "append", slow_append)
    asyncio.run(cancel_during_the_write())
    assert (tmp_path / "photo").read_bytes()
