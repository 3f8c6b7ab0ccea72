"""One client: sends photos and follows their events, as a phone does."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx
import httpx_sse

from bench.mix import Photo

_TIMEOUT_S = 120.0
"""Of silence: streams have a heartbeat, and `POST /api/analyze` waits for the whole queue."""


@dataclass(frozen=True, slots=True)
class Event:
    """What is kept of an event; the rest only of the last one."""

    seq: int
    job_id: str
    step: str
    progress: int
    elapsed_ms: int
    code: str = ""
    result: dict[str, Any] | None = None

    @property
    def is_last(self) -> bool:
        return self.step in ("complete", "error")


class Phone:
    """A client with a connection pool of its own.

    Args:
        address: where its connections come from. Each phone of a crowd has its own, as the server counts.
    """

    def __init__(self, url: str, address: str | None = None) -> None:
        transport = httpx.HTTPTransport(local_address=address)
        self.http = httpx.Client(base_url=url, timeout=_TIMEOUT_S, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(
        self, path: str, photo: Photo, key: str = "", read_timeout_s: float = _TIMEOUT_S
    ) -> httpx.Response:
        timeout = httpx.Timeout(_TIMEOUT_S, read=read_timeout_s)
        return self.http.post(path, content=photo.content(), headers=_headers(photo, key), timeout=timeout)

    @contextmanager
    def stream(self, photo: Photo, key: str = "") -> Iterator[httpx.Response]:
        """POST /api/analyze-stream; the caller looks at the status, then reads `events`."""
        with self.http.stream(
            "POST", "/api/analyze-stream", content=photo.content(), headers=_headers(photo, key)
        ) as response:
            yield response

    def follow(self, job_id: str, after: int = 0) -> Iterator[Event]:
        """The job's events after the one numbered `after`.

        Raises:
            httpx.HTTPStatusError: there are none to be had.
        """
        headers = {"Last-Event-ID": str(after)} if after else {}
        with self.http.stream("GET", f"/api/jobs/{job_id}/events", headers=headers) as response:
            response.raise_for_status()
            if response.status_code == httpx.codes.OK:
                yield from events(response)


def events(response: httpx.Response) -> Iterator[Event]:
    """Those of an open stream, as they come."""
    for sse in httpx_sse.EventSource(response).iter_sse():
        if not sse.data:  # a heartbeat: by the standard no event, by this library one without data
            continue
        data = sse.json()
        yield Event(
            int(sse.id),
            data["job_id"],
            data["step"],
            data["progress"],
            data["elapsed_ms"],
            data.get("code", ""),
            data.get("result"),
        )


def _headers(photo: Photo, key: str) -> Mapping[str, str]:
    headers = {"Content-Type": photo.content_type}
    return {**headers, "Idempotency-Key": key} if key else headers
