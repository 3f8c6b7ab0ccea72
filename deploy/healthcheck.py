"""The container's HEALTHCHECK: status 0 where the server says that photos should be sent here, else 1.

Run as a file, by `python -I -S`: it is charged to the server's own memory, and with the packages, or with
socket in place of _socket, it would take more of it (docs/docker.md).
"""

import _socket
import os
import sys

_TIMEOUT_S = 4

connection = _socket.socket()
connection.settimeout(_TIMEOUT_S)
try:
    connection.connect(("127.0.0.1", int(os.environ.get("PORT") or 8000)))
    connection.send(b"GET /readyz HTTP/1.0\r\n\r\n")
    status_line = connection.recv(128).split(b"\r\n", 1)[0]
except OSError as error:
    sys.exit(f"no answer: {error}")
print(status_line.decode("ascii", "replace"))
sys.exit(b" 200 " not in status_line)
