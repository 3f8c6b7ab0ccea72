"""What a reader that does not read may cost: one piece in memory, and not for ever."""

import asyncio
import fcntl
import logging
import socket
import struct
import termios

from uvicorn.protocols.http.flow_control import FlowControl

log = logging.getLogger(__name__)

STALL_S = 25.0
"""How often a reader with something waiting for it is looked at. uvicorn waits for ever."""
LEAST_BYTES = 4 * 1024
"""What it must have taken since: 164 bytes a second, which the worst gym Wi-Fi gives."""
_UNSENT_BYTES = 64 * 1024
"""What the kernel may hold that is not on its way yet: it counts as the container's memory too."""


class ReadersPace(FlowControl):
    """uvicorn's flow control, but that nothing more is written before all is handed to the kernel, and that a
    connection whose reader takes nothing is cut. Its job goes on."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0
        # At its first byte: by default 64 KiB wait before a writer has to.
        transport.set_write_buffer_limits(high=0)
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._timer is None:
            self._look_later()

    def resume_writing(self) -> None:
        """Everything is handed over, or the connection is lost."""
        super().resume_writing()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._waiting = self._unread_bytes()
        self._timer = asyncio.get_running_loop().call_later(STALL_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting - self._unread_bytes() >= LEAST_BYTES:
            self._look_later()
            return
        log.info("a reader takes nothing: its connection is cut")
        # Reset: else the kernel would keep what it holds for as long as that reader likes.
        connected = self._transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _unread_bytes(self) -> int:
        """What the reader's side has not acknowledged, in the kernel (tcp(7), SIOCOUTQ) and here."""
        connected = self._transport.get_extra_info("socket")
        queued = fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, b"\0" * 4)
        return int(struct.unpack("i", queued)[0]) + self._transport.get_write_buffer_size()
