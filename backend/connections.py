"""What a connection may cost before it asks for anything: how many there are, how long each is silent."""

import asyncio
import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from backend import descriptors
from backend.errors import respond_with_status
from backend.security_headers import ALWAYS, API_POLICY
from backend.slow_readers import ReadersPace

MAX_CONNECTIONS = 512
"""What they may cost together is in docs/threat-model.md. Fewer where the limit on open files is low."""
REQUEST_TIMEOUT_S = 10.0
"""From a connection's beginning, or a request's first byte, to its header's end. uvicorn waits for ever."""


class Connection(H11Protocol):
    """uvicorn's own, with these bounds; what it refuses itself is a problem like all others."""

    _request_timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = ReadersPace(transport)
        if len(self.connections) > descriptors.connections(MAX_CONNECTIONS):
            self._refuse(503, "There are too many connections: try again in a moment.")
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        self._refuse(400, "This is no HTTP request, or its header is too long.")

    def _watch(self) -> None:
        """Time runs while a request is awaited or incomplete; a byte now and then does not prolong it."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._request_timeout is None and not self.transport.is_closing():
            self._request_timeout = self.loop.call_later(REQUEST_TIMEOUT_S, self.timeout_keep_alive_handler)

    def _stop_watching(self) -> None:
        if self._request_timeout is not None:
            self._request_timeout.cancel()
            self._request_timeout = None

    def _refuse(self, status: int, detail: str) -> None:
        # An answer may have begun: what comes after an early one is the rest of a body, in any shape.
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        headers = {**ALWAYS, "Content-Security-Policy": API_POLICY, "Connection": "close"}
        if status == 503:
            headers["Retry-After"] = "5"
        request_id = uuid.uuid4().hex
        headers["X-Request-ID"] = request_id
        answer = respond_with_status(status, detail, request_id, headers)
        for event in (
            h11.Response(status_code=status, headers=answer.raw_headers),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        if self.cycle is not None:
            # The application may be waiting for that body, and has nobody to answer any more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
